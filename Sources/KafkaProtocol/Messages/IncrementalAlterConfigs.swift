/// Changes single settings of topics and brokers. Versions 0 to 1.
/// Source: Kafka protocol guide, IncrementalAlterConfigs API (Key: 44).
public struct IncrementalAlterConfigsRequest: RequestMessage {
    public typealias Response = AlterConfigsResponse
    public static let apiKey = APIKey.incrementalAlterConfigs
    public static let versions: ClosedRange<Int16> = 0...1

    public var resources: [Resource] = []
    /// Check only, change nothing.
    public var validatesOnly = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&resources)
        try wire.boolean(&validatesOnly)
    }

    public struct Resource: WireMessage {
        /// See ``DescribeConfigsRequest/Resource/type``.
        public var type: Int8 = 0
        public var name = ""
        public var configs: [Config] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&type)
            try wire.string(&name)
            try wire.array(&configs)
        }
    }

    public struct Config: WireMessage {
        public var name = ""
        /// 0 set, 1 delete, 2 append, 3 subtract; the last two for lists.
        public var operation: Int8 = 0
        public var value: String? = ""

        public init() {}
        public init(name: String, operation: Int8, value: String?) {
            self.name = name
            self.operation = operation
            self.value = value
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.integer(&operation)
            try wire.nullableString(&value)
        }
    }
}
