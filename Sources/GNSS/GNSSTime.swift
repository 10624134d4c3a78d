/// Wall time as the satellite systems count it.
///
/// Units: milliseconds. `utcMs` counts from 1970-01-01 UTC without leap seconds, as POSIX does.
public struct GNSSTime: Sendable, Equatable {
    public var utcMs: Int64

    public init(utcMs: Int64) {
        self.utcMs = utcMs
    }

    /// GPS time is ahead of UTC by this since 2017-01-01. Source: IERS Bulletin C 52 and later ones, which kept it.
    public static let leapSeconds: Int64 = 18
    private static let gpsEpochMs: Int64 = 315_964_800_000
    private static let weekMs: Int64 = 604_800_000
    private static let dayMs: Int64 = 86_400_000

    public var gpsTimeOfWeekMs: UInt32 {
        UInt32(positive(utcMs - Self.gpsEpochMs + Self.leapSeconds * 1000, Self.weekMs))
    }

    public var timeOfDayMs: UInt32 { UInt32(positive(utcMs, Self.dayMs)) }

    /// The 30-bit epoch field of an MSM: time of week, BeiDou's 14 s behind GPS; GLONASS day of week and time of day in
    /// UTC + 3 h. Source: RTCM 10403.3 DF004, DF248, DF427, DF416 and DF034.
    public func rawEpoch(_ constellation: Constellation) -> UInt32 {
        switch constellation {
        case .beidou:
            return UInt32(positive(Int64(gpsTimeOfWeekMs) - 14_000, Self.weekMs))
        case .glonass:
            let moscowMs = utcMs + 3 * 3_600_000
            // 1970-01-01 was a Thursday; day 0 is Sunday.
            let day = positive(moscowMs / Self.dayMs + 4, 7)
            return UInt32(day) << 27 | UInt32(positive(moscowMs, Self.dayMs))
        default:
            return gpsTimeOfWeekMs
        }
    }

    private func positive(_ value: Int64, _ modulus: Int64) -> Int64 {
        let rest = value % modulus
        return rest < 0 ? rest + modulus : rest
    }

    /// Year, month and day of the Gregorian calendar. Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
    public var date: (year: Int, month: Int, day: Int) {
        let days = (utcMs - Int64(timeOfDayMs)) / Self.dayMs + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (Int(year), Int(month), Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1))
    }
}
