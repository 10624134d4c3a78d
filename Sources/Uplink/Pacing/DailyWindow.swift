/// A part of each day with a rule of its own, such as `22:00-06:00 rate=2MiB` or `08:00-18:00 closed lanes=bulk`.
public struct DailyWindow: Sendable, Equatable, CustomStringConvertible {
    public enum Rule: Sendable, Equatable {
        /// At most so many bytes a second.
        case cap(bytesPerSecond: Int)
        /// No new upload begins; one that has begun ends.
        case closed
        /// No limit.
        case open
    }

    /// 0 to 1439. A window whose end is not after its start goes over midnight; equal ends are the whole day.
    public var startMinute: Int
    public var endMinute: Int
    public var rule: Rule
    /// The lanes it is for, each by itself; nil: the link as a whole.
    public var lanes: Set<String>?

    public init(startMinute: Int, endMinute: Int, rule: Rule, lanes: Set<String>? = nil) {
        precondition((0..<1440).contains(startMinute) && (0..<1440).contains(endMinute), "minutes of a day")
        self.startMinute = startMinute
        self.endMinute = endMinute
        self.rule = rule
        self.lanes = lanes
    }

    /// The end is not part of it.
    public func contains(minute: Int) -> Bool {
        startMinute < endMinute
            ? (startMinute..<endMinute).contains(minute) : minute >= startMinute || minute < endMinute
    }

    public var description: String {
        let rule =
            switch rule {
            case .cap(let bytesPerSecond): "rate=\(bytesPerSecond)"
            case .closed: "closed"
            case .open: "open"
            }
        let lanes = lanes.map { " lanes=" + $0.sorted().joined(separator: "+") } ?? ""
        return "\(Self.text(startMinute))-\(Self.text(endMinute)) \(rule)\(lanes)"
    }

    private static func text(_ minute: Int) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return two(minute / 60) + ":" + two(minute % 60)
    }
}

extension [DailyWindow] {
    /// The window that rules the link as a whole at this minute: the first in the list that fits.
    public func link(minute: Int) -> DailyWindow? { first { $0.lanes == nil && $0.contains(minute: minute) } }

    /// The window that rules one lane, beside the link's own.
    public func lane(_ lane: String, minute: Int) -> DailyWindow? {
        first { $0.lanes?.contains(lane) == true && $0.contains(minute: minute) }
    }

    /// Seconds from `second` of the day to the next minute at which some window begins or ends; nil without windows.
    public func secondsToChange(second: Int) -> Int? {
        flatMap { [$0.startMinute * 60, $0.endMinute * 60] }
            .map { edge in edge > second ? edge - second : edge + 86_400 - second }.min()
    }
}
