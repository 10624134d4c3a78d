/// Makes the offsets of a group part of a transaction. Versions 0 to 4.
/// Source: Kafka protocol guide, AddOffsetsToTxn API (Key: 25).
public struct AddOffsetsToTxnRequest: RequestMessage {
    public typealias Response = AddOffsetsToTxnResponse
    public static let apiKey = APIKey.addOffsetsToTxn
    public static let versions: ClosedRange<Int16> = 0...4

    public var transactionalID = ""
    public var producerID: Int64 = 0
    public var producerEpoch: Int16 = 0
    public var groupID = ""

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&transactionalID)
        try wire.integer(&producerID)
        try wire.integer(&producerEpoch)
        try wire.string(&groupID)
    }
}

public struct AddOffsetsToTxnResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var errorCode = ErrorCode.none

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.error(&errorCode)
    }
}
