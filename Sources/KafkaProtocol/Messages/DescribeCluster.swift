/// Asks for the nodes of the cluster. Versions 0 to 2, all flexible.
/// Source: Kafka protocol guide, DescribeCluster API (Key: 60).
public struct DescribeClusterRequest: RequestMessage {
    public typealias Response = DescribeClusterResponse
    public static let apiKey = APIKey.describeCluster
    public static let versions: ClosedRange<Int16> = 0...2

    public var includesClusterAuthorizedOperations = false
    /// 1 brokers, 2 controllers.
    public var endpointType: Int8 = 1
    public var includesFencedBrokers = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.boolean(&includesClusterAuthorizedOperations)
        if wire.version >= 1 { try wire.integer(&endpointType) }
        if wire.version >= 2 { try wire.boolean(&includesFencedBrokers) }
    }
}

public struct DescribeClusterResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var errorMessage: String?
    public var endpointType: Int8 = 1
    public var clusterID = ""
    public var controllerID: Int32 = -1
    public var brokers: [Broker] = []
    public var clusterAuthorizedOperations = Int32.min

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        try wire.nullableString(&errorMessage)
        if wire.version >= 1 { try wire.integer(&endpointType) }
        try wire.string(&clusterID)
        try wire.integer(&controllerID)
        try wire.array(&brokers)
        try wire.integer(&clusterAuthorizedOperations)
    }

    public struct Broker: WireMessage {
        public var brokerID: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        public var rack: String?
        public var isFenced = false

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&brokerID)
            try wire.string(&host)
            try wire.integer(&port)
            try wire.nullableString(&rack)
            if wire.version >= 2 { try wire.boolean(&isFenced) }
        }
    }
}
