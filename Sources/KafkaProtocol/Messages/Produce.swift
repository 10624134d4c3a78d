public import NIOCore

/// Appends record batches. Versions 3 to 13; a broker shows 0 to 13 (KAFKA-18659).
/// Source: Kafka protocol guide, Produce API (Key: 0).
public struct ProduceRequest: RequestMessage {
    public typealias Response = ProduceResponse
    public static let apiKey = APIKey.produce
    public static let versions: ClosedRange<Int16> = 3...13

    public var transactionalID: String?
    /// -1 and 1 want an answer, 0 wants none.
    public var acks: Int16 = 0
    public var timeoutMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.nullableString(&transactionalID)
        try wire.integer(&acks)
        try wire.integer(&timeoutMs)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        /// Up to version 12.
        public var name = ""
        /// From version 13.
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
        /// A slice of the request, not checked: see ``RecordBatch/validateOne(_:)``.
        public var records: ByteBuffer?

        public init() {}
        public init(index: Int32, records: ByteBuffer?) {
            self.index = index
            self.records = records
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.records(&records)
        }
    }
}

public struct ProduceResponse: WireMessage {
    public var topics: [Topic] = []
    public var throttleTimeMs: Int32 = 0
    public var nodeEndpoints: [NodeEndpoint] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&topics)
        try wire.integer(&throttleTimeMs)
        if wire.version >= 10 {
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
        public var baseOffset: Int64 = 0
        /// -1 where the records keep the time that the producer gave them.
        public var logAppendTimeMs: Int64 = -1
        public var logStartOffset: Int64 = -1
        public var recordErrors: [RecordError] = []
        public var errorMessage: String?
        public var currentLeader = LeaderIDAndEpoch()

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.error(&errorCode)
            try wire.integer(&baseOffset)
            try wire.integer(&logAppendTimeMs)
            if wire.version >= 5 { try wire.integer(&logStartOffset) }
            if wire.version >= 8 {
                try wire.array(&recordErrors)
                try wire.nullableString(&errorMessage)
            }
            if wire.version >= 10 {
                try wire.tagged(0, isDefault: currentLeader == LeaderIDAndEpoch()) { wire throws(WireError) in
                    try wire.structure(&currentLeader)
                }
            }
        }
    }

    public struct RecordError: WireMessage {
        /// Place of the record in its batch.
        public var batchIndex: Int32 = 0
        public var message: String?

        public init() {}
        public init(batchIndex: Int32, message: String?) {
            self.batchIndex = batchIndex
            self.message = message
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&batchIndex)
            try wire.nullableString(&message)
        }
    }
}
