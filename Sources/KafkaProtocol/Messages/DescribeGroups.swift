public import NIOCore

/// Asks for the members of groups. Versions 0 to 6.
/// Source: Kafka protocol guide, DescribeGroups API (Key: 15).
public struct DescribeGroupsRequest: RequestMessage {
    public typealias Response = DescribeGroupsResponse
    public static let apiKey = APIKey.describeGroups
    public static let versions: ClosedRange<Int16> = 0...6

    public var groups: [String] = []
    public var includesAuthorizedOperations = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&groups)
        if wire.version >= 3 { try wire.boolean(&includesAuthorizedOperations) }
    }
}

public struct DescribeGroupsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var groups: [Group] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.array(&groups)
    }

    public struct Group: WireMessage {
        public var errorCode = ErrorCode.none
        public var errorMessage: String?
        public var groupID = ""
        public var groupState = ""
        public var protocolType = ""
        /// Name of the assignor in force.
        public var protocolData = ""
        public var members: [Member] = []
        public var authorizedOperations = Int32.min

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            if wire.version >= 6 { try wire.nullableString(&errorMessage) }
            try wire.string(&groupID)
            try wire.string(&groupState)
            try wire.string(&protocolType)
            try wire.string(&protocolData)
            try wire.array(&members)
            if wire.version >= 3 { try wire.integer(&authorizedOperations) }
        }
    }

    public struct Member: WireMessage {
        public var memberID = ""
        public var groupInstanceID: String?
        public var clientID = ""
        public var clientHost = ""
        public var metadata = ByteBuffer()
        public var assignment = ByteBuffer()

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&memberID)
            if wire.version >= 4 { try wire.nullableString(&groupInstanceID) }
            try wire.string(&clientID)
            try wire.string(&clientHost)
            try wire.bytes(&metadata)
            try wire.bytes(&assignment)
        }
    }
}
