public import NIOCore

/// Joins a classic group. Versions 0 to 9.
/// Source: Kafka protocol guide, JoinGroup API (Key: 11).
public struct JoinGroupRequest: RequestMessage {
    public typealias Response = JoinGroupResponse
    public static let apiKey = APIKey.joinGroup
    public static let versions: ClosedRange<Int16> = 0...9

    public var groupID = ""
    public var sessionTimeoutMs: Int32 = 0
    /// -1 for the session timeout; always so in version 0.
    public var rebalanceTimeoutMs: Int32 = -1
    public var memberID = ""
    public var groupInstanceID: String?
    public var protocolType = ""
    public var protocols: [GroupProtocol] = []
    public var reason: String?

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        try wire.integer(&sessionTimeoutMs)
        if wire.version >= 1 { try wire.integer(&rebalanceTimeoutMs) }
        try wire.string(&memberID)
        if wire.version >= 5 { try wire.nullableString(&groupInstanceID) }
        try wire.string(&protocolType)
        try wire.array(&protocols)
        if wire.version >= 8 { try wire.nullableString(&reason) }
    }

    /// An assignor that the member knows and what it tells the leader for it.
    public struct GroupProtocol: WireMessage {
        public var name = ""
        public var metadata = ByteBuffer()

        public init() {}
        public init(name: String, metadata: ByteBuffer) {
            self.name = name
            self.metadata = metadata
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.bytes(&metadata)
        }
    }
}

public struct JoinGroupResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var generationID: Int32 = -1
    public var protocolType: String?
    /// Null is allowed from version 7; before, an error is answered with an empty name.
    public var protocolName: String? = ""
    public var leader = ""
    public var skipsAssignment = false
    public var memberID = ""
    /// Filled for the leader only.
    public var members: [Member] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 2 { try wire.integer(&throttleTimeMs) }
        try wire.error(&errorCode)
        try wire.integer(&generationID)
        if wire.version >= 7 { try wire.nullableString(&protocolType) }
        try wire.nullableString(&protocolName, since: 7)
        try wire.string(&leader)
        if wire.version >= 9 { try wire.boolean(&skipsAssignment) }
        try wire.string(&memberID)
        try wire.array(&members)
    }

    public struct Member: WireMessage {
        public var memberID = ""
        public var groupInstanceID: String?
        public var metadata = ByteBuffer()

        public init() {}
        public init(memberID: String, groupInstanceID: String?, metadata: ByteBuffer) {
            self.memberID = memberID
            self.groupInstanceID = groupInstanceID
            self.metadata = metadata
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&memberID)
            if wire.version >= 5 { try wire.nullableString(&groupInstanceID) }
            try wire.bytes(&metadata)
        }
    }
}
