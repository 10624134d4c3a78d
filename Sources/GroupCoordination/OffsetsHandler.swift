import KafkaListener
import KafkaProtocol
import NIOCore

/// OffsetCommit and OffsetFetch. Who may commit is the coordinator's to say; what is committed is in the store.
struct OffsetsHandler: Sendable {
    let groups: GroupService
    let store: any GroupOffsetStore
    /// offset.metadata.max.bytes
    private static let metadataBytesMax = 4_096

    // MARK: Commit

    func commit(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(OffsetCommitRequest.self)
        let version = request.header.apiVersion
        let error = groups.checkCommit(
            group: asked.groupID, memberID: asked.memberID, instanceID: asked.groupInstanceID,
            generation: asked.generationIDOrMemberEpoch, isKnown: store.groupExists(asked.groupID),
            missing: version >= 9 ? .groupIdNotFound : .illegalGeneration)
        var response = Self.response(asked, error)
        guard error == .none else { return request.answer(response, on: loop) }
        let (items, slots) = check(asked, version, &response)
        guard !items.isEmpty else { return request.answer(response, on: loop) }
        return store.commit(asked.groupID, items, on: loop).map { [response] result in
            var response = response
            for (index, slot) in slots.enumerated() {
                let code: ErrorCode =
                    switch result {
                    case .success(let codes): index < codes.count ? codes[index] : .unknownServerError
                    case .failure(let code): code
                    }
                response.topics[slot.topic].partitions[slot.partition].errorCode = code
            }
            return response
        }.answer(request)
    }

    private static func response(_ asked: OffsetCommitRequest, _ error: ErrorCode) -> OffsetCommitResponse {
        var response = OffsetCommitResponse()
        response.topics = asked.topics.map { topic in
            var answer = OffsetCommitResponse.Topic()
            answer.name = topic.name
            answer.topicID = topic.topicID
            answer.partitions = topic.partitions.map { .init(index: $0.index, errorCode: error) }
            return answer
        }
        return response
    }

    private func check(
        _ asked: OffsetCommitRequest, _ version: Int16, _ response: inout OffsetCommitResponse
    ) -> ([OffsetCommitItem], [(topic: Int, partition: Int)]) {
        var items: [OffsetCommitItem] = []
        var slots: [(topic: Int, partition: Int)] = []
        for (topicIndex, topic) in asked.topics.enumerated() {
            let facts = version >= 10 ? store.topic(id: topic.topicID) : store.topic(named: topic.name)
            for (index, partition) in topic.partitions.enumerated() {
                var code = ErrorCode.none
                if facts == nil || partition.index < 0 || partition.index >= facts?.partitionCount ?? 0 {
                    code = facts == nil && version >= 10 ? .unknownTopicId : .unknownTopicOrPartition
                } else if (partition.metadata ?? "").utf8.count > Self.metadataBytesMax {
                    code = .offsetMetadataTooLarge
                }
                response.topics[topicIndex].partitions[index].errorCode = code
                guard code == .none, let facts else { continue }
                items.append(
                    OffsetCommitItem(
                        place: OffsetPlace(topicID: facts.id, partition: partition.index),
                        offset: CommittedOffset(
                            offset: partition.committedOffset, leaderEpoch: partition.committedLeaderEpoch,
                            metadata: partition.metadata ?? "")))
                slots.append((topicIndex, index))
            }
        }
        return (items, slots)
    }

    // MARK: Fetch

    func fetch(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(OffsetFetchRequest.self)
        let version = request.header.apiVersion
        var response = OffsetFetchResponse()
        if version >= 8 {
            response.groups = asked.groups.map { group($0.groupID, $0.topics, version, stable: asked.requiresStable) }
        } else {
            let group = group(asked.groupID, asked.topics, version, stable: asked.requiresStable)
            response.topics = group.topics
            response.errorCode = group.errorCode
        }
        return request.answer(response, on: loop)
    }

    private func group(
        _ name: String, _ topics: [OffsetFetchRequest.Topic]?, _ version: Int16, stable: Bool
    ) -> OffsetFetchResponse.Group {
        var group = OffsetFetchResponse.Group()
        group.groupID = name
        if let code = name.isEmpty ? .invalidGroupId : store.unavailable {
            return Self.failed(group, code, topics ?? [])
        }
        group.topics = topics.map { $0.map { topic(name, $0, version, stable) } } ?? all(name, stable)
        return group
    }

    /// Versions before 2 have no error of the whole, so every partition says it.
    private static func failed(
        _ group: OffsetFetchResponse.Group, _ code: ErrorCode, _ topics: [OffsetFetchRequest.Topic]
    ) -> OffsetFetchResponse.Group {
        var group = group
        group.errorCode = code
        group.topics = topics.map { asked in
            var topic = OffsetFetchResponse.Topic()
            topic.name = asked.name
            topic.topicID = asked.topicID
            topic.partitions = asked.partitionIndexes.map { index in
                var partition = partition(index, nil)
                partition.errorCode = code
                return partition
            }
            return topic
        }
        return group
    }

    private func topic(
        _ group: String, _ asked: OffsetFetchRequest.Topic, _ version: Int16, _ stable: Bool
    ) -> OffsetFetchResponse.Topic {
        let facts = version >= 10 ? store.topic(id: asked.topicID) : store.topic(named: asked.name)
        var topic = OffsetFetchResponse.Topic()
        topic.name = asked.name
        topic.topicID = asked.topicID
        topic.partitions = asked.partitionIndexes.map { index in
            let offset = facts.flatMap { store.offset(group, OffsetPlace(topicID: $0.id, partition: index)) }
            var partition = Self.partition(index, offset)
            if facts == nil, version >= 10 { partition.errorCode = .unknownTopicId }
            if stable, let facts { settle(&partition, group, facts.id) }
            return partition
        }
        return topic
    }

    /// An open transaction may still change it: the client comes again (rule T10).
    private func settle(_ partition: inout OffsetFetchResponse.Partition, _ group: String, _ topicID: KafkaUUID) {
        guard store.hasPendingOffset(group, OffsetPlace(topicID: topicID, partition: partition.index)) else { return }
        partition.errorCode = .unstableOffsetCommit
        partition.committedOffset = -1
        partition.committedLeaderEpoch = -1
        partition.metadata = ""
    }

    private func all(_ group: String, _ stable: Bool) -> [OffsetFetchResponse.Topic] {
        var topics: [KafkaUUID: OffsetFetchResponse.Topic] = [:]
        let offsets = store.offsets(group).sorted { $0.key.partition < $1.key.partition }
        for (place, offset) in offsets {
            guard let facts = store.topic(id: place.topicID) else { continue }
            var topic = topics[place.topicID] ?? OffsetFetchResponse.Topic()
            topic.name = facts.name
            topic.topicID = facts.id
            var partition = Self.partition(place.partition, offset)
            if stable { settle(&partition, group, place.topicID) }
            topic.partitions.append(partition)
            topics[place.topicID] = topic
        }
        return topics.values.sorted { $0.name < $1.name }
    }

    private static func partition(_ index: Int32, _ offset: CommittedOffset?) -> OffsetFetchResponse.Partition {
        var partition = OffsetFetchResponse.Partition()
        partition.index = index
        partition.committedOffset = offset?.offset ?? -1
        partition.committedLeaderEpoch = offset?.leaderEpoch ?? -1
        partition.metadata = offset?.metadata ?? ""
        return partition
    }
}
