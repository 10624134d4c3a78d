public import NIOCore

/// Brings the leader's assignment and fetches one's own. Versions 0 to 5.
/// Source: Kafka protocol guide, SyncGroup API (Key: 14).
public struct SyncGroupRequest: RequestMessage {
    public typealias Response = SyncGroupResponse
    public static let apiKey = APIKey.syncGroup
    public static let versions: ClosedRange<Int16> = 0...5

    public var groupID = ""
    public var generationID: Int32 = 0
    public var memberID = ""
    public var groupInstanceID: String?
    public var protocolType: String?
    public var protocolName: String?
    public var assignments: [Assignment] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        try wire.integer(&generationID)
        try wire.string(&memberID)
        if wire.version >= 3 { try wire.nullableString(&groupInstanceID) }
        if wire.version >= 5 {
            try wire.nullableString(&protocolType)
            try wire.nullableString(&protocolName)
        }
        try wire.array(&assignments)
    }

    public struct Assignment: WireMessage {
        public var memberID = ""
        public var assignment = ByteBuffer()

        public init() {}
        public init(memberID: String, assignment: ByteBuffer) {
            self.memberID = memberID
            self.assignment = assignment
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&memberID)
            try wire.bytes(&assignment)
        }
    }
}

public struct SyncGroupResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var protocolType: String?
    public var protocolName: String?
    public var assignment = ByteBuffer()

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.error(&errorCode)
        if wire.version >= 5 {
            try wire.nullableString(&protocolType)
            try wire.nullableString(&protocolName)
        }
        try wire.bytes(&assignment)
    }
}
