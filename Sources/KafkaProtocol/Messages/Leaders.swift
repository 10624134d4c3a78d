/// Who leads a partition, for a client that asked the wrong node. The same in Produce and Fetch.
public struct LeaderIDAndEpoch: WireMessage {
    public var leaderID: Int32 = -1
    public var leaderEpoch: Int32 = -1

    public init() {}
    public init(leaderID: Int32, leaderEpoch: Int32) {
        self.leaderID = leaderID
        self.leaderEpoch = leaderEpoch
    }

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&leaderID)
        try wire.integer(&leaderEpoch)
    }
}

/// Where a node named in a ``LeaderIDAndEpoch`` listens.
public struct NodeEndpoint: WireMessage {
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    public var rack: String?

    public init() {}
    public init(nodeID: Int32, host: String, port: Int32, rack: String? = nil) {
        self.nodeID = nodeID
        self.host = host
        self.port = port
        self.rack = rack
    }

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&nodeID)
        try wire.string(&host)
        try wire.integer(&port)
        try wire.nullableString(&rack)
    }
}
