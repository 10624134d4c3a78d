/// Makes partitions part of a transaction. Versions 0 to 5: one transaction of a producer up to version 3, several for
/// brokers from version 4.
/// Source: Kafka protocol guide, AddPartitionsToTxn API (Key: 24).
public struct AddPartitionsToTxnRequest: RequestMessage {
    public typealias Response = AddPartitionsToTxnResponse
    public static let apiKey = APIKey.addPartitionsToTxn
    public static let versions: ClosedRange<Int16> = 0...5

    /// From version 4.
    public var transactions: [Transaction] = []
    /// This and the next three: up to version 3.
    public var transactionalID = ""
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        guard wire.version <= 3 else { return try wire.array(&transactions) }
        try wire.string(&transactionalID)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
        try wire.array(&topics)
    }

    public struct Transaction: WireMessage {
        public var transactionalID = ""
        public var producerID: Int64 = 0
        public var producerEpoch: Int16 = 0
        /// Asks whether the partitions are in the transaction and adds none.
        public var verifiesOnly = false
        public var topics: [Topic] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&transactionalID)
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
            try wire.boolean(&verifiesOnly)
            try wire.array(&topics)
        }
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Int32] = []

        public init() {}
        public init(name: String, partitions: [Int32]) {
            self.name = name
            self.partitions = partitions
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
            try wire.array(&partitions)
        }
    }
}

public struct AddPartitionsToTxnResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    /// From version 4, of the request as a whole.
    public var errorCode = ErrorCode.none
    /// From version 4.
    public var transactions: [Transaction] = []
    /// Up to version 3.
    public var topics: [Topic] = []

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        guard wire.version >= 4 else { return try wire.array(&topics) }
        try wire.error(&errorCode)
        try wire.array(&transactions)
    }

    public struct Transaction: WireMessage {
        public var transactionalID = ""
        public var topics: [Topic] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&transactionalID)
            try wire.array(&topics)
        }
    }

    public struct Topic: WireMessage {
        public var name = ""
        public var partitions: [Partition] = []

        public init() {}
        public init(name: String, partitions: [Partition]) {
            self.name = name
            self.partitions = partitions
        }

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
