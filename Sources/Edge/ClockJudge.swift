public import WriteAheadLog

/// How far the wall clock may be believed, by evidence: what the kernel says of its discipline, whether the time is possible at all, and
/// whether the clock has just been stepped. Facts in, quality out; no I/O.
///
/// One source is never enough: gpsd 3.22 set clocks back by 1024 weeks with every sign of health, boards without a battery boot in 1970 or at
/// the time that a file remembers, and NTP steps a wrong clock long after programs have started.
public struct ClockJudge: Sendable {
    /// What the kernel's clock discipline says (adjtimex(2)).
    public enum Discipline: Sendable, Equatable {
        case unknown, unsynchronized, synchronized
    }

    /// No time before this one is possible: this program was not there yet. 2026-01-01, UTC, in milliseconds.
    public static let programMs: Int64 = 1_767_225_600_000
    /// A gateway may have been on a shelf, but not for longer.
    static let shelfMs: Int64 = 5 * 365 * 86_400_000
    /// The newest frame may have been stamped by a clock that was a little fast.
    static let slackMs: Int64 = 3_600_000
    static let stepMs = ClockReading.stepMs
    /// How long a clock must go on without a step, and with the kernel's word, until it is believed again.
    static let settleMs: Int64 = 60_000

    /// No time before this one, but for a little slack, is possible any more.
    private(set) var notBeforeMs = programMs
    /// Wall time less monotonic time when the judge last looked.
    private var offsetMs: Int64?
    private var steppedAtMs: Int64?
    public private(set) var steps: UInt64 = 0

    public init() {}

    /// A time that has certainly passed: of the newest durable frame that a believed clock has stamped.
    /// What lies more than fifty years after this program is no such time.
    public mutating func learn(notBeforeMs: Int64) {
        guard notBeforeMs <= Self.programMs + 10 * Self.shelfMs else { return }
        self.notBeforeMs = max(self.notBeforeMs, notBeforeMs)
    }

    /// Whether the clock went on as the monotonic one did since the last judgement; if not, judge at once.
    public func isSteady(wallMs: Int64, monotonicMs: Int64) -> Bool {
        guard let offsetMs else { return false }
        return Self.distance(Self.offset(wallMs, monotonicMs), offsetMs) <= Self.stepMs
    }

    public mutating func judge(wallMs: Int64, monotonicMs: Int64, discipline: Discipline) -> ClockQuality {
        if offsetMs != nil, !isSteady(wallMs: wallMs, monotonicMs: monotonicMs) {
            steps += 1
            steppedAtMs = monotonicMs
        }
        offsetMs = Self.offset(wallMs, monotonicMs)
        guard isPossible(wallMs), discipline != .unknown else { return .unknown }
        guard discipline == .synchronized else { return .freeRunning }
        if let steppedAtMs {
            guard monotonicMs - steppedAtMs >= Self.settleMs else { return .freeRunning }
            self.steppedAtMs = nil
        }
        notBeforeMs = max(notBeforeMs, wallMs)
        return .synchronized
    }

    private func isPossible(_ wallMs: Int64) -> Bool {
        wallMs >= notBeforeMs - Self.slackMs && wallMs <= notBeforeMs + Self.shelfMs
    }

    private static func offset(_ wallMs: Int64, _ monotonicMs: Int64) -> Int64 {
        wallMs.subtractingReportingOverflow(monotonicMs).partialValue
    }

    private static func distance(_ one: Int64, _ other: Int64) -> Int64 {
        let (difference, overflow) = one.subtractingReportingOverflow(other)
        return overflow || difference == .min ? .max : abs(difference)
    }
}
