import KafkaListener
import KafkaProtocol
import NIOCore

/// OffsetDelete: forgets what a group has committed for partitions that none of its members reads (rule G7).
///
/// Source: Kafka 4.3, `OffsetMetadataManager.deleteOffsets`, `ClassicGroup.validateOffsetDelete`.
struct OffsetDeleteHandler: Sendable {
    let groups: GroupService
    let store: any GroupOffsetStore

    private typealias Slot = (topic: Int, partition: Int)

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(OffsetDeleteRequest.self)
        var response = OffsetDeleteResponse()
        let use = groups.use(of: asked.groupID)
        response.errorCode = error(asked.groupID, use)
        guard response.errorCode == .none else { return request.answer(response, on: loop) }
        let (places, slots) = check(asked, use, &response)
        // A group whose members have committed nothing is not in the store.
        guard !places.isEmpty, store.groupExists(asked.groupID) else { return request.answer(response, on: loop) }
        return store.deleteOffsets(asked.groupID, places, on: loop).map { [response] result in
            var response = response
            switch result {
            case .success(let codes) where codes.count == slots.count:
                for (slot, code) in zip(slots, codes) {
                    response.topics[slot.topic].partitions[slot.partition].errorCode = code
                }
            case .success: response = Self.failed(.unknownServerError)
            case .failure(let error): response = Self.failed(error)
            }
            return response
        }.answer(request)
    }

    private static func failed(_ code: ErrorCode) -> OffsetDeleteResponse {
        var response = OffsetDeleteResponse()
        response.errorCode = code
        return response
    }

    /// Of the request as a whole.
    private func error(_ group: String, _ use: GroupUse?) -> ErrorCode {
        if group.isEmpty { return .invalidGroupId }
        if use == .otherProtocol { return .nonEmptyGroup }
        if let code = store.unavailable { return code }
        return use != nil || store.groupExists(group) ? .none : .groupIdNotFound
    }

    /// What may be deleted, and where in the response its answer goes.
    private func check(
        _ asked: OffsetDeleteRequest, _ use: GroupUse?, _ response: inout OffsetDeleteResponse
    ) -> ([OffsetPlace], [Slot]) {
        var places: [OffsetPlace] = []
        var slots: [Slot] = []
        for (topicIndex, topic) in asked.topics.enumerated() {
            let facts = store.topic(named: topic.name)
            var answer = OffsetDeleteResponse.Topic()
            answer.name = topic.name
            for (slot, index) in topic.partitionIndexes.enumerated() {
                var code = ErrorCode.none
                if facts == nil || index < 0 || index >= facts?.partitionCount ?? 0 {
                    code = .unknownTopicOrPartition
                } else if use?.reads(topic.name) ?? false {
                    code = .groupSubscribedToTopic
                }
                answer.partitions.append(.init(index: index, errorCode: code))
                guard code == .none, let facts else { continue }
                places.append(OffsetPlace(topicID: facts.id, partition: index))
                slots.append((topicIndex, slot))
            }
            response.topics.append(answer)
        }
        return (places, slots)
    }
}
