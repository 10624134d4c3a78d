/// Committed offsets. See ``OffsetFetchRequest``.
public struct OffsetFetchResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    /// Up to version 7.
    public var topics: [Topic] = []
    /// Versions 2 to 7.
    public var errorCode = ErrorCode.none
    /// From version 8.
    public var groups: [Group] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.integer(&throttleTimeMs) }
        guard wire.version <= 7 else { return try wire.array(&groups) }
        try wire.array(&topics)
        if wire.version >= 2 { try wire.error(&errorCode) }
    }

    public struct Group: WireMessage {
        public var groupID = ""
        public var topics: [Topic] = []
        public var errorCode = ErrorCode.none

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&groupID)
            try wire.array(&topics)
            try wire.error(&errorCode)
        }
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
        /// -1 where nothing is committed.
        public var committedOffset: Int64 = 0
        public var committedLeaderEpoch: Int32 = -1
        public var metadata: String? = ""
        public var errorCode = ErrorCode.none

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&committedOffset)
            if wire.version >= 5 { try wire.integer(&committedLeaderEpoch) }
            try wire.nullableString(&metadata)
            try wire.error(&errorCode)
        }
    }
}
