/// Deletes groups without members. Versions 0 to 2.
/// Source: Kafka protocol guide, DeleteGroups API (Key: 42).
public struct DeleteGroupsRequest: RequestMessage {
    public typealias Response = DeleteGroupsResponse
    public static let apiKey = APIKey.deleteGroups
    public static let versions: ClosedRange<Int16> = 0...2

    public var groupIDs: [String] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&groupIDs)
    }
}

public struct DeleteGroupsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var results: [Result] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&results)
    }

    public struct Result: WireMessage {
        public var groupID = ""
        public var errorCode = ErrorCode.none

        public init() {}
        public init(groupID: String, errorCode: ErrorCode) {
            self.groupID = groupID
            self.errorCode = errorCode
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&groupID)
            try wire.error(&errorCode)
        }
    }
}
