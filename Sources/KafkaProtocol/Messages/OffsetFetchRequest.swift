/// Asks what groups have consumed. Versions 1 to 10; one group up to version 7, several from version 8.
/// Source: Kafka protocol guide, OffsetFetch API (Key: 9).
public struct OffsetFetchRequest: RequestMessage {
    public typealias Response = OffsetFetchResponse
    public static let apiKey = APIKey.offsetFetch
    public static let versions: ClosedRange<Int16> = 1...10

    /// Up to version 7.
    public var groupID = ""
    /// Up to version 7. Null, allowed from version 2, for all that the group has committed.
    public var topics: [Topic]? = []
    /// From version 8.
    public var groups: [Group] = []
    public var requiresStable = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version <= 7 {
            try wire.string(&groupID)
            try wire.nullableArray(&topics, since: 2)
        } else {
            try wire.array(&groups)
        }
        if wire.version >= 7 { try wire.boolean(&requiresStable) }
    }

    public struct Group: WireMessage {
        public var groupID = ""
        public var memberID: String?
        public var memberEpoch: Int32 = -1
        /// Null for all that the group has committed.
        public var topics: [Topic]? = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&groupID)
            if wire.version >= 9 {
                try wire.nullableString(&memberID)
                try wire.integer(&memberEpoch)
            }
            try wire.nullableArray(&topics)
        }
    }

    public struct Topic: WireMessage {
        /// Up to version 9.
        public var name = ""
        /// From version 10.
        public var topicID = KafkaUUID.zero
        public var partitionIndexes: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitionIndexes)
        }
    }
}
