public import KafkaProtocol
public import NIOCore

/// One record that a terminal's bytes became, before it has a partition or an offset.
///
/// - Shape: `key` is the mountpoint or the terminal id, `value` the bytes as the terminal sent them.
/// - Units: `timestampMs` is milliseconds since 1970-01-01 UTC by the source's own clock.
public struct TerminalRecord: Sendable, Equatable {
    public var key: ByteBuffer?
    public var value: ByteBuffer
    public var timestampMs: Int64
    /// When it arrived, in nanoseconds since the machine started, where the source gave no time: the sink then makes its time,
    /// from the reading of the clocks that the log keeps beside it, so that both are right or wrong together. Nil:
    /// `timestampMs` is the source's and stays as it is.
    public var arrivedNs: UInt64?
    public var headers: [RecordHeader]

    public init(
        key: ByteBuffer?, value: ByteBuffer, timestampMs: Int64, arrivedNs: UInt64? = nil, headers: [RecordHeader] = []
    ) {
        self.key = key
        self.value = value
        self.timestampMs = timestampMs
        self.arrivedNs = arrivedNs
        self.headers = headers
    }

    /// Its time as the clocks read now: the gateway's wall time less its age, or the source's word.
    func timeMs(_ now: WallReading) -> Int64 {
        guard let arrivedNs else { return timestampMs }
        let ageNs = now.monotonicNs > arrivedNs ? now.monotonicNs - arrivedNs : 0
        // Below zero Kafka knows no time.
        return max(0, now.wallMs - Int64(clamping: ageNs / 1_000_000))
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
/// - Order: two deliveries of the same source and key to the same topic are stored in the order of the calls.
/// - The sink picks the partition from the key. The future completes on `eventLoop`; a failed one means that it is
///   not known whether the records were stored.
public protocol TerminalSink: Sendable {
    /// - Parameter source: what the terminal is and its name, as `StreamIdentity.source`; may decide the lane.
    func deliver(_ records: [TerminalRecord], topic: String, from source: String, on eventLoop: any EventLoop)
        -> EventLoopFuture<DeliveryOutcome>
}
