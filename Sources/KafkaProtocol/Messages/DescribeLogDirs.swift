/// Asks what partitions take on the disks of a node. Versions 1 to 5.
/// Source: Kafka protocol guide, DescribeLogDirs API (Key: 35).
public struct DescribeLogDirsRequest: RequestMessage {
    public typealias Response = DescribeLogDirsResponse
    public static let apiKey = APIKey.describeLogDirs
    public static let versions: ClosedRange<Int16> = 1...5

    /// Null for all topics.
    public var topics: [Topic]? = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.nullableArray(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }
}

public struct DescribeLogDirsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    /// From version 3, of the request as a whole.
    public var errorCode = ErrorCode.none
    public var results: [Result] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        if wire.version >= 3 { try wire.error(&errorCode) }
        try wire.array(&results)
    }

    public struct Result: WireMessage {
        public var errorCode = ErrorCode.none
        /// Absolute path.
        public var logDirectory = ""
        public var topics: [Topic] = []
        /// This and the next: -1 where not known; from version 4.
        public var totalBytes: Int64 = -1
        public var usableBytes: Int64 = -1
        /// From version 5: takes no new partitions.
        public var isCordoned = false

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.string(&logDirectory)
            try wire.array(&topics)
            if wire.version >= 4 {
                try wire.integer(&totalBytes)
                try wire.integer(&usableBytes)
            }
            if wire.version >= 5 { try wire.boolean(&isCordoned) }
        }
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
        public var sizeBytes: Int64 = 0
        public var offsetLag: Int64 = 0
        public var isFuture = false

        public init() {}
        public init(index: Int32, sizeBytes: Int64, offsetLag: Int64 = 0, isFuture: Bool = false) {
            self.index = index
            self.sizeBytes = sizeBytes
            self.offsetLag = offsetLag
            self.isFuture = isFuture
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            try wire.integer(&sizeBytes)
            try wire.integer(&offsetLag)
            try wire.boolean(&isFuture)
        }
    }
}
