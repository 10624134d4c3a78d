import Cloud
import Console
import FoundationEssentials
import GroupCoordination
import KafkaListener
import Ledger
import Logging
import NIOCore
import NIOPosix
import Sealing
import ServiceLifecycle
import Synchronization
import Uplink

/// A cloud node, wired: ledger, broker, Kafka listener.
final class CloudRole: Service {
    let broker: CloudBroker
    let settings: CloudSettings
    private let ledger: Ledger
    private let listener: KafkaListener
    let store: OpenedStore
    let bundles: BundleShelf
    private let keys: LiveKeyRing?
    private let logger: Logger
    private let accepting = Atomic<Bool>(false)

    /// Kafka clients are served.
    var isAccepting: Bool { accepting.load(ordering: .relaxed) }

    /// Opens the ledger, which takes it over from an older process, and binds nothing yet.
    static func open(_ settings: CloudSettings, store: OpenedStore, logger: Logger) async throws -> CloudRole {
        FreedMemory.keep()
        try FileManager.default.createDirectory(atPath: settings.dataDirectory, withIntermediateDirectories: true)
        let log = try SQLiteFencedLog(path: settings.dataDirectory + "/ledger.sqlite")
        let ledger = try await Ledger.open(log: log, logger: logger)
        let keys = try settings.encryption.keys()
        let broker = try await CloudBroker.open(
            configuration: settings.broker, ledger: ledger,
            store: settings.encryption.store(around: store, keys), sealing: settings.encryption.sealing(keys),
            eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger)
        return CloudRole(settings, broker, ledger, store, keys, logger)
    }

    private init(
        _ settings: CloudSettings, _ broker: CloudBroker, _ ledger: Ledger, _ store: OpenedStore, _ keys: LiveKeyRing?,
        _ logger: Logger
    ) {
        self.settings = settings
        self.broker = broker
        self.ledger = ledger
        self.store = store
        bundles = BundleShelf(store, broker.sites, settings, logger)
        self.keys = keys
        self.logger = logger
        var configuration = KafkaListenerConfiguration(
            host: settings.kafka.listen?.host ?? "127.0.0.1", port: settings.kafka.listen?.port ?? 0)
        configuration.connectionsMax = settings.kafka.connectionsMax
        // A produce is answered after the upload: what one connection sends meanwhile must fill more than one object.
        configuration.requestBytesInFlightMax = 32 << 20
        configuration.inFlightBytesMax = 256 << 20
        listener = KafkaListener(
            configuration: configuration, service: broker, group: MultiThreadedEventLoopGroup.singleton, logger: logger)
    }

    /// Serves until the group shuts down; then answers what is under way and closes the ledger.
    func run() async throws {
        // Before the first client can ask.
        let told = settings.kafka.advertise ?? settings.kafka.listen
        broker.advertise(host: told?.host ?? "127.0.0.1", port: told?.port ?? 0)
        let address = try await Binding.bind(settings.kafka.listen, "kafka.listen") { try await listener.start() }
        if told?.port ?? 0 == 0 { broker.advertise(host: told?.host ?? "127.0.0.1", port: address.port ?? 0) }
        accepting.store(true, ordering: .relaxed)
        logger.notice(
            "cloud node accepts Kafka clients", metadata: ["address": "\(address)", "store": "\(store.description)"])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.work() }
            group.addTask { await self.store.probe(logger: self.logger) }
            group.addTask { await self.bundles.run() }
            group.addTask { await self.store.watchCertificates(logger: self.logger) }
            try? await gracefulShutdown()
            await listener.shutdown()
            await broker.shutdown()
            group.cancelAll()
        }
        await broker.close()
        await ledger.close()
        logger.notice("cloud node stopped")
    }

    /// Without serving anybody: brings what only the log holds into objects, and closes everything.
    func finishVolume(attemptsMax: Int) async -> Bool {
        let isDone = await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                await self.broker.run()
                return nil
            }
            group.addTask {
                for attempt in 1...attemptsMax {
                    if await self.broker.uploadVolume() { return true }
                    try? await Task.sleep(for: .seconds(attempt))
                }
                return false
            }
            var isDone = false
            while let result = await group.next() {
                guard let result else { continue }
                isDone = result
                await broker.shutdown()
                group.cancelAll()
            }
            return isDone
        }
        await broker.close()
        await ledger.close()
        return isDone
    }

    /// The broker's own work. A store that does not answer may hold up a stop for so long, then uploads are given up: their
    /// producers have no answer and send again.
    private static let stopLimit = Duration.seconds(6)

    private func work() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.broker.run() }
            group.addTask {
                try? await gracefulShutdown()
                try? await Task.sleep(for: Self.stopLimit)
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// Sentences about what an operator should look at.
    var problems: [String] {
        var problems = broker.status(topicsMax: 0).problems
        if let problem = store.problem { problems.append(problem) }
        if let problem = keys?.problem { problems.append("keys as they were before: \(problem)") }
        return problems
    }

    /// Takes an announcement: what the caller says is a hint, the store is asked.
    func adopt(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        let report = await broker.adopter.adopt(key: announcement.key)
        let reply = AnnounceReply(adopted: [announcement.lane: report.adoptedSequence])
        switch report.result {
        case .adopted, .quarantined, .missing: return reply
        case .busy(let reason): throw AnnounceError(.busy(retryAfter: nil), detail: reason)
        case .refused(let flaw): throw AnnounceError(.refused, detail: "\(flaw)")
        }
    }

    /// The newest LSN of each lane of `site` that consumers see, over its incarnations.
    func visible(site: String, incarnation: String) -> [String: UInt64] {
        var lanes: [String: UInt64] = [:]
        for lane in broker.adopter.lanes() where lane.site == site && lane.incarnation == incarnation {
            lanes[lane.lane] = lane.adoptedLSN
        }
        return lanes
    }
}

extension CloudSettings {
    fileprivate var broker: CloudConfiguration {
        var configuration = CloudConfiguration()
        configuration.nodeID = Int32(nodeID)
        configuration.createsTopics = kafka.autoCreate
        configuration.partitionsDefault = Int32(kafka.partitions)
        configuration.topics.batchBytesMax = kafka.batchBytesMax
        configuration.topics.retentionMs = retentionDefault.wholeMilliseconds
        configuration.groups.initialRebalanceDelay = TimeAmount(groupInitialDelay)
        configuration.produce.interval = TimeAmount(produceInterval)
        configuration.produce.objectBytes = produceObjectBytes
        configuration.topics.ack = ack
        configuration.volume.directory = walDirectory
        configuration.volume.quotaBytes = walQuotaBytes
        configuration.volume.uploadInterval = TimeAmount(walUploadInterval)
        configuration.volume.objectBytes = walObjectBytes
        configuration.volume.uploadsMax = walUploadsMax
        configuration.volume.tailBytesMax = walTailBytes
        configuration.transactions.timeoutMsMax = Int32(clamping: transactionTimeoutMax.wholeMilliseconds)
        configuration.fetch.tailBytesMax = cacheBytes / 2
        configuration.fetch.blockBytesMax = cacheBytes / 2
        configuration.retention.interval = TimeAmount(retentionInterval)
        configuration.retention.grace = TimeAmount(retentionGrace)
        configuration.housekeeping.isEnabled = housekeepingEnabled
        configuration.housekeeping.interval = TimeAmount(housekeepingInterval)
        configuration.housekeeping.bytesPerSecond = housekeepingBytesPerSecond
        configuration.housekeeping.mergeAfterMs = mergeAfter.wholeMilliseconds
        configuration.adoption.interval = TimeAmount(adoptionInterval)
        configuration.sites.isOpen = sitesOpen
        configuration.sites.masterKeyFile = masterKeyFile
        return configuration
    }
}

extension Duration {
    var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// Binding a listener, with an error that names setting and address.
enum Binding {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static func bind<Value>(
        _ address: HostPort?, _ setting: String, _ start: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await start()
        } catch {
            throw Failure(description: "\(setting): cannot listen on \(address.map(\.description) ?? "-"): \(error)")
        }
    }
}
