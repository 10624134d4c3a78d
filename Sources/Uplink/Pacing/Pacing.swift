/// Values of pacing that a user may change.
public struct PacingSettings: Sendable, Equatable {
    /// All uploads together; nil: no cap.
    public var bytesPerSecond: Int?
    public var burstBytes: Int
    /// Of the bytes, while live data goes first: what is left for the backlog. 0 to 0.5.
    public var backlogShare: Double
    public var windows: [DailyWindow]
    public var budget: DataBudget.Settings

    public init(
        bytesPerSecond: Int? = nil, burstBytes: Int = 64 << 10, backlogShare: Double = 0.1,
        windows: [DailyWindow] = [], budget: DataBudget.Settings = DataBudget.Settings()
    ) {
        self.bytesPerSecond = bytesPerSecond
        self.burstBytes = burstBytes
        self.backlogShare = backlogShare
        self.windows = windows
        self.budget = budget
    }
}

/// Why a lane begins no upload.
public enum LaneHold: String, Sendable, Equatable {
    /// By command.
    case paused
    /// The store asked for a pause.
    case throttled
    /// A daily window is closed.
    case window
    /// The data plan of the month is used up.
    case budget
}

/// Everything that decides when an upload may begin and when its bytes may leave. Facts in, answers out: no I/O, no clock.
struct Pacing: Sendable {
    enum Gate: Sendable, Equatable {
        case open
        /// Look again then, or earlier.
        case held(LaneHold, until: Duration)
    }

    let settings: PacingSettings
    private(set) var isPaused: Bool
    private(set) var schedule: LinkSchedule
    private(set) var budget: DataBudget
    private(set) var meter = LinkMeter()
    /// Nil while the clock cannot be right: no window applies then.
    private(set) var time: CalendarTime?
    private var throttledUntil: Duration?
    /// In place of the configured cap; 0 for none. Windows rule all the same.
    var orderedBytesPerSecond: Int?
    private var rates: [String: RecentRate] = [:]
    private let lanes: [String]

    init(settings: PacingSettings, lanes: [String], isPaused: Bool, count: DataBudget.Count, now: Duration) {
        self.settings = settings
        self.lanes = lanes
        self.isPaused = isPaused
        budget = DataBudget(settings: settings.budget, count: count)
        schedule = LinkSchedule(
            bytesPerSecond: settings.bytesPerSecond, burstBytes: settings.burstBytes, share: settings.backlogShare,
            now: now)
    }

    /// What the clocks say; call it before asking anything, about once a second.
    mutating func look(_ time: CalendarTime?, now: Duration) {
        self.time = time
        budget.look(time)
        schedule.setLinkRate(linkRate, now: now)
        for lane in lanes { schedule.setLaneRate(lane, laneRate(lane), now: now) }
    }

    /// The window that rules the link now.
    var linkWindow: DailyWindow? { time.flatMap { settings.windows.link(minute: $0.minuteOfDay) } }

    private var linkRate: Int? {
        switch linkWindow?.rule {
        case nil, .closed: orderedBytesPerSecond.map { $0 == 0 ? nil : $0 } ?? settings.bytesPerSecond
        case .open: nil
        case .cap(let bytesPerSecond): bytesPerSecond
        }
    }

    private func laneRate(_ lane: String) -> Int? {
        var rates: [Int] = []
        if let time, case .cap(let rate) = settings.windows.lane(lane, minute: time.minuteOfDay)?.rule {
            rates.append(rate)
        }
        if budget.action(lane: lane) == .slow { rates.append(settings.budget.slowBytesPerSecond) }
        return rates.min()
    }

    /// May this lane begin an upload?
    func gate(lane: String, now: Duration) -> Gate {
        if isPaused { return .held(.paused, until: now + Self.lookAgain) }
        if let throttledUntil, now < throttledUntil { return .held(.throttled, until: throttledUntil) }
        if let time {
            let windows = [linkWindow, settings.windows.lane(lane, minute: time.minuteOfDay)]
            if windows.contains(where: { $0?.rule == .closed }) {
                return .held(.window, until: now + changeIn(time))
            }
        }
        if budget.action(lane: lane) == .stop { return .held(.budget, until: now + Self.lookAgain) }
        return .open
    }

    /// The clock may jump meanwhile, so nobody relies on it for longer than a minute.
    private func changeIn(_ time: CalendarTime) -> Duration {
        .seconds(min(settings.windows.secondsToChange(second: time.secondOfDay) ?? 60, 60))
    }

    mutating func setPaused(_ paused: Bool) {
        isPaused = paused
        // What is under way stops at its next piece: the same object is sent again later.
        if paused { schedule.endAll() }
    }

    /// The store wants less of everybody. At most ten minutes.
    mutating func throttled(for pause: Duration, now: Duration) {
        let until = now + min(pause, .seconds(600))
        throttledUntil = max(throttledUntil ?? until, until)
    }

    mutating func begin(lane: String, priority: Int, isBacklog: Bool, now: Duration) -> LinkSchedule.ID {
        meter.began(now: now)
        budget.spent(Self.requestBytes)
        return schedule.begin(lane: lane, rank: Self.rank(priority: priority, isBacklog: isBacklog), now: now)
    }

    mutating func admit(_ id: LinkSchedule.ID, lane: String, bytesMax: Int, now: Duration) -> LinkSchedule.Admission {
        if isPaused { return .ended }
        let admission = schedule.admit(id, bytesMax: bytesMax, now: now)
        if case .granted(let bytes) = admission {
            budget.spent(bytes)
            meter.sent(bytes)
            rates[lane, default: RecentRate()].add(bytes, now: now)
        }
        return admission
    }

    mutating func bodyDone(_ id: LinkSchedule.ID) { schedule.bodyDone(id) }

    mutating func end(_ id: LinkSchedule.ID, isWhole: Bool, now: Duration) {
        meter.ended(isWhole: isWhole, now: now)
        schedule.end(id)
    }

    // MARK: What is not data

    /// Such as images: never while uploads are held as a whole, and never from the last fifth of the data plan.
    func lastHold(now: Duration) -> LaneHold? {
        if isPaused { return .paused }
        if let throttledUntil, now < throttledUntil { return .throttled }
        if linkWindow?.rule == .closed { return .window }
        return budget.usedShare >= 0.8 ? .budget : nil
    }

    /// It is no upload, so the link is not measured by it; the data plan counts it.
    mutating func beginLast(now: Duration) -> LinkSchedule.ID { schedule.beginLast(now: now) }

    mutating func admitLast(_ id: LinkSchedule.ID, bytesMax: Int, now: Duration) -> LinkSchedule.Admission {
        if lastHold(now: now) != nil { return .ended }
        let admission = schedule.admit(id, bytesMax: bytesMax, now: now)
        if case .granted(let bytes) = admission { budget.spent(bytes) }
        return admission
    }

    /// A request follows only where something was granted.
    mutating func endLast(_ id: LinkSchedule.ID, grantedBytes: Int) {
        schedule.end(id)
        if grantedBytes > 0 { budget.spent(Self.requestBytes) }
    }

    func bytesPerSecond(lane: String, now: Duration) -> Double { rates[lane]?.bytesPerSecond(now: now) ?? 0 }

    /// Live data of every lane goes before backlog of any; within each by the lanes' priority. A lane's own order is never touched: the
    /// newest data of a lane in backlog waits for the older.
    static func rank(priority: Int, isBacklog: Bool) -> Int { isBacklog ? priority + backlogRank : priority }

    static let backlogRank = 1 << 20
    /// Counted for each request beside its body: headers both ways, the handshake's part, the announcement.
    static let requestBytes = 1 << 10
    private static let lookAgain = Duration.seconds(1)
}
