public import KafkaProtocol
public import NIOCore

/// One record that a terminal's bytes became, before it has a partition or an offset.
///
/// - Shape: `key` is the mountpoint or the terminal id, `value` the bytes as the terminal sent them.
/// - Units: `timestampMs` is milliseconds since 1970-01-01 UTC by the gateway's clock, which may be wrong.
public struct TerminalRecord: Sendable, Equatable {
    public var key: ByteBuffer?
    public var value: ByteBuffer
    public var timestampMs: Int64
    public var headers: [RecordHeader]

    public init(key: ByteBuffer?, value: ByteBuffer, timestampMs: Int64, headers: [RecordHeader] = []) {
        self.key = key
        self.value = value
        self.timestampMs = timestampMs
        self.headers = headers
    }
}

/// What became of the records given to a ``TerminalSink``. All of them share it; a delivery is never half done.
public enum DeliveryOutcome: Sendable, Equatable {
    /// They would survive a power cut.
    case durable
    /// Nothing was stored. Keep them, take no more from the terminal, and offer them again after `retryAfter`.
    case full(retryAfter: Duration)
    /// Nothing was stored and the same records would be refused again.
    case refused(reason: String)
}

/// Takes the records of one terminal in order; the future completes after the group's fdatasync.
///
/// - Order: two deliveries of the same key to the same topic are stored in the order of the calls.
/// - The sink picks the partition from the key. The future completes on `eventLoop`; a failed one means that it is
///   not known whether the records were stored.
public protocol TerminalSink: Sendable {
    func deliver(_ records: [TerminalRecord], topic: String, on eventLoop: any EventLoop)
        -> EventLoopFuture<DeliveryOutcome>
}
