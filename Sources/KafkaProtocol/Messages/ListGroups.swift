/// Lists the groups that a node coordinates. Versions 0 to 5.
/// Source: Kafka protocol guide, ListGroups API (Key: 16).
public struct ListGroupsRequest: RequestMessage {
    public typealias Response = ListGroupsResponse
    public static let apiKey = APIKey.listGroups
    public static let versions: ClosedRange<Int16> = 0...5

    /// Empty for groups of every state.
    public var statesFilter: [String] = []
    /// Empty for groups of every type.
    public var typesFilter: [String] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 4 { try wire.array(&statesFilter) }
        if wire.version >= 5 { try wire.array(&typesFilter) }
    }
}

public struct ListGroupsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var groups: [Group] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 1 { try wire.integer(&throttleTimeMs) }
        try wire.error(&errorCode)
        try wire.array(&groups)
    }

    public struct Group: WireMessage {
        public var groupID = ""
        public var protocolType = ""
        /// For example `Stable` or `Empty`.
        public var groupState = ""
        /// For example `classic`.
        public var groupType = ""

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&groupID)
            try wire.string(&protocolType)
            if wire.version >= 4 { try wire.string(&groupState) }
            if wire.version >= 5 { try wire.string(&groupType) }
        }
    }
}
