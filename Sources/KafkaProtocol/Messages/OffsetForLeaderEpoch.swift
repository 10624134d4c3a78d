/// Asks where a leader epoch ended. Versions 2 to 4.
/// Source: Kafka protocol guide, OffsetForLeaderEpoch API (Key: 23).
public struct OffsetForLeaderEpochRequest: RequestMessage {
    public typealias Response = OffsetForLeaderEpochResponse
    public static let apiKey = APIKey.offsetForLeaderEpoch
    public static let versions: ClosedRange<Int16> = 2...4

    /// -1 for a consumer, -2 where it does not say.
    public var replicaID: Int32 = -2
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.integer(&replicaID) }
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var currentLeaderEpoch: Int32 = -1
        public var leaderEpoch: Int32 = 0

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&currentLeaderEpoch)
            try wire.integer(&leaderEpoch)
        }
    }
}

public struct OffsetForLeaderEpochResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var errorCode = ErrorCode.none
        public var index: Int32 = 0
        public var leaderEpoch: Int32 = -1
        public var endOffset: Int64 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.integer(&index)
            try wire.integer(&leaderEpoch)
            try wire.integer(&endOffset)
        }
    }
}
