/// Adds partitions to topics. Versions 0 to 3.
/// Source: Kafka protocol guide, CreatePartitions API (Key: 37).
public struct CreatePartitionsRequest: RequestMessage {
    public typealias Response = CreatePartitionsResponse
    public static let apiKey = APIKey.createPartitions
    public static let versions: ClosedRange<Int16> = 0...3

    public var topics: [Topic] = []
    public var timeoutMs: Int32 = 0
    /// Check only, create nothing.
    public var validatesOnly = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&topics)
        try wire.integer(&timeoutMs)
        try wire.boolean(&validatesOnly)
    }

    public struct Topic: WireMessage {
        public var name = ""
        /// Partitions that the topic shall have in all.
        public var partitionCount: Int32 = 0
        public var assignments: [Assignment]? = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.integer(&partitionCount)
            try wire.nullableArray(&assignments)
        }
    }

    public struct Assignment: WireMessage {
        public var brokerIDs: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.array(&brokerIDs)
        }
    }
}

public struct CreatePartitionsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var results: [Result] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&results)
    }

    public struct Result: WireMessage {
        public var name = ""
        public var errorCode = ErrorCode.none
        public var errorMessage: String?

        public init() {}
        public init(name: String, errorCode: ErrorCode, errorMessage: String?) {
            self.name = name
            self.errorCode = errorCode
            self.errorMessage = errorMessage
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
        }
    }
}
