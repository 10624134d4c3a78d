/// Asks for the offset at a time. Versions 1 to 11.
/// Source: Kafka protocol guide, ListOffsets API (Key: 2).
public struct ListOffsetsRequest: RequestMessage {
    public typealias Response = ListOffsetsResponse
    public static let apiKey = APIKey.listOffsets
    public static let versions: ClosedRange<Int16> = 1...11

    /// Times that are no times.
    public static let latestTimestamp: Int64 = -1
    public static let earliestTimestamp: Int64 = -2
    public static let maxTimestamp: Int64 = -3
    public static let earliestLocalTimestamp: Int64 = -4
    public static let latestTieredTimestamp: Int64 = -5
    public static let earliestPendingUploadTimestamp: Int64 = -6

    public var replicaID: Int32 = -1
    /// 0 reads uncommitted records too, 1 only committed ones.
    public var isolationLevel: Int8 = 0
    public var topics: [Topic] = []
    public var timeoutMs: Int32 = 0

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&replicaID)
        if wire.version >= 2 { try wire.integer(&isolationLevel) }
        try wire.array(&topics)
        if wire.version >= 10 { try wire.integer(&timeoutMs) }
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
        public var timestampMs: Int64 = 0

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            if wire.version >= 4 { try wire.integer(&currentLeaderEpoch) }
            try wire.integer(&timestampMs)
        }
    }
}

public struct ListOffsetsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 2 { try wire.integer(&throttleTimeMs) }
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
        public var errorCode = ErrorCode.none
        public var timestampMs: Int64 = -1
        public var offset: Int64 = -1
        public var leaderEpoch: Int32 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.error(&errorCode)
            try wire.integer(&timestampMs)
            try wire.integer(&offset)
            if wire.version >= 4 { try wire.integer(&leaderEpoch) }
        }
    }
}
