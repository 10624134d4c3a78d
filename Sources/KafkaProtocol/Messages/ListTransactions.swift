/// Lists the transactions that a node coordinates. Versions 0 to 2, all flexible.
/// Source: Kafka protocol guide, ListTransactions API (Key: 66).
public struct ListTransactionsRequest: RequestMessage {
    public typealias Response = ListTransactionsResponse
    public static let apiKey = APIKey.listTransactions
    public static let versions: ClosedRange<Int16> = 0...2

    /// Empty for every state.
    public var stateFilters: [String] = []
    /// Empty for every producer.
    public var producerIDFilters: [Int64] = []
    /// Only those that have been open for longer; -1 for all.
    public var durationMsFilter: Int64 = -1
    /// A regular expression of RE2J; null or empty for all.
    public var transactionalIDPattern: String?

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&stateFilters)
        try wire.array(&producerIDFilters)
        if wire.version >= 1 { try wire.integer(&durationMsFilter) }
        if wire.version >= 2 { try wire.nullableString(&transactionalIDPattern) }
    }
}

public struct ListTransactionsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    /// States of the request that nobody knows.
    public var unknownStateFilters: [String] = []
    public var transactions: [Transaction] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        try wire.array(&unknownStateFilters)
        try wire.array(&transactions)
    }

    public struct Transaction: WireMessage {
        public var transactionalID = ""
        public var producerID: Int64 = 0
        public var state = ""

        public init() {}
        public init(transactionalID: String, producerID: Int64, state: String) {
            self.transactionalID = transactionalID
            self.producerID = producerID
            self.state = state
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&transactionalID)
            try wire.integer(&producerID)
            try wire.string(&state)
        }
    }
}
