import GroupCoordination
import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Offsets of groups in the ledger.
struct LedgerOffsets: GroupOffsetStore {
    let ledger: Ledger
    let world: CloudWorld

    /// The view is in memory, and complete before the node serves.
    var unavailable: ErrorCode? { nil }

    func topic(named name: String) -> GroupTopic? { ledger.view.topic(named: name).map(GroupTopic.init) }
    func topic(id: KafkaUUID) -> GroupTopic? { ledger.view.topic(id: id).map(GroupTopic.init) }

    func groups() -> [String] { ledger.view.groups() }
    func groupExists(_ group: String) -> Bool { ledger.view.groupExists(group) }

    func offset(_ group: String, _ place: OffsetPlace) -> CommittedOffset? {
        ledger.view.groupOffset(group, place.topicID, place.partition).map(CommittedOffset.init)
    }

    func offsets(_ group: String) -> [OffsetPlace: CommittedOffset] {
        let known = ledger.view.groupOffsets(group).map { place, offset in
            (OffsetPlace(topicID: place.topicID, partition: place.partition), CommittedOffset(offset))
        }
        return Dictionary(uniqueKeysWithValues: known)
    }

    func hasPendingOffset(_ group: String, _ place: OffsetPlace) -> Bool {
        ledger.view.hasPendingOffset(group, place.topicID, place.partition)
    }

    func commit(
        _ group: String, _ items: [OffsetCommitItem], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>> {
        let items = items.map { item in
            CommitGroupOffsets.Item(
                topicID: item.place.topicID, partition: item.place.partition, offset: item.offset.offset,
                leaderEpoch: item.offset.leaderEpoch, metadata: item.offset.metadata)
        }
        let command = CommitGroupOffsets(group: group, items: items, nowMs: world.wallMs())
        return ledger.submit(.commitGroupOffsets(command), on: loop).map(Self.codes)
    }

    func delete(_ group: String, on loop: any EventLoop) -> EventLoopFuture<ErrorCode> {
        ledger.submit(.deleteGroup(group: group), on: loop).map { answer in
            if case .failure(let error) = answer { error.coordinatorCode } else { .none }
        }
    }

    func deleteOffsets(
        _ group: String, _ places: [OffsetPlace], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>> {
        let places = places.map { TopicPartition(topicID: $0.topicID, partition: $0.partition) }
        return ledger.submit(.deleteGroupOffsets(group: group, partitions: places), on: loop).map(Self.codes)
    }

    private static func codes(_ result: Result<LedgerAnswer, LedgerError>) -> Result<[ErrorCode], ErrorCode> {
        switch result {
        case .success(.errorCodes(let codes)): .success(codes)
        case .success: .failure(.unknownServerError)
        case .failure(let error): .failure(error.coordinatorCode)
        }
    }
}

extension GroupTopic {
    fileprivate init(_ facts: TopicFacts) {
        self.init(id: facts.id, name: facts.name, partitionCount: facts.partitionCount)
    }
}

extension CommittedOffset {
    fileprivate init(_ offset: GroupOffset) {
        self.init(offset: offset.offset, leaderEpoch: offset.leaderEpoch, metadata: offset.metadata)
    }
}

extension Advertised: CoordinatorDirectory {
    /// This node coordinates every group and every transaction.
    func coordinator(
        _ kind: CoordinatorKind, seenFrom connection: KafkaConnection
    ) -> Result<CoordinatorAddress, CoordinatorRefusal> {
        let endpoint = current
        return .success(CoordinatorAddress(nodeID: nodeID, host: endpoint.host, port: endpoint.port))
    }
}
