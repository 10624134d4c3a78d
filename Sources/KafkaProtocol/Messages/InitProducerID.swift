/// Asks for a producer id and epoch. Versions 0 to 5; version 6 (KIP-939) is not stable yet.
/// Source: Kafka protocol guide, InitProducerId API (Key: 22).
public struct InitProducerIDRequest: RequestMessage {
    public typealias Response = InitProducerIDResponse
    public static let apiKey = APIKey.initProducerID
    public static let versions: ClosedRange<Int16> = 0...5

    public var transactionalID: String?
    public var transactionTimeoutMs: Int32 = 0
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = -1

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.nullableString(&transactionalID)
        try wire.integer(&transactionTimeoutMs)
        if wire.version >= 3 {
            try wire.integer(&producerID)
            try wire.integer(&producerEpoch)
        }
    }
}

public struct InitProducerIDResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none
    public var producerID: Int64 = -1
    public var producerEpoch: Int16 = 0

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
    }
}
