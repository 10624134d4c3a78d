/// Says that a member of a classic group lives. Versions 0 to 4.
/// Source: Kafka protocol guide, Heartbeat API (Key: 12).
public struct HeartbeatRequest: RequestMessage {
    public typealias Response = HeartbeatResponse
    public static let apiKey = APIKey.heartbeat
    public static let versions: ClosedRange<Int16> = 0...4

    public var groupID = ""
    public var generationID: Int32 = 0
    public var memberID = ""
    public var groupInstanceID: String?

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        try wire.integer(&generationID)
        try wire.string(&memberID)
        if wire.version >= 3 { try wire.nullableString(&groupInstanceID) }
    }
}

public struct HeartbeatResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.error(&errorCode)
    }
}
