public import KafkaProtocol
public import NIOCore

/// Where the offsets that groups commit are kept, and which topics they may be committed for: the ledger in the cloud, a
/// file on a gateway.
///
/// - Questions are answered from memory, on any thread, and never block. They show only what would survive a power cut.
/// - Order: changes of one group take effect in the order of the calls.
/// - Durability: a change is answered once it would survive a power cut. A failed one was not made, or it is not known; the
///   code says that the client may try again.
public protocol GroupOffsetStore: Sendable {
    /// Set while the store cannot say what is committed: whoever asks must be told to come again, never that there is nothing.
    var unavailable: ErrorCode? { get }

    func topic(named name: String) -> GroupTopic?
    func topic(id: KafkaUUID) -> GroupTopic?

    /// Groups that have offsets, in no particular order.
    func groups() -> [String]
    func groupExists(_ group: String) -> Bool
    func offset(_ group: String, _ place: OffsetPlace) -> CommittedOffset?
    /// All that a group has committed.
    func offsets(_ group: String) -> [OffsetPlace: CommittedOffset]
    /// Whether an open transaction may still change the offset (rule T10).
    func hasPendingOffset(_ group: String, _ place: OffsetPlace) -> Bool

    /// One code per item, in their order; a failure is the code for all of them.
    func commit(
        _ group: String, _ items: [OffsetCommitItem], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>>
    /// Forgets a group that exists; `.none` when it is gone.
    func delete(_ group: String, on loop: any EventLoop) -> EventLoopFuture<ErrorCode>
    /// Forgets some offsets of a group. One code per place; one that had no offset is `.none`.
    func deleteOffsets(
        _ group: String, _ places: [OffsetPlace], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>>
}

/// A topic as far as groups are concerned.
public struct GroupTopic: Sendable, Equatable {
    public let id: KafkaUUID
    public let name: String
    public let partitionCount: Int32

    public init(id: KafkaUUID, name: String, partitionCount: Int32) {
        self.id = id
        self.name = name
        self.partitionCount = partitionCount
    }
}

/// A partition that a group may have an offset of.
public struct OffsetPlace: Sendable, Hashable {
    public let topicID: KafkaUUID
    public let partition: Int32

    public init(topicID: KafkaUUID, partition: Int32) {
        self.topicID = topicID
        self.partition = partition
    }
}

/// What a group has committed for one partition.
public struct CommittedOffset: Sendable, Equatable {
    /// Of the record to be read next.
    public var offset: Int64
    /// -1 when the client did not say.
    public var leaderEpoch: Int32
    public var metadata: String

    public init(offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "") {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
    }
}

/// One offset of a commit. The partition exists and the metadata is not too long: the handler has seen to it.
public struct OffsetCommitItem: Sendable, Equatable {
    public let place: OffsetPlace
    public let offset: CommittedOffset

    public init(place: OffsetPlace, offset: CommittedOffset) {
        self.place = place
        self.offset = offset
    }
}
