/// How many bytes may leave now, so that no more than a rate leaves over time. Facts in, waits out: no clock.
///
/// Times are monotonic, measured from any one start; one that goes back counts as no time.
public struct TokenBucket: Sendable, Equatable {
    /// Nil: no limit.
    public private(set) var bytesPerSecond: Int?
    /// What may leave at once after a pause.
    public let burstBytes: Int
    private var tokens: Double
    private var filledAt: Duration

    public init(bytesPerSecond: Int?, burstBytes: Int, now: Duration) {
        precondition(bytesPerSecond ?? 1 > 0 && burstBytes > 0, "\(bytesPerSecond ?? 0) bytes/s, burst \(burstBytes)")
        self.bytesPerSecond = bytesPerSecond
        self.burstBytes = burstBytes
        tokens = Double(burstBytes)
        filledAt = now
    }

    /// What was saved up stays.
    public mutating func setRate(_ bytesPerSecond: Int?, now: Duration) {
        precondition(bytesPerSecond ?? 1 > 0, "\(bytesPerSecond ?? 0) bytes/s")
        fill(now: now)
        self.bytesPerSecond = bytesPerSecond
    }

    /// Zero if `bytes` may leave now. More bytes than the burst wait for a full bucket and leave it in debt.
    public mutating func wait(for bytes: Int, now: Duration) -> Duration {
        guard let bytesPerSecond else { return .zero }
        fill(now: now)
        let missing = Double(min(bytes, burstBytes)) - tokens
        // A thousandth of a byte is rounding, not debt.
        return missing <= 0.001 ? .zero : .seconds(missing / Double(bytesPerSecond))
    }

    public mutating func take(_ bytes: Int, now: Duration) {
        guard bytesPerSecond != nil else { return }
        fill(now: now)
        tokens -= Double(bytes)
    }

    private mutating func fill(now: Duration) {
        guard now > filledAt else { return }
        let seconds = (now - filledAt) / .seconds(1)
        tokens = min(tokens + seconds * Double(bytesPerSecond ?? burstBytes), Double(burstBytes))
        filledAt = now
    }
}
