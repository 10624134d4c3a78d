import GroupCoordination
public import KafkaListener
import KafkaProtocol
public import Ledger
public import Logging
public import NIOCore
public import ObjectStore
import Synchronization
public import WriteAheadLog

/// The broker role: serves Kafka clients from shared objects, and takes the objects of gateways over.
///
/// Make it with ``open(configuration:ledger:store:world:eventLoopGroup:logger:)``, give it to a `KafkaListener`, and keep
/// ``run()`` running while it serves. It keeps nothing that a restart needs: that is in the ledger and in the store.
public final class CloudBroker: KafkaService {
    public let configuration: CloudConfiguration
    /// Takes announcements of gateways.
    public let adopter: Adopter
    /// Who may announce, and what sites are told.
    public let sites: SiteRegistry

    let ledger: Ledger
    let engine: FetchEngine
    let batcher: ProduceBatcher
    let groups: GroupService
    let retention: Retention
    let housekeeper: Housekeeper
    let store: CountingStore
    /// The node's own log, if it has one.
    let volume: Volume?
    private let uploader: VolumeUploader?
    private let timeouts: TransactionTimeouts
    let handlers: Handlers
    let advertised: Advertised
    let jobs: JobRunner
    let world: CloudWorld
    let nodeEpoch: Int64
    private let listenerToken: UInt64
    let logger: Logger

    /// Registers the node with the ledger, which fences an older run of it, and composes the broker.
    ///
    /// - Parameter sealing: encryption of the node's own log at rest; nil opens and writes a plain one only.
    public static func open(
        configuration: CloudConfiguration, ledger: Ledger, store: any ObjectStore, sealing: LogSealing? = nil,
        world: CloudWorld = CloudWorld(),
        eventLoopGroup: any EventLoopGroup, logger: Logger = Logger(label: "cairn.cloud")
    ) async throws -> CloudBroker {
        let epoch = try await ledger.registerNode(configuration.nodeID, nowMs: world.wallMs())
        let loop = eventLoopGroup.next()
        var volume: Volume?
        if !configuration.volume.directory.isEmpty {
            volume = try await OpenedVolume.open(
                configuration.volume, sealing: sealing, nodeID: configuration.nodeID, nodeEpoch: epoch, ledger: ledger,
                world: world, timerLoop: loop, logger: logger)
        }
        return CloudBroker(
            configuration, ledger, CountingStore(store), world, loop, nodeEpoch: epoch, volume, logger)
    }

    private init(
        _ configuration: CloudConfiguration, _ ledger: Ledger, _ store: CountingStore, _ world: CloudWorld,
        _ loop: any EventLoop, nodeEpoch: Int64, _ volume: Volume?, _ logger: Logger
    ) {
        self.configuration = configuration
        self.ledger = ledger
        self.store = store
        self.world = world
        self.nodeEpoch = nodeEpoch
        self.logger = logger
        let now: @Sendable () -> NIODeadline = { loop.now }
        self.volume = volume
        let jobs = JobRunner()
        let sequences = ObjectSequences()
        let blocks = BlockCache(store: store, configuration: configuration.fetch, world: world)
        let retention = Retention(
            configuration: configuration.retention, topics: configuration.topics, store: store, ledger: ledger,
            world: world, now: now, logger: logger)
        engine = FetchEngine(
            configuration: configuration.fetch, view: ledger.view, blocks: blocks,
            volume: volume.map { VolumeReader(volume: $0, bytesMax: configuration.volume.readBytesMax) }, jobs: jobs,
            logger: logger)
        batcher = ProduceBatcher(
            configuration: configuration.produce, nodeID: configuration.nodeID, nodeEpoch: nodeEpoch, store: store,
            ledger: ledger, blocks: blocks, sequences: sequences, jobs: jobs, world: world, timerLoop: loop,
            logger: logger,
            abandoned: { retention.abandon($0) })
        uploader = volume.map {
            VolumeUploader(
                volume: $0, store: store, blocks: blocks, ledger: ledger, sequences: sequences,
                nodeID: configuration.nodeID, nodeEpoch: nodeEpoch, world: world, jobs: jobs, logger: logger,
                abandoned: { retention.abandon($0) })
        }
        housekeeper = Housekeeper(
            configuration: configuration.housekeeping, topics: configuration.topics, store: store,
            rewriter: ObjectRewriter(
                store: store, ledger: ledger, sequences: sequences, nodeID: configuration.nodeID,
                nodeEpoch: nodeEpoch, world: world, abandoned: { retention.abandon($0) }),
            now: now, logger: logger)
        timeouts = TransactionTimeouts(
            ledger: ledger, configuration: configuration.transactions, world: world, logger: logger)
        groups = GroupService(configuration: configuration.groups, timerLoop: loop)
        var adoption = configuration.adoption
        adoption.takesUnregisteredSites = configuration.sites.isOpen
        adopter = Adopter(
            configuration: adoption, partitionsDefault: configuration.partitionsDefault, store: store,
            ledger: ledger, world: world, now: now, logger: logger)
        sites = SiteRegistry(
            settings: configuration.sites, ledger: ledger, adopter: adopter, world: world, logger: logger)
        advertised = Advertised(configuration)
        self.jobs = jobs
        self.retention = retention
        handlers = Handlers(
            configuration, ledger: ledger, engine: engine, batcher: batcher, volume: volume, groups: groups,
            advertised: advertised, jobs: jobs, world: world)
        let watchers = engine.watchers
        listenerToken = ledger.view.addListener { watchers.changed($0) }
    }

    /// What clients are told to connect to, once the listener knows its port.
    public func advertise(host: String, port: Int) {
        advertised.set(Advertised.Endpoint(host: host, port: Int32(clamping: port)))
    }

    // MARK: Running

    /// Works until the task is cancelled: jobs of requests, adoption by listing, retention, housekeeping.
    /// Call `shutdown` before, so that what clients have sent is answered.
    public func run() async {
        uploader?.start()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.jobs.run() }
            group.addTask { await self.reconcileForever() }
            group.addTask { await self.retainForever() }
            group.addTask { await self.scrubForever() }
            group.addTask { await self.housekeepForever() }
            group.addTask { await self.endOverdueForever() }
        }
        groups.stop()
        ledger.view.removeListener(listenerToken)
    }

    /// Finishes the uploads under way, answers what is parked, and refuses new work. `run` must still be running; stop the
    /// listener first.
    public func shutdown() async {
        groups.stop()
        await batcher.drain()
        await volume?.drain()
        jobs.stop()
    }

    /// Closes the node's own log. After `run` has returned: nothing may be appended or uploaded any more.
    public func close() async {
        guard let volume else { return }
        await onBlockingThread { volume.close() }
    }

    /// Brings everything that only the node's own log holds into objects, for a node that will not come back. `run` must be
    /// running. False when something could not be moved: try again.
    public func uploadVolume() async -> Bool {
        guard let uploader else { return true }
        return await uploader.uploadAll()
    }

    private func endOverdueForever() async {
        while !Task.isCancelled {
            await timeouts.round()
            guard await pause(configuration.transactions.timeoutsInterval) else { return }
        }
    }

    private func reconcileForever() async {
        while !Task.isCancelled {
            await adopter.reconcile()
            guard await pause(configuration.adoption.interval) else { return }
        }
    }

    private func retainForever() async {
        await retention.sweepOrphans(nodeID: configuration.nodeID, epoch: UInt64(max(0, nodeEpoch)))
        while !Task.isCancelled {
            await retention.round()
            guard await pause(configuration.retention.interval) else { return }
        }
    }

    private func scrubForever() async {
        while await pause(configuration.retention.scrubInterval) { await retention.scrub() }
    }

    private func housekeepForever() async {
        guard configuration.housekeeping.isEnabled else { return }
        while await pause(configuration.housekeeping.interval) { await housekeeper.round() }
    }

    private func pause(_ amount: TimeAmount) async -> Bool {
        do {
            try await world.clock.sleep(for: .nanoseconds(amount.nanoseconds))
            return true
        } catch { return false }
    }

    // MARK: Serving

    public var apis: [SupportedAPI] { Handlers.apis }

    /// The second transaction protocol (KIP-890).
    public var features: [FinalizedFeature] {
        [FinalizedFeature(name: "transaction.version", supported: 0...2, level: 2)]
    }

    public func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        do {
            return try handlers.handle(request, on: connection)
        } catch {
            return connection.eventLoop.makeFailedFuture(error)
        }
    }
}
