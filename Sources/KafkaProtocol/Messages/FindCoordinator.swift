/// Asks which node coordinates a group or a transactional id. Versions 0 to 6.
/// Source: Kafka protocol guide, FindCoordinator API (Key: 10).
public struct FindCoordinatorRequest: RequestMessage {
    public typealias Response = FindCoordinatorResponse
    public static let apiKey = APIKey.findCoordinator
    public static let versions: ClosedRange<Int16> = 0...6

    /// Up to version 3.
    public var key = ""
    /// 0 group, 1 transactional id, 2 share group.
    public var keyType: Int8 = 0
    /// From version 4.
    public var coordinatorKeys: [String] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version <= 3 { try wire.string(&key) }
        if wire.version >= 1 { try wire.integer(&keyType) }
        if wire.version >= 4 { try wire.array(&coordinatorKeys) }
    }
}

/// One answer in the response itself up to version 3, a list from version 4.
public struct FindCoordinatorResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var errorMessage: String?
    public var nodeID: Int32 = 0
    public var host = ""
    public var port: Int32 = 0
    public var coordinators: [Coordinator] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        guard wire.version <= 3 else { return try wire.array(&coordinators) }
        try wire.error(&errorCode)
        if wire.version >= 1 { try wire.nullableString(&errorMessage) }
        try wire.integer(&nodeID)
        try wire.string(&host)
        try wire.integer(&port)
    }

    public struct Coordinator: WireMessage {
        public var key = ""
        public var nodeID: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        public var errorCode = ErrorCode.none
        public var errorMessage: String?

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&key)
            try wire.integer(&nodeID)
            try wire.string(&host)
            try wire.integer(&port)
            try wire.error(&errorCode)
            try wire.nullableString(&errorMessage)
        }
    }
}
