import ObjectStore
import Synchronization

/// Where pacing stands, for pages, metrics and commands.
public struct PacingStatus: Sendable, Equatable {
    public struct Lane: Sendable, Equatable {
        public var lane: String
        /// Bytes a second over the last ten seconds.
        public var bytesPerSecond: Double
        public var hold: LaneHold?
        /// Until the lane looks again; nil when nothing holds it.
        public var nextLook: Duration?
        public var budgetAction: BudgetAction
    }

    public var isPaused: Bool
    /// What uploads were seen to reach together, caps included; nil until one was measured.
    public var linkBytesPerSecond: Double?
    /// The cap of the link at the moment.
    public var capBytesPerSecond: Int?
    /// The window that rules the link at the moment.
    public var window: String?
    /// False: the clock cannot be right, so windows are taken as open and the month does not end.
    public var isClockKnown: Bool
    public var budgetUsedBytes: UInt64
    public var budgetBytes: UInt64?
    /// `2026-11`; nil while no clock was known yet.
    public var budgetMonth: String?
    public var lanes: [Lane]
}

/// Paces the uploads of all lanes: obeys ``Pacing`` and decides nothing itself.
///
/// Whoever waits asks again by itself, so a session that is forgotten holds up nobody for long, and cancelling a task needs no clean-up here.
public final class UplinkPacer<C: Clock<Duration>>: Sendable {
    private struct Shared: Sendable {
        var pacing: Pacing
        var lookedAt: Duration?
        /// Bytes beyond which the count is saved again: what is saved is never less than what was sent.
        var savedBytes: UInt64
        var savedMonth: Int?
        var holds: [String: Pacing.Gate] = [:]
    }

    private let shared: Mutex<Shared>
    private let saving = Mutex(())
    private let lanes: [String]
    private let clock: C
    private let start: C.Instant
    private let calendar: @Sendable () -> CalendarTime?
    private let store: (any PacerStateStore)?

    /// - Parameter calendar: the wall clock in the zone of windows and months; nil while it is not known.
    public init(
        settings: PacingSettings, lanes: [String], clock: C, calendar: @escaping @Sendable () -> CalendarTime?,
        store: (any PacerStateStore)? = nil
    ) {
        let saved = store?.load() ?? PacerState()
        start = clock.now
        self.lanes = lanes
        self.clock = clock
        self.calendar = calendar
        self.store = store
        let pacing = Pacing(
            settings: settings, lanes: lanes, isPaused: saved.isPaused, count: saved.budget, now: .zero)
        shared = Mutex(
            Shared(pacing: pacing, savedBytes: saved.budget.usedBytes, savedMonth: saved.budget.month))
    }

    private var now: Duration { start.duration(to: clock.now) }

    /// Nil: the lane may begin an upload. Otherwise look again after this long.
    func hold(lane: String) -> Duration? {
        let now = now
        return shared.withLock { shared in
            Self.look(&shared, calendar, now)
            let gate = shared.pacing.gate(lane: lane, now: now)
            shared.holds[lane] = gate
            guard case .held(_, let until) = gate else { return nil }
            return max(.milliseconds(1), min(until - now, .seconds(1)))
        }
    }

    func begin(lane: String, priority: Int, isBacklog: Bool) -> PacedUpload<C> {
        let now = now
        let id = shared.withLock { shared in
            Self.look(&shared, calendar, now)
            return shared.pacing.begin(lane: lane, priority: priority, isBacklog: isBacklog, now: now)
        }
        saveIfDue()
        return PacedUpload(pacer: self, id: id, lane: lane)
    }

    fileprivate func admit(_ upload: PacedUpload<C>, _ bytesMax: Int) async throws(UploadStopped) -> Int {
        while true {
            let now = now
            let admission = shared.withLock { shared in
                Self.look(&shared, calendar, now)
                return shared.pacing.admit(upload.id, lane: upload.lane, bytesMax: bytesMax, now: now)
            }
            switch admission {
            case .granted(let bytes):
                saveIfDue()
                return bytes
            case .ended: throw UploadStopped()
            case .wait(let until):
                let pause = max(.milliseconds(1), min(until - now, .milliseconds(250)))
                do { try await clock.sleep(for: pause) } catch { throw UploadStopped() }
            }
        }
    }

    // MARK: What is not data

    /// How many of `bytesMax` bytes of something that is not data, such as an image, may be moved now: what the caps let through within
    /// `limit` while no upload sends or waits; 0 when there is no room, or with the reason why there will be none for a while.
    public func admitLast(_ bytesMax: Int, within limit: Duration) async -> (bytes: Int, hold: LaneHold?) {
        let began = now
        let id = shared.withLock { shared in
            Self.look(&shared, calendar, began)
            return shared.pacing.beginLast(now: began)
        }
        var granted = 0
        defer {
            shared.withLock { $0.pacing.endLast(id, grantedBytes: granted) }
            saveIfDue()
        }
        while granted < bytesMax {
            let now = now
            let (admission, hold) = shared.withLock { shared in
                Self.look(&shared, calendar, now)
                let admission = shared.pacing.admitLast(id, bytesMax: bytesMax - granted, now: now)
                return (admission, shared.pacing.lastHold(now: now))
            }
            switch admission {
            case .granted(let bytes): granted += bytes
            case .ended: return (granted, hold)
            case .wait(let until):
                let pause = max(.milliseconds(1), min(until - now, .milliseconds(250)))
                guard now + pause - began <= limit, (try? await clock.sleep(for: pause)) != nil else {
                    return (granted, nil)
                }
            }
        }
        return (granted, nil)
    }

    fileprivate func bodyDone(_ id: LinkSchedule.ID) { shared.withLock { $0.pacing.bodyDone(id) } }

    fileprivate func end(_ id: LinkSchedule.ID, isWhole: Bool) {
        let now = now
        shared.withLock { $0.pacing.end(id, isWhole: isWhole, now: now) }
    }

    var linkBytesPerSecond: Double? { shared.withLock { $0.pacing.meter.bytesPerSecond } }

    /// The same, and no more than the cap.
    fileprivate var expectedBytesPerSecond: Double? {
        shared.withLock { shared in
            let cap = shared.pacing.schedule.link.bytesPerSecond.map(Double.init)
            return [shared.pacing.meter.bytesPerSecond, cap].compactMap { $0 }.min()
        }
    }

    /// The store asked for a pause: it means all lanes.
    func throttled(for pause: Duration) {
        let now = now
        shared.withLock { $0.pacing.throttled(for: pause, now: now) }
    }

    public var isPaused: Bool { shared.withLock { $0.pacing.isPaused } }

    /// Stops uploads, or lets them go on; durable when it returns. Throws what kept it from becoming so; it holds for this process even then.
    ///
    /// An upload under way stops at its next piece and is repeated later, the same bytes under the same key: nothing is lost, no sequence
    /// is left out. Intake and local readers do not notice.
    public func setPaused(_ paused: Bool) throws {
        shared.withLock { $0.pacing.setPaused(paused) }
        try save(exact: false)
    }

    /// A cap in place of the configured one, from now on: bytes a second, 0 for none, nil for the configured one.
    public func order(bytesPerSecond: Int?) {
        let now = now
        shared.withLock { shared in
            shared.pacing.orderedBytesPerSecond = bytesPerSecond.map { max(0, $0) }
            shared.pacing.look(shared.pacing.time, now: now)
        }
    }

    /// The exact count, at the end of the process.
    public func close() { try? save(exact: true) }

    public var status: PacingStatus {
        let now = now
        return shared.withLock { shared in
            Self.look(&shared, calendar, now)
            let pacing = shared.pacing
            return PacingStatus(
                isPaused: pacing.isPaused, linkBytesPerSecond: pacing.meter.bytesPerSecond,
                capBytesPerSecond: pacing.schedule.link.bytesPerSecond, window: pacing.linkWindow?.description,
                isClockKnown: pacing.time != nil, budgetUsedBytes: pacing.budget.count.usedBytes,
                budgetBytes: pacing.budget.settings.monthBytes,
                budgetMonth: pacing.budget.count.month.map { CalendarTime.text(month: $0) },
                lanes: lanes.map { lane in
                    var status = PacingStatus.Lane(
                        lane: lane, bytesPerSecond: pacing.bytesPerSecond(lane: lane, now: now),
                        budgetAction: pacing.budget.action(lane: lane))
                    if case .held(let hold, let until) = pacing.gate(lane: lane, now: now) {
                        (status.hold, status.nextLook) = (hold, max(.zero, until - now))
                    }
                    return status
                })
        }
    }

    private static func look(_ shared: inout Shared, _ calendar: () -> CalendarTime?, _ now: Duration) {
        if let lookedAt = shared.lookedAt, now - lookedAt < .seconds(1) { return }
        shared.lookedAt = now
        shared.pacing.look(calendar(), now: now)
    }

    // MARK: What survives a restart

    /// Saved ahead by this much: a process that is killed counts at most so many bytes too many, and none too few.
    private func reserveBytes(_ limit: UInt64?) -> UInt64 { min(max((limit ?? 64 << 30) / 1000, 1 << 20), 64 << 20) }

    private func saveIfDue() {
        let isDue = shared.withLock { shared in
            let count = shared.pacing.budget.count
            return count.usedBytes > shared.savedBytes || count.month != shared.savedMonth
        }
        // A disk that refuses is told of by pause and resume; the count goes on in memory, and is tried again with the next megabytes.
        if isDue { try? save(exact: false) }
    }

    private func save(exact: Bool) throws {
        guard let store else { return }
        try saving.withLock { _ in
            let state = shared.withLock { shared in
                var count = shared.pacing.budget.count
                if !exact { count.usedBytes &+= reserveBytes(shared.pacing.settings.budget.monthBytes) }
                (shared.savedBytes, shared.savedMonth) = (count.usedBytes, count.month)
                return PacerState(isPaused: shared.pacing.isPaused, budget: count)
            }
            try store.save(state)
        }
    }
}

/// One upload under way: what a store asks before it sends.
final class PacedUpload<C: Clock<Duration>>: UploadPace {
    private let pacer: UplinkPacer<C>
    fileprivate let id: LinkSchedule.ID
    fileprivate let lane: String
    private let stopped = Atomic(false)

    fileprivate init(pacer: UplinkPacer<C>, id: LinkSchedule.ID, lane: String) {
        self.pacer = pacer
        self.id = id
        self.lane = lane
    }

    /// A pause, not a failure, ended it.
    var wasStopped: Bool { stopped.load(ordering: .relaxed) }

    func admit(_ bytesMax: Int) async throws(UploadStopped) -> Int {
        do {
            return try await pacer.admit(self, bytesMax)
        } catch {
            stopped.store(true, ordering: .relaxed)
            throw error
        }
    }

    func bodyDone() { pacer.bodyDone(id) }

    var linkBytesPerSecond: Double? { pacer.expectedBytesPerSecond }

    /// Exactly once.
    func end(isWhole: Bool) { pacer.end(id, isWhole: isWhole) }
}
