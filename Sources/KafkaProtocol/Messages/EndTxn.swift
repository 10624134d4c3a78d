/// Commits or aborts a transaction. Versions 0 to 5; from version 5 each transaction has its own epoch (KIP-890).
/// Source: Kafka protocol guide, EndTxn API (Key: 26).
public struct EndTxnRequest: RequestMessage {
    public typealias Response = EndTxnResponse
    public static let apiKey = APIKey.endTxn
    public static let versions: ClosedRange<Int16> = 0...5

    public var transactionalID = ""
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    /// Commit, else abort.
    public var isCommit = false

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
        try wire.boolean(&isCommit)
    }
}

public struct EndTxnResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    /// From version 5: what the producer goes on with.
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = -1

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        if wire.version >= 5 {
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
        }
    }
}
