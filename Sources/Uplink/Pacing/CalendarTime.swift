/// A wall time as people name it: all that windows and budgets need of a clock.
public struct CalendarTime: Sendable, Equatable {
    /// 0 to 86,399.
    public var secondOfDay: Int
    /// Year * 12 + month - 1: consecutive months are consecutive numbers.
    public var month: Int
    /// 1 to 31.
    public var day: Int

    public init(secondOfDay: Int, month: Int, day: Int) {
        self.secondOfDay = secondOfDay
        self.month = month
        self.day = day
    }

    public var minuteOfDay: Int { secondOfDay / 60 }

    /// Nil when the clock cannot be right: before 2024 or after 2199 (no battery, 1970 at boot, garbage). A clock that is wrong within
    /// these years is believed.
    /// - Parameter offsetSeconds: east of UTC at this moment; daylight saving is in it.
    public init?(wallMs: Int64, offsetSeconds: Int) {
        guard (1_704_067_200_000..<7_258_118_400_000).contains(wallMs) else { return nil }
        let seconds = Int(wallMs / 1000) + offsetSeconds
        secondOfDay = seconds % 86_400
        // "chrono-Compatible Low-Level Date Algorithms", Howard Hinnant: civil_from_days, for days after 1970.
        let shifted = seconds / 86_400 + 719_468
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * fromMarch + 2) / 5 + 1
        let year = yearOfEra + shifted / 146_097 * 400 + (fromMarch >= 10 ? 1 : 0)
        month = year * 12 + (fromMarch + 2) % 12
    }

    /// `2026-11`.
    public static func text(month: Int) -> String {
        let number = month % 12 + 1
        return "\(month / 12)-" + (number < 10 ? "0\(number)" : "\(number)")
    }
}
