import Cloud
import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Uplink
import WriteAheadLog

/// A site, its link, a store and a cloud node, under faults that a seed decides. Everything that decides something is
/// production code; the disk, the time, the store's faults and the clients are simulated.
struct SimulatedWorld {
    static let incarnation = String(repeating: "5", count: 32)

    let seed: UInt64
    private(set) var trace: [String] = []
    private var random: SeededRandom
    private let shared: SharedRandom
    private let clock = SimulatedClock()
    private let disk = SimulatedDisk()
    private let durableStore: MemoryStore
    private let store: FaultyStore
    private let ledgerLog = MemoryFencedLog()
    private var lane: SimulatedLane
    private var uplink: LaneUplink<SimulatedClock>
    private var cloud: SimulatedCloud
    private let cloudBox = CloudBox()
    private var producers: [SimulatedProducer]
    private var powerOffAt: Int?

    init(seed: UInt64) async throws {
        self.seed = seed
        random = SeededRandom(seed: seed)
        shared = SharedRandom(seed: seed ^ 0xABCD)
        let clock = clock
        durableStore = MemoryStore(nowMs: { clock.milliseconds })
        store = FaultyStore(durableStore, FaultScript(seed: seed), sleep: { clock.advance(by: $0) })
        lane = try SimulatedLane(name: "critical", disk: disk, saltSeed: seed)
        cloud = try await SimulatedCloud.start(log: ledgerLog, store: store, clock: clock, random: shared)
        cloudBox.set(cloud)
        producers = (0..<4).map { number in
            SimulatedProducer(
                number: number, topic: number % 2 == 0 ? "gnss.a" : "gnss.b", partition: Int32(number / 2 % 2),
                isIdempotent: number != 3)
        }
        uplink = Self.makeUplink(lane, store, clock, shared, cloudBox)
        addFaults()
    }

    /// One life of the world: `steps` events, then everything heals and what was acked is looked for.
    mutating func run(steps: Int) async throws {
        for _ in 0..<steps { try await event() }
        try await heal()
        try await check()
        await cloud.ledger.close()
    }

    // MARK: Events

    private mutating func event() async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<45: try produce()
        case 45..<75: await upload()
        case 75..<82: _ = await uplink.announceStep()
        case 82..<90: clock.advance(by: .milliseconds(Int.random(in: 1...5000, using: &random)))
        case 90..<93: powerOffAt = powerOffAt ?? disk.operations + Int.random(in: 1...12, using: &random)
        case 93..<95: try restartGateway(powerCut: false)
        case 95..<97: try await restartCloud()
        case 97..<99: _ = await cloud.adopter.reconcile()
        default: addFaults()
        }
        if let limit = powerOffAt {
            disk.faults.powerOffAt = limit
            if disk.operations >= limit { try restartGateway(powerCut: true) }
        }
    }

    private mutating func produce() throws {
        let count = Int.random(in: 1...3, using: &random)
        let chosen = Array(producers.indices.shuffled(using: &random).prefix(count))
        let nowMs = 1_700_000_000_000 + clock.milliseconds
        var entries: [LogEntry] = []
        for index in chosen { entries.append(try producers[index].batch(nowMs: nowMs, using: &random)) }
        let outcomes = lane.commit(entries)
        let connectionBreaks = random.chance(60)
        for (index, outcome) in zip(chosen, outcomes) {
            if connectionBreaks { producers[index].unanswered() } else { try producers[index].answered(outcome) }
        }
        note("produce \(chosen) \(outcomes.map(\.brief)) \(connectionBreaks)")
    }

    private mutating func upload() async {
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            guard case .none = await uplink.step() else { break }
        }
        let status = uplink.status
        note("uplink \(status.nextSequence) \(status.uploadedThrough)")
    }

    private mutating func restartGateway(powerCut: Bool) throws {
        if powerCut { disk.crash(using: &random) } else { disk.restartProcess() }
        powerOffAt = nil
        for index in producers.indices { producers[index].unanswered() }
        lane = try SimulatedLane(name: "critical", disk: disk, saltSeed: random.next())
        uplink = Self.makeUplink(lane, store, clock, shared, cloudBox)
        note("restart \(powerCut) durable \(lane.durableLSN) \(lane.uploadState)")
    }

    private mutating func restartCloud() async throws {
        await cloud.ledger.close()
        ledgerLog.setFaults(nil)
        cloud = try await SimulatedCloud.start(log: ledgerLog, store: store, clock: clock, random: shared)
        cloudBox.set(cloud)
        breakLedger()
        note("cloud restarts")
    }

    /// Other chances of other faults, from now on.
    private mutating func addFaults() {
        var script = FaultScript(seed: random.next())
        let scale = Int.random(in: 0...3, using: &random)
        script.add(.fail(.unavailable), perMille: 20 * scale)
        script.add(.throttle(), perMille: 20 * scale)
        script.add(.timeoutAfterSuccess, on: .put, perMille: 40 * scale)
        script.add(.fail(.timeout), perMille: 20 * scale)
        script.add(.ownObjectExists, on: .put, perMille: 20 * scale)
        script.add(.staleList(newest: 2), on: .list, perMille: 100 * scale)
        script.add(.truncateGet(sizeBytes: 10), on: .get, perMille: 10 * scale)
        script.add(.flipGet(bit: 77), on: .get, perMille: 10 * scale)
        store.rescript { [script] in $0 = script }
        breakLedger()
        note("faults \(scale)")
    }

    private func breakLedger() {
        let shared = shared
        ledgerLog.setFaults { operation in
            guard case .append = operation, shared.chance(50) else { return nil }
            return shared.chance(500) ? .errorBeforeEffect : .errorAfterEffect
        }
    }

    private static func makeUplink(
        _ lane: SimulatedLane, _ store: FaultyStore, _ clock: SimulatedClock, _ shared: SharedRandom, _ cloud: CloudBox
    ) -> LaneUplink<SimulatedClock> {
        guard let identity = UplinkIdentity(site: "sim", incarnation: incarnation) else {
            preconditionFailure("the site's name is not a name")
        }
        return LaneUplink(
            identity: identity, settings: .critical,
            components: LaneUplinkComponents(
                source: lane, store: store,
                announcer: LocalAnnouncer { (announcement) async throws(AnnounceError) in
                    try await Self.carry(announcement, to: cloud, shared)
                },
                permits: PutPermits(), clock: clock, random: { shared.next() },
                logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }))
    }

    /// The link: loses a request, or its answer.
    private static func carry(
        _ announcement: Announcement, to cloud: CloudBox, _ shared: SharedRandom
    ) async throws(AnnounceError) -> AnnounceReply {
        guard !shared.chance(150), let cloud = cloud.current else { throw AnnounceError(.unreachable) }
        let report = await cloud.adopter.adopt(key: announcement.key)
        guard !shared.chance(150) else { throw AnnounceError(.unreachable) }
        return AnnounceReply(adopted: [announcement.lane: report.adoptedSequence])
    }

    private mutating func note(_ line: String) { trace.append(line) }

    // MARK: The end

    /// Faults end, the gateway sends what it has, the cloud takes it over.
    private mutating func heal() async throws {
        store.rescript { $0 = FaultScript() }
        ledgerLog.setFaults(nil)
        if powerOffAt != nil { try restartGateway(powerCut: true) }
        try await restartCloud()
        ledgerLog.setFaults(nil)
        for index in producers.indices where producers[index].isIdempotent {
            let entry = try producers[index].batch(nowMs: 1_700_000_000_000 + clock.milliseconds, using: &random)
            for _ in 0..<50 {
                guard case .rejected? = lane.commit([entry]).first.map({ outcome in
                    (try? producers[index].answered(outcome)) == nil ? AppendOutcome.rejected(.closed) : outcome
                }) else { break }
                await drain()
            }
        }
        await drain()
        guard await uplink.isDrained else { throw SimulationFailure("the uplink did not drain: \(uplink.status)") }
        for _ in 0..<20 {
            clock.advance(by: .seconds(60))
            if await cloud.adopter.reconcile(), adoptedThrough == lane.uploadState.nextSequence - 1 { return }
        }
        throw SimulationFailure(
            "adopted through \(adoptedThrough), uploaded \(lane.uploadState), lanes \(cloud.adopter.lanes())")
    }

    private var adoptedThrough: UInt64 {
        (cloud.ledger.view.lane("sim", incarnation: Self.incarnation, lane: "critical")?.nextSequence ?? 1) - 1
    }

    private func drain() async {
        await uplink.flush()
        for _ in 0..<2000 {
            guard await !uplink.isDrained else { return }
            if case .until = await uplink.step() { clock.advance(by: .seconds(61)) }
        }
    }

    /// Everything acked is delivered once, in order, at dense offsets; what was not acked is there at most once.
    private func check() async throws {
        var seen: [Int: [Int]] = [:]
        for topic in cloud.ledger.view.topics() {
            for partition in 0..<topic.partitionCount {
                for value in try await values(of: topic, partition) {
                    let parts = value.split(separator: ":").compactMap { Int($0) }
                    guard parts.count == 2 else { throw SimulationFailure("a record nobody sent: \(value)") }
                    seen[parts[0], default: []].append(parts[1])
                }
            }
        }
        for producer in producers {
            let delivered = seen[producer.number] ?? []
            guard Set(delivered).count == delivered.count else {
                throw SimulationFailure("producer \(producer.number): doubled records \(delivered.doubled)")
            }
            guard delivered == delivered.sorted() else {
                throw SimulationFailure("producer \(producer.number): out of order")
            }
            let lost = Set(producer.acked).subtracting(delivered)
            guard lost.isEmpty else {
                throw SimulationFailure("producer \(producer.number): acked and lost \(lost.sorted())")
            }
            let unasked = Set(delivered).subtracting(producer.acked).filter { !producer.mayBeThere($0) }
            guard unasked.isEmpty else {
                throw SimulationFailure("producer \(producer.number): delivered, never sent \(unasked.sorted())")
            }
        }
    }

    private func values(of topic: TopicFacts, _ partition: Int32) async throws -> [String] {
        guard let facts = cloud.ledger.view.partition(topic.id, partition) else { return [] }
        var values: [String] = []
        var offset = facts.logStart
        while offset < facts.highWatermark {
            let extents = cloud.ledger.view.extents(topic.id, partition, from: offset, maxBytes: 1 << 20)
            guard let first = extents.first, first.baseOffset == offset else {
                throw SimulationFailure("\(topic.name)-\(partition): no extent begins at \(offset)")
            }
            for extent in extents {
                let range = Int(extent.position)..<Int(extent.position + extent.lengthBytes)
                var bytes = try await durableStore.get(extent.objectKey, range: range)
                while bytes.readableBytes > 0 {
                    let header = try RecordBatchHeader(reading: bytes, at: bytes.readerIndex)
                    guard let batch = bytes.readSlice(length: header.totalSizeBytes) else {
                        throw SimulationFailure("\(extent.objectKey): a batch is cut")
                    }
                    _ = try RecordBatch.validateOne(batch)
                    var reader = try RecordBatchReader(batch)
                    while let record = try reader.next() { values.append(String(buffer: record.value ?? ByteBuffer())) }
                }
                guard Int64(values.count) + facts.logStart == extent.lastOffset + 1 else {
                    throw SimulationFailure("\(topic.name)-\(partition): offsets are not dense at \(extent.lastOffset)")
                }
                offset = extent.lastOffset + 1
            }
        }
        return values
    }
}

extension AppendOutcome {
    fileprivate var brief: String {
        switch self {
        case .appended(let lsn, let offset): "+\(lsn)@\(offset)"
        case .duplicate(let offset): "=\(offset)"
        case .rejected: "-"
        }
    }
}

extension [Int] {
    fileprivate var doubled: [Int] { Dictionary(grouping: self) { $0 }.filter { $0.value.count > 1 }.keys.sorted() }
}
