/// What a lane does when the data plan of the month runs out.
public enum BudgetAction: String, Sendable, Equatable, CaseIterable {
    case goOn = "go-on"
    /// At most ``DataBudget/Settings/slowBytesPerSecond`` for this lane.
    case slow
    /// No new upload until the next month.
    case stop
}

/// Bytes sent this month against what may be sent. Facts in, no clock, no I/O.
///
/// Months only go on: a clock that falls back to 1970 changes nothing, and one that goes back from a later month (it had been wrong)
/// takes what was counted there along, so that a lying clock can never make the plan larger.
public struct DataBudget: Sendable, Equatable {
    public struct Settings: Sendable, Equatable {
        /// Bytes a month; nil counts without a limit.
        public var monthBytes: UInt64?
        /// The day on which the plan's month begins, 1 to 28.
        public var firstDay: Int
        public var slowBytesPerSecond: Int
        /// Lane to action from 80% and from 100% on; `*` is every other lane. Not named: go on.
        public var at80: [String: BudgetAction]
        public var at100: [String: BudgetAction]

        public init(
            monthBytes: UInt64? = nil, firstDay: Int = 1, slowBytesPerSecond: Int = 16 << 10,
            at80: [String: BudgetAction] = [:], at100: [String: BudgetAction] = [:]
        ) {
            precondition((1...28).contains(firstDay) && slowBytesPerSecond > 0, "day \(firstDay)")
            self.monthBytes = monthBytes
            self.firstDay = firstDay
            self.slowBytesPerSecond = slowBytesPerSecond
            self.at80 = at80
            self.at100 = at100
        }
    }

    /// What survives a restart.
    public struct Count: Sendable, Equatable, Codable {
        /// As ``CalendarTime/month``; nil while no clock was known.
        public var month: Int?
        public var usedBytes: UInt64
        /// The month before, for a clock that comes back from a wrong one.
        public var earlierMonth: Int?
        public var earlierBytes: UInt64

        public init(month: Int? = nil, usedBytes: UInt64 = 0, earlierMonth: Int? = nil, earlierBytes: UInt64 = 0) {
            self.month = month
            self.usedBytes = usedBytes
            self.earlierMonth = earlierMonth
            self.earlierBytes = earlierBytes
        }
    }

    public let settings: Settings
    public private(set) var count: Count

    public init(settings: Settings, count: Count = Count()) {
        self.settings = settings
        self.count = count
    }

    /// `time` is nil while the clock is not known.
    public mutating func look(_ time: CalendarTime?) {
        guard let time else { return }
        let month = time.day >= settings.firstDay ? time.month : time.month - 1
        guard let known = count.month else {
            count.month = month
            return
        }
        if month > known {
            count = Count(month: month, earlierMonth: known, earlierBytes: count.usedBytes)
        } else if month < known {
            let earlier = count.earlierMonth == month ? count.earlierBytes : 0
            count = Count(month: month, usedBytes: count.usedBytes &+ earlier)
        }
    }

    public mutating func spent(_ bytes: Int) { count.usedBytes &+= UInt64(max(0, bytes)) }

    /// 0 up to and over 1; 0 without a limit.
    public var usedShare: Double {
        guard let limit = settings.monthBytes, limit > 0 else { return 0 }
        return Double(count.usedBytes) / Double(limit)
    }

    public func action(lane: String) -> BudgetAction {
        let share = usedShare
        guard share >= 0.8 else { return .goOn }
        let table = share >= 1 ? settings.at100 : settings.at80
        return table[lane] ?? table["*"] ?? .goOn
    }
}
