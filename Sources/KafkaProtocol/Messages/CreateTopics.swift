/// Creates topics. Versions 2 to 7.
/// Source: Kafka protocol guide, CreateTopics API (Key: 19).
public struct CreateTopicsRequest: RequestMessage {
    public typealias Response = CreateTopicsResponse
    public static let apiKey = APIKey.createTopics
    public static let versions: ClosedRange<Int16> = 2...7

    public var topics: [Topic] = []
    public var timeoutMs: Int32 = 60_000
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
        /// -1 for the broker's default, or where ``assignments`` says it.
        public var partitionCount: Int32 = 0
        /// -1 for the broker's default.
        public var replicationFactor: Int16 = 0
        public var assignments: [Assignment] = []
        public var configs: [Config] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.integer(&partitionCount)
            try wire.integer(&replicationFactor)
            try wire.array(&assignments)
            try wire.array(&configs)
        }
    }

    public struct Assignment: WireMessage {
        public var index: Int32 = 0
        public var brokerIDs: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.array(&brokerIDs)
        }
    }

    public struct Config: WireMessage {
        public var name = ""
        public var value: String? = ""

        public init() {}
        public init(name: String, value: String?) {
            self.name = name
            self.value = value
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.nullableString(&value)
        }
    }
}

public struct CreateTopicsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var topicID = KafkaUUID.zero
        public var errorCode = ErrorCode.none
        public var errorMessage: String? = ""
        /// Why ``configs`` could not be given.
        public var configErrorCode = ErrorCode.none
        public var partitionCount: Int32 = -1
        public var replicationFactor: Int16 = -1
        public var configs: [Config]? = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            if wire.version >= 7 { try wire.uuid(&topicID) }
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
            guard wire.version >= 5 else { return }
            try wire.integer(&partitionCount)
            try wire.integer(&replicationFactor)
            try wire.nullableArray(&configs)
            try wire.tagged(0, isDefault: configErrorCode == .none) { wire throws(WireError) in
                try wire.error(&configErrorCode)
            }
        }
    }

    public struct Config: WireMessage {
        public var name = ""
        public var value: String? = ""
        public var isReadOnly = false
        /// See ``DescribeConfigsResponse/Config/source``.
        public var source: Int8 = -1
        public var isSensitive = false

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.nullableString(&value)
            try wire.boolean(&isReadOnly)
            try wire.integer(&source)
            try wire.boolean(&isSensitive)
        }
    }
}
