public import Logging
public import ObjectStore
import Synchronization
public import WriteAheadLog

/// What one lane's uplink is made of, apart from its settings.
public struct LaneUplinkComponents<C: Clock<Duration>>: Sendable {
    public var source: any LaneSource
    public var store: any ObjectStore
    /// Nil: nobody is told; the cloud finds the objects by listing.
    public var announcer: (any Announcer)?
    public var permits: PutPermits
    /// Nil: uploads begin as soon as they can, as fast as they can.
    public var pacer: UplinkPacer<C>?
    /// A believed reading of the clock of a start of the log; nil where the time was never known. Nil itself: times are no
    /// business of this uplink.
    public var believedClock: (@Sendable (UInt64) -> ClockReading?)?
    /// Told what the cloud says about the site, with each answer to an announcement.
    public var onDirectives: (@Sendable ([String: String]) -> Void)?
    /// Told when somebody else writes under this incarnation. Nil: an alarm is all there is.
    public var onConflict: (@Sendable (UplinkConflict) -> Void)?
    public var clock: C
    /// Any number, uniformly; for jitter.
    public var random: @Sendable () -> UInt64
    public var logger: Logger

    public init(
        source: any LaneSource, store: any ObjectStore, announcer: (any Announcer)?, permits: PutPermits, clock: C,
        random: @escaping @Sendable () -> UInt64, logger: Logger, pacer: UplinkPacer<C>? = nil,
        believedClock: (@Sendable (UInt64) -> ClockReading?)? = nil,
        onDirectives: (@Sendable ([String: String]) -> Void)? = nil,
        onConflict: (@Sendable (UplinkConflict) -> Void)? = nil
    ) {
        self.believedClock = believedClock
        self.onConflict = onConflict
        self.source = source
        self.store = store
        self.announcer = announcer
        self.permits = permits
        self.pacer = pacer
        self.clock = clock
        self.random = random
        self.logger = logger
        self.onDirectives = onDirectives
    }
}

/// Values of one lane that a user may change.
public struct LaneUplinkSettings: Sendable, Equatable {
    public var upload: LaneUploadSettings
    public var merge: BatchMerger.Settings
    public var announceRetry: RetryPolicy
    /// 0 is served first.
    public var priority: Int

    public init(
        upload: LaneUploadSettings, merge: BatchMerger.Settings = BatchMerger.Settings(),
        announceRetry: RetryPolicy = RetryPolicy(base: .seconds(1)), priority: Int
    ) {
        self.upload = upload
        self.merge = merge
        self.announceRetry = announceRetry
        self.priority = priority
    }

    public static let critical = LaneUplinkSettings(upload: .critical, priority: 0)
    public static let standard = LaneUplinkSettings(upload: .standard, priority: 1)
    public static let bulk = LaneUplinkSettings(upload: .bulk, priority: 2)
}

/// Carries one lane into the store: obeys ``LaneUpload`` and ``LaneAnnounce`` and decides nothing itself.
///
/// - Order and once: objects go up one at a time, in sequence; a range is in exactly one object, whatever is retried and
///   wherever the process is killed.
/// - Memory: one object at a time, and only while a permit is held: its batches, then its bytes.
/// - ``run()`` works until its task is cancelled. ``step()`` is one action of it, for simulations.
public actor LaneUplink<C: Clock<Duration>> {
    /// What to do after a step.
    public enum Pause: Sendable, Equatable {
        /// Go on at once.
        case none
        /// Wait until then, or for new data if `data`; nil: only for data.
        case until(C.Instant?, data: Bool)
    }

    let parts: LaneUplinkComponents<C>
    let priority: Int
    let builder: SiteObjectBuilder
    let durableBytes: @Sendable () -> UInt64
    let start: C.Instant
    let dataSignal = LaneSignal()
    let announceSignal = LaneSignal()
    nonisolated let shared: Mutex<LaneUplinkStatus>

    var upload: LaneUpload
    var announcing: LaneAnnounce
    var action = LaneUpload.Action.awaitData
    var announceAction = LaneAnnounce.Action.wait
    var random: ClosureRandom
    var permit: PermitScheduler.Ticket?
    /// Batches between gathering and the first PUT of their plan.
    var gathered: GatheredRange?
    /// The same sight of what cannot be read under the key of the plan, as often as it came in a row.
    var sights: [UnreadableObject] = []
    /// Index and size of the object being put.
    var planned: PlannedObject?

    public init(
        identity: UplinkIdentity, settings: LaneUplinkSettings, components: LaneUplinkComponents<C>
    ) {
        parts = components
        priority = settings.priority
        let source = components.source
        builder = SiteObjectBuilder(
            identity: identity, lane: source.laneName, merger: BatchMerger(settings: settings.merge))
        start = components.clock.now
        let state = source.uploadState
        upload = LaneUpload(settings: settings.upload, upload: state, author: identity.author)
        announcing = LaneAnnounce(retry: settings.announceRetry)
        random = ClosureRandom(source: components.random)
        let counting = source as? any ByteCountingLaneSource
        durableBytes = { counting?.durableBytes ?? 0 }
        var status = LaneUplinkStatus(lane: source.laneName)
        status.uploadedThrough = state.uploadedThrough
        status.nextSequence = state.nextSequence
        shared = Mutex(status)
        let firstOpen = state.openPlans.first?.sequence ?? state.nextSequence
        if firstOpen > 1, components.announcer != nil {
            // What was uploaded last may never have been announced.
            let through = state.uploadedThrough
            let last = builder.announcement(
                of: UploadPlan(sequence: firstOpen - 1, firstLSN: through, lastLSN: through))
            if let last, let action = announcing.uploaded(last) { announceAction = action }
        }
        source.addDurableListener { [dataSignal] _ in dataSignal.ring() }
    }

    /// A snapshot, from any thread.
    public nonisolated var status: LaneUplinkStatus { shared.withLock { $0 } }

    /// Uploads and announces until the task is cancelled. Call it once.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.runUploads() }
            if parts.announcer != nil { group.addTask { await self.runAnnouncements() } }
        }
    }

    /// From now on durable data goes out without waiting for company.
    public func flush() {
        if let next = upload.flush(now: now) { action = next }
        dataSignal.ring()
    }

    /// From the next object on.
    public func change(flushInterval: Duration) {
        upload.settings.flushInterval = max(.zero, flushInterval)
        dataSignal.ring()
    }

    var now: Duration { start.duration(to: parts.clock.now) }

    private func runUploads() async {
        while !Task.isCancelled {
            switch await step() {
            case .none: continue
            case .until(nil, data: _): await dataSignal.wait()
            case .until(let time?, data: true):
                // New data may be enough for an object before the time is up; counting it is cheap, so look now and then.
                await sleep(until: min(time, parts.clock.now.advanced(by: .milliseconds(100))))
            case .until(let time?, data: false): await sleep(until: time)
            }
        }
        releasePermit()
    }

    private func runAnnouncements() async {
        while !Task.isCancelled {
            switch await announceStep() {
            case .none: continue
            case .until(nil, data: _): await announceSignal.wait()
            case .until(let time?, data: _): await sleep(until: time)
            }
        }
    }

    private func sleep(until time: C.Instant) async {
        // A cancelled sleep ends the loop that asked for it.
        if time > parts.clock.now { try? await parts.clock.sleep(until: time, tolerance: nil) }
    }
}
