/// Ends transactions in the partitions of a leader. Versions 1 to 2, both flexible.
/// Source: Kafka protocol guide, WriteTxnMarkers API (Key: 27).
public struct WriteTxnMarkersRequest: RequestMessage {
    public typealias Response = WriteTxnMarkersResponse
    public static let apiKey = APIKey.writeTxnMarkers
    public static let versions: ClosedRange<Int16> = 1...2

    public var markers: [Marker] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&markers)
    }

    public struct Marker: WireMessage {
        public var producerID: Int64 = 0
        public var producerEpoch: Int16 = 0
        /// Commit, else abort.
        public var isCommit = false
        public var topics: [Topic] = []
        public var coordinatorEpoch: Int32 = 0
        /// From version 2.
        public var transactionVersion: Int8 = 0

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
            try wire.boolean(&isCommit)
            try wire.array(&topics)
            try wire.integer(&coordinatorEpoch)
            if wire.version >= 2 { try wire.integer(&transactionVersion) }
        }
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitionIndexes: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitionIndexes)
        }
    }
}

public struct WriteTxnMarkersResponse: WireMessage {
    public var markers: [Marker] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&markers)
    }

    public struct Marker: WireMessage {
        public var producerID: Int64 = 0
        public var topics: [Topic] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&producerID)
            try wire.array(&topics)
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
