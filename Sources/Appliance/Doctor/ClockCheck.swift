import Edge
import FoundationEssentials
import WriteAheadLog

/// Whether the wall clock may be believed: nothing waits for it, but records, certificates and signatures of requests carry it.
enum ClockCheck {
    static let name = "clock"

    /// - Parameter needsTime: something is signed or verified by the clock: an S3 store, or TLS.
    static func finding(_ reading: WallReading, needsTime: Bool) -> Finding {
        switch reading.quality {
        case .synchronized, .gnss: return .good(name, "synchronised (\(day(reading.wallMs)))")
        case .freeRunning:
            return .warning(
                name, "not synchronised by anything: its time is \(day(reading.wallMs)), and it drifts",
                "systemctl enable --now systemd-timesyncd, or install chrony; behind a firewall give it a server of the site"
            )
        case .unknown:
            let found = "the time cannot be right: \(day(reading.wallMs))"
            let advice = "set the clock, and give it a time service (systemd-timesyncd, chrony) and a battery"
            return needsTime
                ? .failure(name, found + "; the store refuses requests that are signed with it", advice)
                : .warning(name, found + "; records are taken, and marked as of unknown time", advice)
        }
    }

    private static func day(_ wallMs: Int64) -> String {
        Date(timeIntervalSince1970: Double(wallMs) / 1000).formatted(.iso8601)
    }
}
