/// Asks for the producers of partitions. Version 0, flexible.
/// Source: Kafka protocol guide, DescribeProducers API (Key: 61).
public struct DescribeProducersRequest: RequestMessage {
    public typealias Response = DescribeProducersResponse
    public static let apiKey = APIKey.describeProducers
    public static let versions: ClosedRange<Int16> = 0...0

    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitionIndexes: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitionIndexes)
        }
    }
}

public struct DescribeProducersResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var errorCode = ErrorCode.none
        public var errorMessage: String?
        public var activeProducers: [Producer] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
            try wire.array(&activeProducers)
        }
    }

    public struct Producer: WireMessage {
        public var producerID: Int64 = 0
        /// Four bytes wide here, two everywhere else.
        public var producerEpoch: Int32 = 0
        public var lastSequence: Int32 = -1
        public var lastTimestampMs: Int64 = -1
        public var coordinatorEpoch: Int32 = 0
        /// -1 where no transaction is open.
        public var currentTransactionStartOffset: Int64 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
            try wire.integer(&lastSequence)
            try wire.integer(&lastTimestampMs)
            try wire.integer(&coordinatorEpoch)
            try wire.integer(&currentTransactionStartOffset)
        }
    }
}
