/// Lists what has settings of its own. Versions 0 to 1, both flexible; version 0 lists client metrics only.
/// Source: Kafka protocol guide, ListConfigResources API (Key: 74); KIP-1142.
public struct ListConfigResourcesRequest: RequestMessage {
    public typealias Response = ListConfigResourcesResponse
    public static let apiKey = APIKey.listConfigResources
    public static let versions: ClosedRange<Int16> = 0...1

    /// From version 1; empty for every type.
    public var resourceTypes: [Int8] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.array(&resourceTypes) }
    }
}

public struct ListConfigResourcesResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var resources: [Resource] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        try wire.array(&resources)
    }

    public struct Resource: WireMessage {
        public var name = ""
        /// From version 1. See ``DescribeConfigsRequest/Resource/type``.
        public var type: Int8 = 16

        public init() {}
        public init(name: String, type: Int8) {
            self.name = name
            self.type = type
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            if wire.version >= 1 { try wire.integer(&type) }
        }
    }
}
