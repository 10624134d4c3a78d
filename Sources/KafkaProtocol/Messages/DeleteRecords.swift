/// Moves the beginning of partitions forward. Versions 0 to 2.
/// Source: Kafka protocol guide, DeleteRecords API (Key: 21).
public struct DeleteRecordsRequest: RequestMessage {
    public typealias Response = DeleteRecordsResponse
    public static let apiKey = APIKey.deleteRecords
    public static let versions: ClosedRange<Int16> = 0...2

    public var topics: [Topic] = []
    public var timeoutMs: Int32 = 0

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&topics)
        try wire.integer(&timeoutMs)
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
        /// The first offset to keep; -1 for the high watermark.
        public var offset: Int64 = 0

        public init() {}
        public init(index: Int32, offset: Int64) {
            self.index = index
            self.offset = offset
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&offset)
        }
    }
}

public struct DeleteRecordsResponse: WireMessage {
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
        /// Where the partition begins now; -1 with an error.
        public var lowWatermark: Int64 = 0
        public var errorCode = ErrorCode.none

        public init() {}
        public init(index: Int32, lowWatermark: Int64, errorCode: ErrorCode) {
            self.index = index
            self.lowWatermark = lowWatermark
            self.errorCode = errorCode
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&lowWatermark)
            try wire.error(&errorCode)
        }
    }
}
