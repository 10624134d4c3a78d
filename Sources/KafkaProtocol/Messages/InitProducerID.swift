/// Asks for a producer id and epoch. Versions 0 to 6; version 6 (KIP-939, two-phase commit) is read but not stable, so a
/// broker shows 5.
/// Source: Kafka protocol guide, InitProducerId API (Key: 22).
public struct InitProducerIDRequest: RequestMessage {
    public typealias Response = InitProducerIDResponse
    public static let apiKey = APIKey.initProducerID
    public static let versions: ClosedRange<Int16> = 0...6
    public static let newestStableVersion: Int16 = 5

    public var transactionalID: String?
    public var transactionTimeoutMs: Int32 = 0
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = -1
    /// This and the next: from version 6.
    public var enablesTwoPhaseCommit = false
    public var keepsPreparedTransaction = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.nullableString(&transactionalID)
        try wire.integer(&transactionTimeoutMs)
        if wire.version >= 3 {
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
        }
        if wire.version >= 6 {
            try wire.boolean(&enablesTwoPhaseCommit)
            try wire.boolean(&keepsPreparedTransaction)
        }
    }
}

public struct InitProducerIDResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = 0
    /// This and the next: from version 6.
    public var ongoingTransactionProducerID: Int64 = -1
    public var ongoingTransactionProducerEpoch: Int16 = -1

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
        if wire.version >= 6 {
            try wire.integer(&ongoingTransactionProducerID)
            try wire.integer(&ongoingTransactionProducerEpoch)
        }
    }
}
