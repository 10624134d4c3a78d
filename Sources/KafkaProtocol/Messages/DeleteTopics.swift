/// Deletes topics by name or id. Versions 1 to 6.
/// Source: Kafka protocol guide, DeleteTopics API (Key: 20).
public struct DeleteTopicsRequest: RequestMessage {
    public typealias Response = DeleteTopicsResponse
    public static let apiKey = APIKey.deleteTopics
    public static let versions: ClosedRange<Int16> = 1...6

    /// From version 6.
    public var topics: [Topic] = []
    /// Up to version 5.
    public var topicNames: [String] = []
    public var timeoutMs: Int32 = 0

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 6 { try wire.array(&topics) } else { try wire.array(&topicNames) }
        try wire.integer(&timeoutMs)
    }

    public struct Topic: WireMessage {
        /// Null where the id says it.
        public var name: String?
        public var topicID = KafkaUUID.zero

        public init() {}
        public init(name: String?, topicID: KafkaUUID = .zero) {
            self.name = name
            self.topicID = topicID
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.nullableString(&name)
            try wire.uuid(&topicID)
        }
    }
}

public struct DeleteTopicsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        /// Null, for an unknown id, not before version 6.
        public var name: String? = ""
        public var topicID = KafkaUUID.zero
        public var errorCode = ErrorCode.none
        public var errorMessage: String?

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.nullableString(&name, since: 6)
            if wire.version >= 6 { try wire.uuid(&topicID) }
            try wire.error(&errorCode)
            if wire.version >= 5 { try wire.nullableString(&errorMessage) }
        }
    }
}
