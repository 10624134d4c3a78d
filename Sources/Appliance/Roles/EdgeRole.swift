import Edge
import GroupCoordination
import KafkaListener
import Logging
import NIOCore
import NIOPosix
import Sealing
import ServiceLifecycle
import SiteAuthority
import Synchronization
import Uplink
import WriteAheadLog

/// A gateway, wired: lanes, intake and Kafka listeners, uplink.
final class EdgeRole: Service {
    let settings: EdgeSettings
    let gateway: EdgeGateway
    private let uplink: UplinkRunner?
    private let updater = Mutex<Updater?>(nil)
    /// The store has answered since the start.
    private let storeAnswered = Atomic<Bool>(false)
    private let store: OpenedStore?
    private let keys: LiveKeyRing?
    private let logger: Logger
    private let accepting = Atomic<Bool>(false)
    /// How commands reach this process; nil without a console or where the file could not be written.
    let control: ControlFile?
    private let started = ContinuousClock.now

    /// The listeners are open: what comes is taken.
    var isAccepting: Bool { accepting.load(ordering: .relaxed) }
    var site: String { settings.site }
    var incarnation: String { uplink?.incarnation ?? gateway.identity.incarnation }

    /// Recovers the lanes; blocks while it does. Binds nothing yet.
    /// - Parameter announcer: nil tells the nodes of `uplink.announce` over HTTP, if there are any.
    static func open(
        _ settings: EdgeSettings, store: OpenedStore?, announcer: (any Announcer)?,
        clock: any WallClock = SystemWallClock(), logger: Logger
    ) async throws -> EdgeRole {
        let keys = try settings.encryption.keys()
        let gateway = try EdgeGateway(
            try settings.gateway(), sealing: settings.encryption.sealing(keys), clock: clock,
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        if let replaced = gateway.identity.replaced { logger.error("site identity: \(replaced)") }
        if let trouble = gateway.boots.trouble { logger.warning("count of starts: \(trouble)") }
        for report in gateway.recovery {
            logger.log(level: report.isClean ? .info : .error, "\(report)")
        }
        return try EdgeRole(settings, gateway, store, keys, announcer, logger)
    }

    private init(
        _ settings: EdgeSettings, _ gateway: EdgeGateway, _ store: OpenedStore?, _ keys: LiveKeyRing?,
        _ announcer: (any Announcer)?, _ logger: Logger
    ) throws {
        self.settings = settings
        self.gateway = gateway
        self.store = store
        self.keys = keys
        self.logger = logger
        control = settings.http.flatMap { http in
            do {
                return try ControlFile.make(directory: settings.dataDirectory, http: http)
            } catch {
                logger.error("commands cannot reach this gateway: \(error)")
                return nil
            }
        }
        uplink =
            if settings.uplink.enabled, let store {
                try UplinkRunner(
                    settings, gateway, store: settings.encryption.store(around: store, keys), announcer: announcer,
                    grants: store.grants, logger: logger)
            } else { nil }
        if let uplink, let store { updater.withLock { $0 = makeUpdater(uplink, store) } }
    }

    /// Takes data in and uploads it until the group shuts down; then everything taken becomes durable.
    func run() async throws {
        let intakes = IntakeListeners.make(
            settings, sink: gateway.sink, clock: gateway.clock, group: MultiThreadedEventLoopGroup.singleton,
            logger: logger)
        do {
            try await gateway.start(intakes: intakes)
        } catch {
            let addresses = ([settings.kafka.listen, settings.ntrip?.listen] + settings.streams.map(\.address))
                .compactMap { $0 }
            await gateway.shutdown()
            throw Binding.Failure(
                description: "cannot listen on one of \(addresses.map(\.description).joined(separator: ", ")): \(error)"
            )
        }
        accepting.store(true, ordering: .relaxed)
        logger.notice(
            "gateway accepts terminals and producers",
            metadata: ["site": "\(site)", "kafka": "\(settings.kafka.listen?.description ?? "off")"])
        let prefix = "sites/\(site)/\(incarnation)/"
        store?.forgetUploads(prefix: prefix, keeping: uplink?.openKeys ?? [])
        await withTaskGroup(of: Void.self) { group in
            if let uplink { group.addTask { await uplink.run() } }
            if let updater = updater.withLock({ $0 }) { group.addTask { await updater.run() } }
            if let store {
                group.addTask { await store.watchCertificates(logger: self.logger) }
                group.addTask {
                    if await store.probe(logger: self.logger) { self.storeAnswered.store(true, ordering: .relaxed) }
                    await store.abortLeftovers(prefix: prefix, logger: self.logger)
                }
            }
            try? await gracefulShutdown()
            accepting.store(false, ordering: .relaxed)
            _ = await uplink?.drain(within: .seconds(2))
            group.cancelAll()
        }
        await gateway.shutdown()
        await uplink?.close()
        logger.notice("gateway stopped")
    }

    /// The lanes as the live screen shows them.
    func rows(visible: [String: UInt64], lag: inout [String: LagClock]) -> [LaneRow] {
        let uploads = Dictionary(uniqueKeysWithValues: (uplink?.status ?? []).map { ($0.lane, $0) })
        let nowMs = Int64(monotonicNanoseconds() / 1_000_000)
        return gateway.status().lanes.map { lane in
            let log = lane.log
            var row = LaneRow(name: lane.settings.name)
            row.records = log.durableRecords
            row.bytes = log.durableBytes
            row.acceptedLSN = log.acceptedLSN
            row.durableLSN = log.durableLSN
            row.uploadedLSN = log.uploadedLSN
            row.visibleLSN = visible[lane.settings.name] ?? 0
            row.diskBytes = log.diskBytes
            row.quotaBytes = log.quotaBytes
            // LSNs after the last batch are control frames, which nobody waits for.
            let waits =
                log.durableLSN > row.visibleLSN && (uploads[row.name]?.backlogLSNs ?? 0) > 0
                || row.uploadedLSN > row.visibleLSN
            row.lagMs = lag[row.name, default: LagClock()].lag(
                accepted: row.acceptedLSN, visible: waits ? row.visibleLSN : row.acceptedLSN, nowMs: nowMs)
            row.trouble = uploads[row.name].flatMap { $0.alarm ?? $0.announceAlarm ?? $0.lastError }
            return row
        }
    }

    /// Sentences about what an operator should look at.
    var problems: [String] {
        let status = gateway.status()
        var problems: [String] = []
        for lane in status.lanes {
            let (name, log) = (lane.settings.name, lane.log)
            if log.isFailing {
                problems.append("lane \(name): the disk refuses writes: \(log.alarms.lastMessage ?? "")")
            }
            if log.pendingGaps > 0 {
                problems.append("lane \(name): data was dropped: \(EdgeConsole.dropped(log))")
            }
            if let untouched = log.alarms.untouched {
                problems.append("lane \(name): what was there is left alone: \(untouched)")
            }
            if log.alarms.lostLSNs > 0 {
                problems.append(
                    "lane \(name): \(log.alarms.lostLSNs) frames are lost: \(log.alarms.lastMessage ?? "")")
            }
            if log.diskBytes >= log.quotaBytes { problems.append("lane \(name): at its quota, rejecting") }
        }
        for report in gateway.recovery.dropFirst(gateway.lanes.count) {
            problems += report.leftUntouched.map { "lane \(report.lane): left alone: \($0.told)" }
        }
        let groups = status.groups
        problems += [groups.diskProblem, groups.damage].compactMap { $0 }.map { "consumer groups: \($0)" }
        if let trouble = gateway.clockMemory.trouble {
            problems.append("what is known of the clock is not remembered: \(trouble)")
        }
        if let trouble = uplink?.trouble { problems.append(trouble) }
        if let pacing = uplink?.pacer.status { problems += pacing.problems }
        if let update = updateReport, update.state == .failed || update.state == .rolledBack {
            problems.append("update to \(update.target ?? "-") \(update.state.rawValue): \(update.reason ?? "")")
        }
        for lane in uplink?.status ?? [] {
            if let alarm = lane.alarm ?? lane.announceAlarm { problems.append("uplink of \(lane.lane): \(alarm)") }
        }
        problems += [uplink?.certificateProblem, store?.problem].compactMap { $0 }
        if let problem = keys?.problem { problems.append("keys as they were before: \(problem)") }
        return problems
    }

    var uploads: [LaneUplinkStatus] { uplink?.status ?? [] }
    var uplinkReport: UplinkReport? {
        pacer.map { UplinkReport($0.status, lanes: uploads, sinceStart: .zero + started.duration(to: .now)) }
    }

    func noteOrder(_ text: String) { logger.notice("\(text)", metadata: ["site": "\(site)"]) }

    var updateReport: UpdateReport? { updater.withLock { $0 }?.report }
    var updateLogger: Logger { logger }
    var hasUplink: Bool { uplink != nil }
    var isStartCounted: Bool { uplink?.isStartCounted ?? true }
    /// Cloud or store have answered since the start.
    var hasReachedCloud: Bool { uplink?.hasAnswer == true || storeAnswered.load(ordering: .relaxed) }

    /// Nil when the uplink is switched off.
    var pacer: UplinkPacer<ContinuousClock>? { uplink?.pacer }
}

extension EdgeSettings {
    fileprivate func gateway() throws -> EdgeConfiguration {
        let routes = try Self.ranked(lanes, \.topics) { try TopicPattern($0) }
            .filter { $0.pattern.description != "*" }.map { LaneRoute($0.pattern, lane: $0.lane) }
        let sources = try Self.ranked(lanes, \.sources) { try SourcePattern($0) }
            .map { SourceRoute($0.pattern, lane: $0.lane) }
        let fallback = lanes.first { $0.topics.contains("*") }?.name ?? "standard"
        let router = try LaneRouter(
            lanes: lanes.map { lane in
                Edge.LaneSettings(
                    name: lane.name, commitWindow: lane.window, uplinkInterval: lane.flush, quotaBytes: lane.quotaBytes,
                    segmentBytes: lane.segmentBytes(wal),
                    retentionBytes: lane.retainBytes, fullPolicy: lane.dropsOldest ? .dropOldest : .reject,
                    quotaAge: lane.maxAge)
            },
            routes: routes, sources: sources, fallback: fallback)
        var configuration = EdgeConfiguration(root: dataDirectory, router: router, kafkaListener: nil)
        configuration.eraseBlockBytes = wal.eraseBlockBytes
        configuration.scrub.bytesPerSecond = wal.scrubBytesPerSecond
        configuration.scrub.interval = wal.scrubInterval
        if let listen = kafka.listen {
            var listener = KafkaListenerConfiguration(host: listen.host, port: listen.port)
            listener.connectionsMax = kafka.connectionsMax
            configuration.kafkaListener = listener
        }
        configuration.topics = topics.map {
            Edge.TopicSettings(name: $0.name, partitionCount: Int32($0.partitions))
        }
        configuration.kafka.advertisedHost = kafka.advertise?.host
        configuration.kafka.advertisedPort = kafka.advertise?.port
        configuration.kafka.autoCreatesTopics = kafka.autoCreate
        configuration.kafka.defaultPartitions = Int32(kafka.partitions)
        configuration.kafka.batchBytesMax = kafka.batchBytesMax
        configuration.kafka.groups.initialRebalanceDelay = TimeAmount(groupInitialDelay)
        return configuration
    }
}

extension EdgeSettings {
    /// Patterns of all lanes, the most special first, those of more urgent lanes before their equals.
    fileprivate static func ranked<Pattern: RankedPattern>(
        _ lanes: [Appliance.LaneSettings], _ patterns: KeyPath<Appliance.LaneSettings, [String]>,
        _ make: (String) throws -> Pattern
    ) rethrows -> [(pattern: Pattern, lane: String)] {
        try lanes.enumerated().flatMap { place, lane in
            try lane[keyPath: patterns].map { (place: place, pattern: try make($0), lane: lane.name) }
        }
        .sorted { first, second in
            let (one, other) = (first.pattern.pattern.rank, second.pattern.pattern.rank)
            return one == other ? first.place < second.place : one > other
        }
        .map { ($0.pattern, $0.lane) }
    }
}

private protocol RankedPattern {
    var pattern: NamePattern { get }
}

extension TopicPattern: RankedPattern {}
extension SourcePattern: RankedPattern {}
