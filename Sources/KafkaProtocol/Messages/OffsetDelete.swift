/// Forgets committed offsets of a group. Version 0, never flexible.
/// Source: Kafka protocol guide, OffsetDelete API (Key: 47).
public struct OffsetDeleteRequest: RequestMessage {
    public typealias Response = OffsetDeleteResponse
    public static let apiKey = APIKey.offsetDelete
    public static let versions: ClosedRange<Int16> = 0...0

    public var groupID = ""
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&groupID)
        try wire.array(&topics)
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitionIndexes: [Int32] = []

        public init() {}

        // On the wire a partition is a structure of one integer, which takes the same bytes as the integer: this API has
        // no flexible version.
        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitionIndexes)
        }
    }
}

public struct OffsetDeleteResponse: WireMessage {
    public var errorCode = ErrorCode.none
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.error(&errorCode)
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
