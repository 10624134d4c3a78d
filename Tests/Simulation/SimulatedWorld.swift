import Ledger
import NIOCore
import ObjectStore
import Uplink
import WriteAheadLog

@testable import Cloud

/// A site, its link, a store and cloud nodes, under faults that a seed decides. Everything that decides something is
/// production code; the disks, the time, the store's faults and the clients are simulated.
struct SimulatedWorld {
    private(set) var trace: [String] = []
    /// What happened how often, over the life.
    private(set) var tally: [String: Int] = [:]
    private var random: SeededRandom
    private let shared: SharedRandom
    private let conditions: Conditions
    private let clock: SimulatedClock
    private let link: SimulatedLink
    private let durableStore: MemoryStore
    private let lateStore: LateStore
    private let store: FaultyStore
    private let ledgerLog = MemoryFencedLog()
    private var site: SimulatedSite
    private var cloud: SimulatedCloud
    private var zombie: SimulatedCloud?
    private var producers: [SimulatedProducer]
    private var oracle = Oracle()
    private var consumer = SimulatedConsumer()
    /// The gateway's idea of the time is off by this.
    private var wallSkewMs: Int64 = 0
    private var isStoreDown = false

    init(seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let clock = SimulatedClock()
        let shared = SharedRandom(seed: seed ^ 0xABCD)
        conditions = Conditions(using: &random)
        durableStore = MemoryStore(nowMs: { clock.milliseconds })
        lateStore = LateStore(durableStore, random: shared)
        store = FaultyStore(lateStore, FaultScript(seed: seed), sleep: { clock.advance(by: $0) })
        link = SimulatedLink(random: shared)
        let surroundings = Surroundings(store: store, clock: clock, random: shared, link: link)
        site = try SimulatedSite(conditions, surroundings, using: &random)
        producers = Self.makeProducers()
        cloud = try await SimulatedCloud.start(
            log: ledgerLog, store: store, clock: clock, random: shared, verifiesRuns: conditions.verifiesRuns)
        link.connect(cloud, zombie: nil)
        self.clock = clock
        self.shared = shared
        self.random = random
        note("conditions", "\(conditions)")
    }

    /// Two topics of one lane each and one of both; in each lane one producer is not idempotent.
    private static func makeProducers() -> [SimulatedProducer] {
        (0..<8).map { number in
            let (lane, index) = (number / 4, number % 4)
            return SimulatedProducer(
                number: number, lane: lane, topic: index == 3 ? "gnss.both" : "gnss.\(lane)",
                partition: Int32(index == 1 ? 1 : 0), isIdempotent: index != 2)
        }
    }

    /// One life of the world: `steps` events, then everything heals and what was durable is looked for.
    mutating func run(steps: Int) async throws {
        isStoreDown = conditions.beginsWithoutStore
        addFaults()
        for _ in 0..<steps { try await event() }
        try await heal()
        try await consumer.catchUp(with: cloud)
        let delivery = try await Delivery(cloud.ledger.view, durableStore)
        note("objects", digest())
        tally["simulated minutes", default: 0] += Int(clock.milliseconds / 60_000)
        let gaps = try Gaps(cloud.ledger.view)
        for (reason, count) in gaps.countByReason { tally["gap: \(reason)", default: 0] += count }
        note("gaps", gaps.description)
        try Verdict(oracle: oracle, producers: producers, consumer: consumer, delivery: delivery, gaps: gaps).check()
    }

    func end() async {
        await cloud.ledger.close()
        await zombie?.ledger.close()
    }

    // MARK: Events

    private mutating func event() async throws {
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<420: try produce(lane: Int.random(in: 0...1, using: &random))
        case 420..<690: await upload()
        case 690..<750: _ = await site.lanes[Int.random(in: 0...1, using: &random)].uplink.announceStep()
        case 750..<830: passTime()
        case 830..<860: site.armPowerCut(using: &random)
        case 860..<875: try dieWriting()
        case 875..<890: try await restartCloud()
        case 890..<900: try await takeOver()
        case 900..<920: note("reconcile", "\(await (random.chance(200) ? zombie ?? cloud : cloud).adopter.reconcile())")
        case 920..<945: try await consume()
        case 945..<955: addFaults()
        case 955..<962: toggleStore()
        case 962..<965: try togglePause()
        case 965..<970: producers[Int.random(in: 0..<8, using: &random)].reborn()
        case 970..<975: wallSkewMs = [0, 315_360_000_000, -619_315_200_000].randomElement(using: &random) ?? 0
        default: await lateStore.arrive(using: &random)
        }
        // Nobody leaves it paused for the rest of a life.
        if site.pacer.isPaused, random.chance(50) { try togglePause() }
        if random.chance(conditions.diskFaultsPerMille) {
            site.failDisk(using: &random)
            note("disk fault", "")
        }
        if site.isOff { try restartSite(powerCut: true) }
    }

    private mutating func passTime() {
        clock.advance(by: .milliseconds(Int.random(in: 1...conditions.passMsMax, using: &random)))
        for lane in site.lanes { lane.log.expire(nowNs: UInt64(clock.milliseconds) * 1_000_000) }
    }

    /// What some producers of a lane send, and how many batches are whose.
    private mutating func send(
        lane: Int, new: ClosedRange<Int>
    ) throws -> (chosen: [Int], entries: [LogEntry], counts: [Int]) {
        let chosen = producers.indices.filter { producers[$0].lane == lane }.shuffled(using: &random)
            .prefix(Int.random(in: 1...3, using: &random))
        let nowMs = 1_700_000_000_000 + clock.milliseconds + wallSkewMs
        var entries: [LogEntry] = []
        var counts: [Int] = []
        for index in chosen {
            let sent = try producers[index].send(
                new: Int.random(in: new, using: &random), nowMs: nowMs, nowNs: UInt64(clock.milliseconds) * 1_000_000,
                payloadBytesMax: conditions.payloadBytesMax,
                using: &random)
            entries += sent
            counts.append(sent.count)
        }
        return (Array(chosen), entries, counts)
    }

    private mutating func tell(
        _ chosen: [Int], _ counts: [Int], _ outcomes: [AppendOutcome], isHeard: Bool
    ) throws {
        var rest = outcomes[...]
        for (index, count) in zip(chosen, counts) {
            try producers[index].decided(Array(rest.prefix(count)), isHeard: isHeard, &oracle)
            rest = rest.dropFirst(count)
        }
    }

    private mutating func produce(lane: Int, new: ClosedRange<Int> = 1...3) throws {
        let (chosen, entries, counts) = try send(lane: lane, new: new)
        let cut = random.chance(500) ? Int.random(in: 0...entries.count, using: &random) : nil
        if cut != nil { tally["overlapped", default: 0] += 1 }
        let outcomes = site.lanes[lane].log.commit(entries, cut: cut)
        site.noteAppended(outcomes, lane: lane)
        let isHeard = !site.isOff && !random.chance(60)
        for outcome in outcomes { tally[outcome.kind, default: 0] += 1 }
        note("produce", "\(lane) \(chosen) \(outcomes.map(\.brief).joined(separator: " ")) \(isHeard)")
        try tell(chosen, counts, outcomes, isHeard: isHeard)
        let used = site.lanes[lane].log.diskBytes
        // Records of uploads may go beyond it, data never.
        let hasStored = outcomes.contains { $0.kind == "appended" }
        guard !hasStored || used <= site.lanes[lane].configuration.quotaBytes else {
            throw SimulationFailure(
                "lane \(lane) takes \(used) bytes, quota \(site.lanes[lane].configuration.quotaBytes)")
        }
    }

    /// The process dies; sometimes while a group is being written, which nobody then answers.
    private mutating func dieWriting() throws {
        let isWriting = random.chance(500)
        if isWriting {
            let lane = Int.random(in: 0...1, using: &random)
            let (chosen, entries, counts) = try send(lane: lane, new: 1...3)
            site.lanes[lane].log.abandon(entries, cut: Int.random(in: 0...entries.count, using: &random))
            note("abandoned", "\(lane) \(chosen)")
            try tell(chosen, counts, entries.map { _ in .rejected(.closed) }, isHeard: false)
        }
        try restartSite(powerCut: isWriting && random.chance(500))
    }

    private mutating func upload() async {
        let lane = site.lanes[Int.random(in: 0...1, using: &random)]
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            guard case .none = await lane.uplink.step() else { break }
        }
        let status = lane.uplink.status
        note("upload", "\(status.lane) \(status.nextSequence) \(status.uploadedThrough) \(status.lastError ?? "")")
    }

    private mutating func consume() async throws {
        let isZombie = zombie != nil && random.chance(200)
        let node = isZombie ? zombie ?? cloud : cloud
        try await consumer.read(from: node, isZombie: isZombie, using: &random)
    }

    private mutating func restartSite(powerCut: Bool, mayFail: Bool = true) throws {
        for index in producers.indices { producers[index].disconnected() }
        try site.restart(powerCut: powerCut, mayFail: mayFail, using: &random)
        let lanes = site.lanes.map { "\($0.log.durableLSN) \($0.log.uploadState)" }
        note(powerCut ? "power cut" : "kill", lanes.joined(separator: ", "))
    }

    private mutating func restartCloud() async throws {
        await cloud.ledger.close()
        cloud = try await startCloud()
        link.connect(cloud, zombie: zombie)
        note("cloud restarts", "\(cloud.ledger.recovery.sequence)")
    }

    /// Another node begins, and the former one does not know.
    private mutating func takeOver() async throws {
        await zombie?.ledger.close()
        zombie = cloud
        cloud = try await startCloud()
        link.connect(cloud, zombie: zombie)
        note("takeover", "\(cloud.ledger.recovery.sequence)")
    }

    private func startCloud() async throws -> SimulatedCloud {
        ledgerLog.setFaults(nil)
        let started = try await SimulatedCloud.start(
            log: ledgerLog, store: store, clock: clock, random: shared, verifiesRuns: conditions.verifiesRuns)
        breakLedger()
        return started
    }

    // MARK: Faults

    /// Other chances of other faults, from now on.
    private mutating func addFaults() {
        var script = FaultScript(seed: random.next())
        let scale = Int.random(in: 0...3, using: &random)
        script.add(.fail(.unavailable), perMille: 20 * scale)
        script.add(.throttle(retryAfter: scale == 3 ? .seconds(5) : nil), perMille: 20 * scale)
        script.add(.fail(.timeout), perMille: 20 * scale)
        script.add(.fail(.denied), perMille: 3 * scale)
        script.add(.timeoutAfterSuccess, on: .put, perMille: 40 * scale)
        script.add(.ownObjectExists, on: .put, perMille: 20 * scale)
        script.add(.existsFalsely, on: .put, perMille: 10 * scale)
        script.add(.tornPut(sizeBytes: Int.random(in: 0..<2000, using: &random)), on: .put, perMille: 15 * scale)
        script.add(.staleHead, on: .head, perMille: 50 * scale)
        script.add(.delay(.milliseconds(Int.random(in: 1...30_000, using: &random))), perMille: 10 * scale)
        script.add(.staleList(newest: 2), on: .list, perMille: 100 * scale)
        script.add(.truncateGet(sizeBytes: 10), on: .get, perMille: 10 * scale)
        script.add(.flipGet(bit: Int.random(in: 0..<100_000, using: &random)), on: .get, perMille: 10 * scale)
        if isStoreDown { script.add(.fail(.unavailable), perMille: 1000) }
        store.rescript { [script] in $0 = script }
        lateStore.setChance(perMille: 30 * scale)
        breakLedger()
        note("faults", "\(scale)")
    }

    private mutating func toggleStore() {
        isStoreDown.toggle()
        addFaults()
        note(isStoreDown ? "store down" : "store up", "")
    }

    /// Somebody pauses the uplink, or lets it go on.
    private mutating func togglePause() throws {
        try site.pacer.setPaused(!site.pacer.isPaused)
        note(site.pacer.isPaused ? "paused" : "resumed", "")
    }

    private func breakLedger() {
        let (shared, perMille) = (shared, conditions.ledgerFaultsPerMille)
        ledgerLog.setFaults { operation in
            switch operation {
            case .append where shared.chance(perMille):
                [.errorBeforeEffect, .errorAfterEffect, .errorBeforeLateEffect][Int(shared.next() % 3)]
            case .read where shared.chance(perMille * 3): .errorBeforeEffect
            default: nil
            }
        }
    }

    // MARK: The end

    /// Faults end, producers get rid of what they have, the gateway sends it, the cloud takes it over.
    private mutating func heal() async throws {
        store.rescript { $0 = FaultScript() }
        lateStore.setChance(perMille: 0)
        site.healDisks()
        try restartSite(powerCut: random.chance(500), mayFail: false)
        try site.pacer.setPaused(false)
        if random.chance(500) { try await restartCloud() }
        ledgerLog.setFaults(nil)
        try await emptyProducers()
        for place in site.lanes.indices { try await drain(place) }
        for _ in 0..<20 {
            clock.advance(by: .seconds(60))
            await lateStore.arrive(using: &random)
            if await cloud.adopter.reconcile(), site.lanes.allSatisfy({ isAdopted($0) }) { return }
        }
        throw SimulationFailure(
            "uploaded \(site.lanes.map(\.log.uploadState)), adopted \(cloud.adopter.lanes())")
    }

    private func isAdopted(_ lane: SimulatedSite.Lane) -> Bool {
        let name = lane.configuration.name
        let facts = cloud.ledger.view.lane(SimulatedSite.site, incarnation: SimulatedSite.incarnation, lane: name)
        return (facts?.nextSequence ?? 1) == lane.log.uploadState.nextSequence
    }

    private mutating func emptyProducers() async throws {
        for _ in 0..<200 {
            guard let waiting = producers.first(where: \.isWaiting) else { return }
            try produce(lane: waiting.lane, new: 0...0)
            try await drain(waiting.lane)
        }
        throw SimulationFailure("producers still wait: \(producers.filter(\.isWaiting).map(\.number))")
    }

    private func drain(_ place: Int) async throws {
        let uplink = site.lanes[place].uplink
        await uplink.flush()
        for _ in 0..<2000 {
            if case .until = await uplink.step() { clock.advance(by: .seconds(61)) }
            if await uplink.isDrained { return }
        }
        throw SimulationFailure("the uplink did not drain: \(uplink.status)")
    }

    private mutating func note(_ event: String, _ details: String) {
        tally[event, default: 0] += 1
        trace.append("\(clock.milliseconds) \(event) \(details)")
    }

    /// One number for all that is in the store (FNV-1a).
    private func digest() -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for (key, body) in durableStore.contents.sorted(by: { $0.key < $1.key }) {
            for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            for byte in body.readableBytesView { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        return String(hash, radix: 16)
    }
}

extension AppendOutcome {
    fileprivate var brief: String {
        switch self {
        case .appended(let lsn, let offset): "+\(lsn)@\(offset)"
        case .duplicate(let offset): "=\(offset)"
        case .rejected: kind
        }
    }

    fileprivate var kind: String {
        switch self {
        case .appended: "appended"
        case .duplicate: "duplicate"
        case .rejected(.quotaExceeded): "quota"
        case .rejected(.diskFull): "full"
        case .rejected(.diskFailed): "failed"
        case .rejected(let rejection): "\(rejection)"
        }
    }
}
