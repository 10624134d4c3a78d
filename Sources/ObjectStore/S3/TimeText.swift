/// The three spellings of a time that S3 speaks; all proleptic Gregorian, UTC, milliseconds since 1970-01-01.
///
/// Day arithmetic: "chrono-Compatible Low-Level Date Algorithms", Howard Hinnant.
enum TimeText {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `20130524T000000Z`. Times outside the years 0 to 9999 are held at the ends: a clock may be wrong, signing may not trap.
    static func basic(_ timeMs: Int64) -> String {
        let seconds = floorDivide(min(max(timeMs, -62_167_219_200_000), 253_402_300_799_000), 1000)
        let days = floorDivide(seconds, 86_400)
        let rest = seconds - days * 86_400
        let date = civil(fromDays: days)
        let parts: [(Int64, Int)] = [(date.year, 4), (date.month, 2), (date.day, 2)]
        let clock: [(Int64, Int)] = [(rest / 3600, 2), (rest / 60 % 60, 2), (rest % 60, 2)]
        return parts.map(padded).joined() + "T" + clock.map(padded).joined() + "Z"
    }

    /// An HTTP `Date`, `Last-Modified` or `Retry-After`: `Fri, 24 May 2013 00:00:00 GMT` (RFC 9110, IMF-fixdate; the name of the day is ignored).
    static func parseHTTPDate(_ text: String) -> Int64? {
        let words = text.split(separator: " ")
        guard words.count == 6, words[0].utf8.last == UInt8(ascii: ","), words[5] == "GMT" else { return nil }
        guard let month = months.firstIndex(of: String(words[2])) else { return nil }
        let clock = words[4].split(separator: ":", omittingEmptySubsequences: false)
        guard clock.count == 3 else { return nil }
        return ms(year: words[3], month: Int64(month + 1), day: words[1], clock: clock)
    }

    /// A `LastModified` of a listing: `2009-10-12T17:50:30.000Z`, fraction optional and ignored below the millisecond.
    static func parseISO8601(_ text: String) -> Int64? {
        guard text.utf8.last == UInt8(ascii: "Z") else { return nil }
        let halves = text.dropLast().split(separator: "T", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let date = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        let pieces = halves[1].split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let clock = pieces[0].split(separator: ":", omittingEmptySubsequences: false)
        guard date.count == 3, clock.count == 3, let month = number(date[1], digits: 1...2) else { return nil }
        guard let whole = ms(year: date[0], month: month, day: date[2], clock: clock) else { return nil }
        guard pieces.count == 2 else { return whole }
        guard number(pieces[1], digits: 1...18) != nil else { return nil }
        let thousandths = (pieces[1] + "00").prefix(3)
        return whole + (number(thousandths, digits: 3...3) ?? 0)
    }

    private static func ms(year: Substring, month: Int64, day: Substring, clock: [Substring]) -> Int64? {
        guard let year = number(year, digits: 4...4), let day = number(day, digits: 1...2),
            let hour = number(clock[0], digits: 2...2), let minute = number(clock[1], digits: 2...2),
            let second = number(clock[2], digits: 2...2)
        else { return nil }
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second <= 60 else { return nil }
        return ((days(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1000
    }

    /// Digits only: `Int64(_:)` would take a sign.
    private static func number(_ text: Substring, digits: ClosedRange<Int>) -> Int64? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int64(text)
    }

    private static func padded(_ part: (value: Int64, width: Int)) -> String {
        let digits = String(part.value)
        return String(repeating: "0", count: max(0, part.width - digits.count)) + digits
    }

    private static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((b - 1 - a) / b) }

    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let y = month <= 2 ? year - 1 : year
        let era = floorDivide(y, 400)
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let z = days + 719_468
        let era = floorDivide(z, 146_097)
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch + (monthFromMarch < 10 ? 3 : -9)
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
