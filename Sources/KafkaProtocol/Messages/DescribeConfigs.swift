/// Asks for the settings of topics and brokers. Versions 1 to 4.
/// Source: Kafka protocol guide, DescribeConfigs API (Key: 32).
public struct DescribeConfigsRequest: RequestMessage {
    public typealias Response = DescribeConfigsResponse
    public static let apiKey = APIKey.describeConfigs
    public static let versions: ClosedRange<Int16> = 1...4

    public var resources: [Resource] = []
    public var includesSynonyms = false
    public var includesDocumentation = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&resources)
        try wire.boolean(&includesSynonyms)
        if wire.version >= 3 { try wire.boolean(&includesDocumentation) }
    }

    public struct Resource: WireMessage {
        /// 2 topic, 4 broker, 8 broker logger, 16 client metrics, 32 group.
        public var type: Int8 = 0
        public var name = ""
        /// Null for all keys.
        public var keys: [String]? = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&type)
            try wire.string(&name)
            try wire.nullableArray(&keys)
        }
    }
}

public struct DescribeConfigsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var results: [Result] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&results)
    }

    public struct Result: WireMessage {
        public var errorCode = ErrorCode.none
        public var errorMessage: String? = ""
        public var resourceType: Int8 = 0
        public var resourceName = ""
        public var configs: [Config] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
            try wire.integer(&resourceType)
            try wire.string(&resourceName)
            try wire.array(&configs)
        }
    }

    public struct Config: WireMessage {
        public var name = ""
        public var value: String? = ""
        public var isReadOnly = false
        /// 1 topic, 2 dynamic broker, 3 dynamic default broker, 4 static broker, 5 default, 6 broker logger,
        /// 7 client metrics, 8 group.
        public var source: Int8 = -1
        public var isSensitive = false
        public var synonyms: [Synonym] = []
        /// 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password.
        public var type: Int8 = 0
        public var documentation: String? = ""

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.nullableString(&value)
            try wire.boolean(&isReadOnly)
            try wire.integer(&source)
            try wire.boolean(&isSensitive)
            try wire.array(&synonyms)
            guard wire.version >= 3 else { return }
            try wire.integer(&type)
            try wire.nullableString(&documentation)
        }
    }

    public struct Synonym: WireMessage {
        public var name = ""
        public var value: String? = ""
        public var source: Int8 = 0

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.nullableString(&value)
            try wire.integer(&source)
        }
    }
}
