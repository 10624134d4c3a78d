import Synchronization
public import WriteAheadLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What time it is, and how much that may be believed. Handed to everything that stamps records.
public protocol WallClock: Sendable {
    func read() -> WallReading
    /// A time that has certainly passed: an earlier reading is wrong. See ``ClockJudge``.
    func learn(notBeforeMs: Int64)
    /// The newest time that has certainly passed, whatever the clock says.
    var passedMs: Int64 { get }
}

extension WallClock {
    public func learn(notBeforeMs: Int64) {}
    public var passedMs: Int64 { ClockJudge.programMs }
}

/// One look at both clocks.
public struct WallReading: Sendable, Equatable {
    /// Milliseconds since 1970-01-01 UTC; may be wrong by years.
    public var wallMs: Int64
    /// Nanoseconds since the machine started; never goes back.
    public var monotonicNs: UInt64
    public var quality: ClockQuality

    public init(wallMs: Int64, monotonicNs: UInt64, quality: ClockQuality) {
        self.wallMs = wallMs
        self.monotonicNs = monotonicNs
        self.quality = quality
    }
}

/// The operating system's clocks. The quality is ``ClockJudge``'s, from what the kernel's clock discipline says (adjtimex(2),
/// STA_UNSYNC); it is asked once a second and as soon as the clock was stepped, the call being dearer than both clocks.
public final class SystemWallClock: WallClock {
    /// The second it was judged in, shifted left by 8, and the quality.
    private let known = Atomic<UInt64>(0)
    /// Wall time less monotonic time, in milliseconds, as it was then.
    private let offsetMs = Atomic<Int64>(0)
    private let judge = Mutex(ClockJudge())

    public init() {}

    public func learn(notBeforeMs: Int64) {
        judge.withLock { $0.learn(notBeforeMs: notBeforeMs) }
        known.store(0, ordering: .relaxed)
    }

    public var passedMs: Int64 { judge.withLock { $0.notBeforeMs } }

    public func read() -> WallReading {
        var wall = timespec()
        var monotonic = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        clock_gettime(CLOCK_BOOTTIME, &monotonic)
        let wallMs = Int64(wall.tv_sec) * 1000 + Int64(wall.tv_nsec) / 1_000_000
        let monotonicNs = UInt64(monotonic.tv_sec) * 1_000_000_000 + UInt64(monotonic.tv_nsec)
        return WallReading(
            wallMs: wallMs, monotonicNs: monotonicNs,
            quality: quality(wallMs: wallMs, monotonicMs: Int64(monotonicNs / 1_000_000)))
    }

    private func quality(wallMs: Int64, monotonicMs: Int64) -> ClockQuality {
        let second = UInt64(monotonicMs / 1000) + 1
        let offset = wallMs &- monotonicMs
        let known = known.load(ordering: .relaxed)
        let moved = (offset &- offsetMs.load(ordering: .relaxed)).magnitude
        if known >> 8 == second, moved <= UInt64(ClockJudge.stepMs) {
            return ClockQuality(rawValue: UInt8(known & 0xff)) ?? .unknown
        }
        let discipline = Self.askKernel()
        let quality = judge.withLock { $0.judge(wallMs: wallMs, monotonicMs: monotonicMs, discipline: discipline) }
        offsetMs.store(offset, ordering: .relaxed)
        self.known.store(second << 8 | UInt64(quality.rawValue), ordering: .relaxed)
        return quality
    }

    private static func askKernel() -> ClockJudge.Discipline {
        // All zero asks for the state and changes nothing. `struct timex` has 208 bytes on 64-bit Linux.
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { state in
            state.initializeMemory(as: UInt8.self, repeating: 0)
            guard let base = state.baseAddress else { return .unknown }
            let answer = adjustTime(base)
            let unsynchronised: Int32 = 5  // TIME_ERROR of <sys/timex.h>
            return answer < 0 ? .unknown : answer == unsynchronised ? .unsynchronized : .synchronized
        }
    }
}

/// `int ntp_adjtime(struct timex *)`. Swift's Glibc module leaves <sys/timex.h> out; a pointer in and an integer out are passed
/// alike by C and Swift.
@_silgen_name("ntp_adjtime")
private func adjustTime(_ state: UnsafeMutableRawPointer) -> Int32
