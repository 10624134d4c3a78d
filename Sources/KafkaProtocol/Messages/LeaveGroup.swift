/// Leaves a classic group, or removes members from it. Versions 0 to 5.
/// Source: Kafka protocol guide, LeaveGroup API (Key: 13).
public struct LeaveGroupRequest: RequestMessage {
    public typealias Response = LeaveGroupResponse
    public static let apiKey = APIKey.leaveGroup
    public static let versions: ClosedRange<Int16> = 0...5

    public var groupID = ""
    /// Up to version 2.
    public var memberID = ""
    /// From version 3.
    public var members: [Member] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        if wire.version <= 2 { try wire.string(&memberID) } else { try wire.array(&members) }
    }

    public struct Member: WireMessage {
        public var memberID = ""
        public var groupInstanceID: String?
        public var reason: String?

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&memberID)
            try wire.nullableString(&groupInstanceID)
            if wire.version >= 5 { try wire.nullableString(&reason) }
        }
    }
}

public struct LeaveGroupResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    /// From version 3.
    public var members: [Member] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.error(&errorCode)
        if wire.version >= 3 { try wire.array(&members) }
    }

    public struct Member: WireMessage {
        public var memberID = ""
        public var groupInstanceID: String?
        public var errorCode = ErrorCode.none

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&memberID)
            try wire.nullableString(&groupInstanceID)
            try wire.error(&errorCode)
        }
    }
}
