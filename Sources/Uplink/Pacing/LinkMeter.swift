#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the link carries, from uploads that succeeded. Facts in, no clock.
///
/// Uploads that overlap share the link, so bytes are counted over the time in which any was under way. A period of few bytes measures
/// the latency and not the rate: it can only raise the estimate. The weight of a period is its length, so neither one lucky object
/// nor many small ones carry it away.
public struct LinkMeter: Sendable, Equatable {
    /// Nil until something was measured.
    public private(set) var bytesPerSecond: Double?
    private var active = 0
    private var bytes = 0
    private var busySince = Duration.zero
    private var busy = Duration.zero

    public init() {}

    public mutating func began(now: Duration) {
        if active == 0 { busySince = now }
        active += 1
    }

    public mutating func sent(_ count: Int) { bytes += count }

    /// `isWhole`: the store has the object. Bytes of an attempt that failed may not have arrived: its period is forgotten.
    public mutating func ended(isWhole: Bool, now: Duration) {
        precondition(active > 0, "ended without begin")
        busy += max(.zero, now - busySince)
        busySince = now
        active -= 1
        if isWhole {
            guard active == 0 || bytes >= Self.periodBytesMax else { return }
            fold()
        }
        (bytes, busy) = (0, .zero)
    }

    private mutating func fold() {
        let seconds = max(busy / .seconds(1), 0.001)
        let sample = Double(bytes) / seconds
        guard let known = bytesPerSecond else {
            if bytes >= Self.sampleBytesMin || seconds >= 2 { bytesPerSecond = sample }
            return
        }
        guard bytes >= Self.sampleBytesMin || seconds >= 2 || sample > known else { return }
        bytesPerSecond = known + (sample - known) * (1 - exp(-max(seconds, 1) / Self.memorySeconds))
    }

    private static let sampleBytesMin = 64 << 10
    private static let periodBytesMax = 1 << 20
    private static let memorySeconds = 20.0
}

/// Bytes a second over about the last ten seconds.
struct RecentRate: Sendable, Equatable {
    private var value = 0.0
    private var at = Duration.zero

    mutating func add(_ bytes: Int, now: Duration) {
        value = bytesPerSecond(now: now) + Double(bytes) / Self.memorySeconds
        at = now
    }

    func bytesPerSecond(now: Duration) -> Double {
        value * exp(-max(0, (now - at) / .seconds(1)) / Self.memorySeconds)
    }

    private static let memorySeconds = 10.0
}
