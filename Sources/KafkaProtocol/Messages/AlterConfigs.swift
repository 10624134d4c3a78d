/// Replaces all settings of topics and brokers: one that is not named goes back to its default. Versions 0 to 2.
/// Source: Kafka protocol guide, AlterConfigs API (Key: 33).
public struct AlterConfigsRequest: RequestMessage {
    public typealias Response = AlterConfigsResponse
    public static let apiKey = APIKey.alterConfigs
    public static let versions: ClosedRange<Int16> = 0...2

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

/// One answer a resource. ``IncrementalAlterConfigsRequest`` has the same.
public struct AlterConfigsResponse: WireMessage {
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

        public init() {}
        public init(errorCode: ErrorCode, errorMessage: String?, resourceType: Int8, resourceName: String) {
            self.errorCode = errorCode
            self.errorMessage = errorMessage
            self.resourceType = resourceType
            self.resourceName = resourceName
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
            try wire.integer(&resourceType)
            try wire.string(&resourceName)
        }
    }
}
