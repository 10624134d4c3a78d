/// Asks for the state of transactions. Version 0, flexible.
/// Source: Kafka protocol guide, DescribeTransactions API (Key: 65).
public struct DescribeTransactionsRequest: RequestMessage {
    public typealias Response = DescribeTransactionsResponse
    public static let apiKey = APIKey.describeTransactions
    public static let versions: ClosedRange<Int16> = 0...0

    public var transactionalIDs: [String] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&transactionalIDs)
    }
}

public struct DescribeTransactionsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var transactions: [Transaction] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&transactions)
    }

    public struct Transaction: WireMessage {
        public var errorCode = ErrorCode.none
        public var transactionalID = ""
        /// For example `Ongoing` or `CompleteCommit`.
        public var state = ""
        public var timeoutMs: Int32 = 0
        /// -1 where none is open.
        public var startTimeMs: Int64 = 0
        public var producerID: Int64 = 0
        public var producerEpoch: Int16 = 0
        public var topics: [Topic] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.string(&transactionalID)
            try wire.string(&state)
            try wire.integer(&timeoutMs)
            try wire.integer(&startTimeMs)
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
            try wire.array(&topics)
        }
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Int32] = []

        public init() {}
        public init(name: String, partitions: [Int32]) {
            self.name = name
            self.partitions = partitions
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }
}
