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

/// The operating system's clocks. The quality is what the kernel's clock discipline says (adjtimex(2), STA_UNSYNC); it is
/// asked once a second, the call being dearer than both clocks.
public final class SystemWallClock: WallClock {
    /// The second it was asked in, shifted left by 8, and the quality.
    private let known = Atomic<UInt64>(0)

    public init() {}

    public func read() -> WallReading {
        var wall = timespec()
        var monotonic = timespec()
        clock_gettime(CLOCK_REALTIME, &wall)
        clock_gettime(CLOCK_BOOTTIME, &monotonic)
        return WallReading(
            wallMs: Int64(wall.tv_sec) * 1000 + Int64(wall.tv_nsec) / 1_000_000,
            monotonicNs: UInt64(monotonic.tv_sec) * 1_000_000_000 + UInt64(monotonic.tv_nsec),
            quality: quality(second: UInt64(monotonic.tv_sec) + 1))
    }

    private func quality(second: UInt64) -> ClockQuality {
        let known = known.load(ordering: .relaxed)
        if known >> 8 == second { return ClockQuality(rawValue: UInt8(known & 0xff)) ?? .unknown }
        let quality = Self.askKernel()
        self.known.store(second << 8 | UInt64(quality.rawValue), ordering: .relaxed)
        return quality
    }

    private static func askKernel() -> ClockQuality {
        // All zero asks for the state and changes nothing. `struct timex` has 208 bytes on 64-bit Linux.
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 16) { state in
            state.initializeMemory(as: UInt8.self, repeating: 0)
            guard let base = state.baseAddress else { return .unknown }
            let answer = adjustTime(base)
            let unsynchronised: Int32 = 5  // TIME_ERROR of <sys/timex.h>
            return answer < 0 ? .unknown : answer == unsynchronised ? .freeRunning : .synchronized
        }
    }
}

/// `int ntp_adjtime(struct timex *)`. Swift's Glibc module leaves <sys/timex.h> out; a pointer in and an integer out are passed
/// alike by C and Swift.
@_silgen_name("ntp_adjtime")
private func adjustTime(_ state: UnsafeMutableRawPointer) -> Int32
