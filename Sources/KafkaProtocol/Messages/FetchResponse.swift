public import NIOCore

/// Record batches by partition. See ``FetchRequest``.
public struct FetchResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    /// 0 for no session.
    public var sessionID: Int32 = 0
    public var topics: [Topic] = []
    public var nodeEndpoints: [NodeEndpoint] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        if wire.version >= 7 {
            try wire.error(&errorCode)
            try wire.integer(&sessionID)
        }
        try wire.array(&topics)
        if wire.version >= 16 {
            try wire.tagged(0, isDefault: nodeEndpoints.isEmpty) { wire throws(WireError) in
                try wire.array(&nodeEndpoints)
            }
        }
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var topicID = KafkaUUID.zero
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var errorCode = ErrorCode.none
        public var highWatermark: Int64 = 0
        public var lastStableOffset: Int64 = -1
        public var logStartOffset: Int64 = -1
        public var divergingEpoch = EpochEndOffset()
        public var currentLeader = LeaderIDAndEpoch()
        public var snapshotID = SnapshotID()
        public var abortedTransactions: [AbortedTransaction]? = []
        public var preferredReadReplica: Int32 = -1
        /// Batches back to back. Large ones are sent by reference. "None" is empty: brokers of Kafka never send null.
        public var records: ByteBuffer? = ByteBuffer()
        /// What follows ``records`` on the wire: a partition's batches from several places need no copy to be sent. A
        /// response that was read has all in ``records``.
        public var moreRecords: [ByteBuffer] = []

        /// Of all records.
        public var recordsBytes: Int { moreRecords.reduce(records?.readableBytes ?? 0) { $0 + $1.readableBytes } }

        public init() {}

        /// Records in slices that are sent one after the other.
        public mutating func setRecords(_ slices: [ByteBuffer]) {
            records = slices.first ?? ByteBuffer()
            moreRecords = Array(slices.dropFirst())
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.error(&errorCode)
            try wire.integer(&highWatermark)
            try wire.integer(&lastStableOffset)
            if wire.version >= 5 { try wire.integer(&logStartOffset) }
            try wire.nullableArray(&abortedTransactions)
            if wire.version >= 11 { try wire.integer(&preferredReadReplica) }
            try wire.records(&records, more: &moreRecords)
            try taggedFields(&wire)
        }

        private mutating func taggedFields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.tagged(0, isDefault: divergingEpoch == EpochEndOffset()) { wire throws(WireError) in
                try wire.structure(&divergingEpoch)
            }
            try wire.tagged(1, isDefault: currentLeader == LeaderIDAndEpoch()) { wire throws(WireError) in
                try wire.structure(&currentLeader)
            }
            try wire.tagged(2, isDefault: snapshotID == SnapshotID()) { wire throws(WireError) in
                try wire.structure(&snapshotID)
            }
        }
    }

    /// Where the log of a reader and of the leader part.
    public struct EpochEndOffset: WireMessage {
        public var epoch: Int32 = -1
        public var endOffset: Int64 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&epoch)
            try wire.integer(&endOffset)
        }
    }

    public struct SnapshotID: WireMessage {
        public var endOffset: Int64 = -1
        public var epoch: Int32 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&endOffset)
            try wire.integer(&epoch)
        }
    }

    public struct AbortedTransaction: WireMessage {
        public var producerID: Int64 = 0
        public var firstOffset: Int64 = 0

        public init() {}
        public init(producerID: Int64, firstOffset: Int64) {
            self.producerID = producerID
            self.firstOffset = firstOffset
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&producerID)
            try wire.integer(&firstOffset)
        }
    }
}
