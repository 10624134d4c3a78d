import GroupCoordination
import KafkaListener
import KafkaProtocol
public import Logging
public import NIOCore
public import NIOPosix
import Synchronization
public import WriteAheadLog

/// The gateway role: terminals and Kafka clients in, lanes on the disk, local readers out. The uplink takes it from there.
///
/// - Start: ``init(_:clock:random:group:logger:)`` recovers the lanes; ``start(intakes:)`` opens the sockets.
/// - Durability: whoever got a positive answer is served by a lane's fdatasync.
/// - End: ``shutdown()`` stops intake first, then lets the logs write what they have taken.
public final class EdgeGateway: Sendable {
    public let configuration: EdgeConfiguration
    public let identity: SiteIdentity
    /// Which start of the installation this is, and which others were on the same run of the machine.
    public let boots: SiteBoots
    /// Configured ones first, most urgent first.
    public let lanes: [Lane]
    /// What opening the lanes found, in the order of ``lanes``; behind them of directories that were left alone.
    public let recovery: [RecoveryReport]
    public let topics: LocalTopics
    /// Where intake listeners deliver.
    public let sink: any TerminalSink
    public let kafkaService: EdgeKafkaService

    private enum Phase {
        case open, running, closed
    }

    private struct State {
        var phase = Phase.open
        var kafka: KafkaListener?
        var intakes: [any IntakeListener] = []
        /// Looks for data that has become too old, and at the clock.
        var watch: RepeatedTask?
    }

    private let group: any EventLoopGroup
    private let pool: NIOThreadPool
    private let groups: GroupService
    private let groupOffsets: LocalGroupOffsets
    /// What everything here is stamped by.
    public let clock: any WallClock
    /// What was known of it, on this run of the machine and on earlier ones.
    public let clockMemory: ClockMemory
    private let logger: Logger
    private let configuredLanes: Int
    private let state = Mutex(State())

    /// Opens the lanes and recovers topics; blocks. Broken data never makes it fail, see ``recovery``.
    ///
    /// - Parameters:
    ///   - sealing: encryption of the lanes at rest; nil opens and writes plain ones only.
    ///   - random: one number, used only when the gateway has no producer ids yet.
    public init(
        _ configuration: EdgeConfiguration, sealing: LogSealing? = nil, clock: any WallClock = SystemWallClock(),
        random: UInt32 = .random(in: .min ... .max), group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        logger: Logger = Logger(label: "cairn.edge")
    ) throws {
        let identity = try SiteIdentity.open(root: configuration.root)
        var boots = SiteBoots.open(root: configuration.root)
        let topics = LocalTopics(
            router: configuration.router, incarnation: identity.incarnation,
            autoCreates: configuration.kafka.autoCreatesTopics,
            defaultPartitions: configuration.kafka.defaultPartitions, topicsMax: configuration.kafka.topicsMax)
        for topic in configuration.topics {
            do { try topics.configure(topic) } catch { throw EdgeError.topicNameInvalid(topic.name) }
        }
        let watchers = PartitionWatchers()
        let mailboxes = LoopMailboxes()
        let set = try LaneSet(
            root: configuration.root, router: configuration.router, watchers: watchers, bootEpoch: boots.epoch,
            sealing: sealing
        ) { lane in
            lane.engine = configuration.engine
            lane.eraseBlockBytes = configuration.eraseBlockBytes
            lane.scrub = configuration.scrub
        }
        boots.raise(to: set.lanes.map(\.log.bootEpoch).max() ?? 0)
        // A topic that two lanes know belongs to the configured one.
        for (index, lane) in set.lanes.enumerated().reversed() {
            for partition in lane.log.partitions() {
                topics.recovered(partition.topic, partition: partition.partition, lane: index)
            }
        }
        let pool = NIOThreadPool(numberOfThreads: max(1, configuration.readerThreads))
        pool.start()
        self.configuration = configuration
        self.identity = identity
        self.boots = boots
        self.lanes = set.lanes
        self.recovery = set.reports
        self.topics = topics
        let sources = SourceLanes(configuration.router)
        self.sink = LaneSink(
            lanes: set.lanes, topics: topics, sources: sources, clock: clock, mailboxes: mailboxes,
            batchBytesMax: configuration.kafka.batchBytesMax)
        let lanes = set.lanes
        let clockMemory = ClockMemory(root: configuration.root, boots: boots, clock: clock)
        self.clockMemory = clockMemory
        let passed = lanes.compactMap(\.newestBelievedMs) + [clockMemory.believedMs].compactMap { $0 }
        if let newestMs = passed.max() { clock.learn(notBeforeMs: newestMs) }
        let groups = GroupService(configuration: configuration.kafka.groups, timerLoop: group.next())
        let groupOffsets = LocalGroupOffsets(
            path: configuration.root + "/groups.sqlite", topics: topics, clock: clock, logger: logger
        ) { place in
            guard let topic = topics.topic(named: place.topic) else { return 0 }
            return lanes[topic.lane].offsets(of: place).end
        }
        self.groups = groups
        self.groupOffsets = groupOffsets
        self.kafkaService = EdgeKafkaService(
            EdgeServices(
                configuration: configuration.kafka,
                clusterID: configuration.kafka.clusterID ?? identity.incarnation, lanes: set.lanes, topics: topics,
                sources: sources, clock: clock,
                producerIDs: ProducerIDs(path: configuration.root + "/producer-ids", newSpace: random),
                watchers: watchers, mailboxes: mailboxes, pool: pool,
                fetchBudget: ByteBudget(limitBytes: max(0, configuration.kafka.fetchBytesInFlightMax)),
                groups: GroupHandlers(
                    groups: groups, offsets: groupOffsets,
                    directory: EdgeCoordinator(configuration: configuration.kafka), memberID: Self.memberID)))
        self.group = group
        self.clock = clock
        self.pool = pool
        self.logger = logger
        self.configuredLanes = set.configuredCount
    }

    /// Where Kafka clients connect; `nil` while no listener runs.
    public var kafkaAddress: SocketAddress? { state.withLock { $0.kafka }?.address }

    /// Starts the Kafka listener and `intakes`. When one cannot start, those that could are stopped again, and the error of
    /// that one is thrown.
    public func start(intakes: [any IntakeListener] = []) async throws {
        let kafka = configuration.kafkaListener.map {
            KafkaListener(configuration: $0, service: kafkaService, group: group, logger: logger)
        }
        let mayStart = state.withLock { state in
            guard state.phase == .open else { return false }
            state = State(phase: .running, kafka: kafka, intakes: intakes)
            return true
        }
        guard mayStart else { throw EdgeError.startedTwice }
        do {
            try await kafka?.start()
            for intake in intakes { try await intake.start() }
            beginWatch()
        } catch {
            await stopListeners(kafka, intakes)
            state.withLock { $0 = State() }
            throw error
        }
    }

    /// Once a second: whether the time is known is written down, and lanes with a limit by age give up what is beyond it,
    /// whether or not anything comes in.
    private func beginWatch() {
        let aged = lanes.filter { $0.settings.quotaAge != nil }
        let (pool, clock, clockMemory) = (pool, clock, clockMemory)
        let task = group.next().scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
            let now = clock.read()
            let isTrusted = now.quality.isBelieved
            for lane in aged { lane.log.expire(nowNs: now.monotonicNs, wallMs: isTrusted ? now.wallMs : nil) }
            // Seldom writes a file, which must not hold up an event loop.
            if isTrusted { pool.submit { _ in clockMemory.note(now) } }
        }
        state.withLock { $0.watch = task }
    }

    /// Stops intake, answers what is in flight, makes everything taken durable, closes the lanes. Idempotent.
    public func shutdown() async {
        let before = state.withLock { state in
            defer { state.phase = .closed }
            return state
        }
        guard before.phase != .closed else { return }
        // Parked joins would hold the listener up.
        groups.stop()
        before.watch?.cancel()
        await stopListeners(before.kafka, before.intakes)
        await groupOffsets.close()
        let lanes = lanes
        // Closing joins the writer's thread, so it must not hold up an event loop.
        try? await pool.runIfActive { for lane in lanes { lane.log.close() } }
        try? await pool.shutdownGracefully()
    }

    public func status() -> EdgeStatus {
        let (kafka, intakes) = state.withLock { ($0.kafka, $0.intakes) }
        var groups = groupOffsets.status
        (groups.activeGroups, groups.members, _) = self.groups.counts
        return EdgeStatus(
            incarnation: identity.incarnation,
            lanes: lanes.enumerated().map { index, lane in
                EdgeLaneStatus(settings: lane.settings, isConfigured: index < configuredLanes, log: lane.log.status)
            },
            topicCount: topics.count, kafkaAddress: kafka?.address.map(Self.text), kafka: kafka?.counters,
            groups: groups,
            intakes: intakes.map {
                EdgeIntakeStatus(name: $0.name, address: $0.address.map(Self.text), counters: $0.counters)
            })
    }

    /// Intake before Kafka, all intakes at once.
    private func stopListeners(_ kafka: KafkaListener?, _ intakes: [any IntakeListener]) async {
        await withTaskGroup(of: Void.self) { tasks in
            for intake in intakes { tasks.addTask { await intake.shutdown() } }
        }
        await kafka?.shutdown()
    }

    private static func memberID() -> KafkaUUID {
        KafkaUUID(high: .random(in: .min ... .max), low: .random(in: .min ... .max))
    }

    private static func text(_ address: SocketAddress) -> String {
        "\(address.ipAddress ?? "?"):\(address.port ?? 0)"
    }
}

/// Why a gateway does not start.
public enum EdgeError: Error, Equatable {
    case topicNameInvalid(String)
    case startedTwice
}
