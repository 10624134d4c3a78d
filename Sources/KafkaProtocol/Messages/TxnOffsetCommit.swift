/// Stores what a group has consumed once the transaction commits. Versions 0 to 5.
/// Source: Kafka protocol guide, TxnOffsetCommit API (Key: 28).
public struct TxnOffsetCommitRequest: RequestMessage {
    public typealias Response = TxnOffsetCommitResponse
    public static let apiKey = APIKey.txnOffsetCommit
    public static let versions: ClosedRange<Int16> = 0...5

    public var transactionalID = ""
    public var groupID = ""
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    /// This and the next two: from version 3; the defaults are those of a producer that is no member.
    public var generationID: Int32 = -1
    public var memberID = ""
    public var groupInstanceID: String?
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.string(&groupID)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
        if wire.version >= 3 {
            try wire.integer(&generationID)
            try wire.string(&memberID)
            try wire.nullableString(&groupInstanceID)
        }
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
        public var committedOffset: Int64 = 0
        public var committedLeaderEpoch: Int32 = -1
        public var metadata: String? = ""

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&committedOffset)
            if wire.version >= 2 { try wire.integer(&committedLeaderEpoch) }
            try wire.nullableString(&metadata)
        }
    }
}

public struct TxnOffsetCommitResponse: WireMessage {
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
