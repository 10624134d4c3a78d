import Glibc
import ObjectStore
import Uplink

/// The system's clock and time zone as ``CalendarTime``.
enum WallCalendar {
    @Sendable static func utc() -> CalendarTime? { CalendarTime(wallMs: WallClock.nowMs(), offsetSeconds: 0) }

    /// Daylight saving is in it: an hour that does not exist is skipped with whatever begins or ends in it, one that comes twice counts twice.
    @Sendable static func local() -> CalendarTime? {
        let nowMs = WallClock.nowMs()
        var seconds = time_t(nowMs / 1000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        return CalendarTime(wallMs: nowMs, offsetSeconds: Int(parts.tm_gmtoff))
    }
}
