public import KafkaProtocol

/// Offsets that a consumer group commits. The coordinator has checked membership; the ledger checks that topics exist.
public struct CommitGroupOffsets: Sendable, Equatable {
    public struct Item: Sendable, Equatable {
        public var topicID: KafkaUUID
        public var partition: Int32
        public var offset: Int64
        /// -1 when the client did not say.
        public var leaderEpoch: Int32
        public var metadata: String

        public init(topicID: KafkaUUID, partition: Int32, offset: Int64, leaderEpoch: Int32 = -1, metadata: String = "")
        {
            self.topicID = topicID
            self.partition = partition
            self.offset = offset
            self.leaderEpoch = leaderEpoch
            self.metadata = metadata
        }
    }
    public var group: String
    public var items: [Item]
    public var nowMs: Int64

    public init(group: String, items: [Item], nowMs: Int64) {
        self.group = group
        self.items = items
        self.nowMs = nowMs
    }
}
