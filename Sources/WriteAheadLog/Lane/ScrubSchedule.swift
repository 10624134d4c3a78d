/// Which closed segment is read again, and when the next bytes may be asked for. Facts in, actions out; no I/O, no clock.
///
/// One round reads every closed segment once, the oldest first, and those that are closed meanwhile after them. The next
/// round starts an interval after the last one started.
struct ScrubSchedule {
    enum Action: Equatable {
        case check(segment: UInt64)
        case sleep(untilNs: UInt64)
    }

    private let bytesPerSecond: UInt64
    private let intervalNs: UInt64
    /// Segments through this sequence have been read in this round.
    private var checkedThrough: UInt64 = 0
    private var roundStartNs: UInt64?
    /// The bytes read so far are paid for at this time.
    private var paidNs: UInt64 = 0
    private(set) var rounds: UInt64 = 0
    private var isRoundCounted = false

    /// How long a lane without anything to read waits before it looks again.
    static let idleNs: UInt64 = 10_000_000_000

    init(_ settings: LaneConfiguration.Scrub) {
        bytesPerSecond = UInt64(max(1, settings.bytesPerSecond))
        intervalNs = settings.interval.wholeNanoseconds
    }

    /// - Parameter closed: sequences of the closed segments, ascending.
    mutating func next(closed: [UInt64], nowNs: UInt64) -> Action {
        if let start = roundStartNs, nowNs >= start &+ intervalNs {
            (roundStartNs, checkedThrough, isRoundCounted) = (nil, 0, false)
        }
        guard let segment = closed.first(where: { $0 > checkedThrough }) else {
            if roundStartNs != nil, !isRoundCounted {
                rounds += 1
                isRoundCounted = true
            }
            let roundEnd = roundStartNs.map { $0 &+ intervalNs } ?? .max
            return .sleep(untilNs: min(nowNs + Self.idleNs, roundEnd))
        }
        if nowNs < paidNs { return .sleep(untilNs: paidNs) }
        roundStartNs = roundStartNs ?? nowNs
        return .check(segment: segment)
    }

    /// So many bytes have been read; the time before which no more may be.
    mutating func read(bytes: Int, nowNs: UInt64) -> UInt64 {
        let cost = UInt64(bytes).multipliedFullWidth(by: 1_000_000_000)
        let ns = bytesPerSecond.dividingFullWidth((min(cost.high, bytesPerSecond - 1), cost.low)).quotient
        paidNs = max(paidNs, nowNs) &+ ns
        return paidNs
    }

    /// The segment has been read to its end, or is gone.
    mutating func checked(segment: UInt64) { checkedThrough = max(checkedThrough, segment) }
}
