public import Logging
public import ObjectStore
public import WriteAheadLog

/// Carries all lanes of a gateway (or of a cloud node that acks from its log) into the object store.
///
/// - Lanes share `permitsMax` permits: so many objects are in memory and on the link at most, critical ones first.
/// - With a pacer uploads begin and their bytes leave as it allows; it is the same for all lanes.
/// - ``run()`` works until its task is cancelled; nothing durable is lost by that, the next start goes on where it stopped.
public final class Uplink<C: Clock<Duration>>: Sendable {
    /// One lane and its settings.
    public struct Lane: Sendable {
        public var source: any LaneSource
        public var settings: LaneUplinkSettings

        public init(source: any LaneSource, settings: LaneUplinkSettings) {
            self.source = source
            self.settings = settings
        }
    }

    public let lanes: [LaneUplink<C>]
    public let pacer: UplinkPacer<C>?
    private let clock: C

    public init(
        identity: UplinkIdentity, lanes: [Lane], store: any ObjectStore, announcer: (any Announcer)?,
        permitsMax: Int = 3, clock: C, random: @escaping @Sendable () -> UInt64, logger: Logger,
        pacer: UplinkPacer<C>? = nil,
        believedClock: (@Sendable (UInt64) -> ClockReading?)? = nil,
        onDirectives: (@Sendable ([String: String]) -> Void)? = nil,
        onConflict: (@Sendable (UplinkConflict) -> Void)? = nil
    ) {
        let permits = PutPermits(
            permitsMax: permitsMax, topPriority: lanes.map(\.settings.priority).min() ?? 0)
        self.clock = clock
        self.pacer = pacer
        self.lanes = lanes.map { lane in
            LaneUplink(
                identity: identity, settings: lane.settings,
                components: LaneUplinkComponents(
                    source: lane.source, store: store, announcer: announcer, permits: permits, clock: clock,
                    random: random, logger: logger, pacer: pacer, believedClock: believedClock,
                    onDirectives: onDirectives,
                    onConflict: onConflict))
        }
    }

    /// One snapshot for each lane, in the order given to `init`.
    public var status: [LaneUplinkStatus] { lanes.map(\.status) }

    /// From the next object of the lane on. False when there is no such lane.
    public func change(flushInterval: Duration, of lane: String) async -> Bool {
        guard let found = lanes.first(where: { $0.status.lane == lane }) else { return false }
        await found.change(flushInterval: flushInterval)
        return true
    }

    /// Uploads and announces all lanes until the task is cancelled. Call it once.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            for lane in lanes { group.addTask { await lane.run() } }
        }
        pacer?.close()
    }

    /// Before a graceful stop, while ``run()`` still runs: sends what is durable without waiting for intervals.
    ///
    /// Returns true when everything is in the store, false when `limit` was over first; call it after intake has ended.
    public func drain(within limit: Duration) async -> Bool {
        for lane in lanes { await lane.flush() }
        let deadline = clock.now.advanced(by: limit)
        while true {
            var isDrained = true
            for lane in lanes where await !lane.isDrained { isDrained = false }
            if isDrained { return true }
            // Paused: nothing will go.
            guard pacer?.isPaused != true else { return false }
            guard clock.now < deadline, !Task.isCancelled else { return false }
            try? await clock.sleep(for: min(.milliseconds(20), clock.now.duration(to: deadline)))
        }
    }
}

extension LaneUplink {
    /// Everything durable is in the store and recorded so.
    public var isDrained: Bool { upload.isDrained(durableLSN: parts.source.durableLSN) }
}
