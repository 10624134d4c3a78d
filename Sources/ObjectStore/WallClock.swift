import Glibc

/// The system's wall clock, read at the edge of the module only; everything else is given it.
public enum WallClock {
    /// Milliseconds since 1970-01-01 UTC.
    @Sendable public static func nowMs() -> Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }
}
