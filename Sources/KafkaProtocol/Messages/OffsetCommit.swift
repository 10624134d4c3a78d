/// Stores what a group has consumed. Versions 2 to 10.
/// Source: Kafka protocol guide, OffsetCommit API (Key: 8).
public struct OffsetCommitRequest: RequestMessage {
    public typealias Response = OffsetCommitResponse
    public static let apiKey = APIKey.offsetCommit
    public static let versions: ClosedRange<Int16> = 2...10

    public var groupID = ""
    /// The generation of a classic group, the member epoch of a new one, -1 for a consumer that is in no group.
    public var generationIDOrMemberEpoch: Int32 = -1
    public var memberID = ""
    public var groupInstanceID: String?
    public var retentionTimeMs: Int64 = -1
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        try wire.integer(&generationIDOrMemberEpoch)
        try wire.string(&memberID)
        if wire.version >= 7 { try wire.nullableString(&groupInstanceID) }
        if wire.version <= 4 { try wire.integer(&retentionTimeMs) }
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        /// Up to version 9.
        public var name = ""
        /// From version 10.
        public var topicID = KafkaUUID.zero
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var committedOffset: Int64 = 0
        public var committedLeaderEpoch: Int32 = -1
        public var metadata: String? = ""

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&committedOffset)
            if wire.version >= 6 { try wire.integer(&committedLeaderEpoch) }
            try wire.nullableString(&metadata)
        }
    }
}

public struct OffsetCommitResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.integer(&throttleTimeMs) }
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var topicID = KafkaUUID.zero
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 9 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var errorCode = ErrorCode.none

        public init() {}
        public init(index: Int32, errorCode: ErrorCode) {
            self.index = index
            self.errorCode = errorCode
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.error(&errorCode)
        }
    }
}
