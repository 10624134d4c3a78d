import Ledger
import NIOCore
import ObjectStore
import WriteAheadLog

@testable import Cloud
@testable import Uplink

/// A site, which may come to have two gateways, its link, a store and cloud nodes, under faults that a seed decides. Everything that decides something is
/// production code; the disks, the time, the store's faults and the clients are simulated.
struct SimulatedWorld {
    private(set) var trace: [String] = []
    /// What happened how often, over the life.
    var tally: [String: Int] = [:]
    var random: SeededRandom
    private let shared: SharedRandom
    let conditions: Conditions
    let clock: SimulatedClock
    private let link: SimulatedLink
    let durableStore: MemoryStore
    let lateStore: LateStore
    private let store: FaultyStore
    private let authors: Authors
    private let ledgerLog = MemoryFencedLog()
    /// The gateways: one, and a copy of it in some lives.
    var sites: [SimulatedSite]
    /// Older states of their disks.
    var images: [SiteImage] = []
    private var cloud: SimulatedCloud
    private var zombie: SimulatedCloud?
    var producers: [SimulatedProducer]
    var oracle = Oracle()
    var losses = Losses()
    private var consumer = SimulatedConsumer()
    /// The gateway's idea of the time is off by this.
    private var wallSkewMs: Int64 = 0
    private var isStoreDown = false

    /// - Parameter change: makes the conditions those of a scenario.
    init(seed: UInt64, _ change: (inout Conditions) -> Void = { _ in }) async throws {
        var random = SeededRandom(seed: seed)
        let clock = SimulatedClock()
        let shared = SharedRandom(seed: seed ^ 0xABCD)
        var conditions = Conditions(using: &random)
        change(&conditions)
        self.conditions = conditions
        durableStore = MemoryStore(nowMs: { clock.milliseconds })
        lateStore = LateStore(durableStore, random: shared)
        store = FaultyStore(lateStore, FaultScript(seed: seed), sleep: { clock.advance(by: $0) })
        link = SimulatedLink(random: shared)
        authors = Authors()
        let surroundings = Surroundings(store: store, clock: clock, random: shared, link: link, authors: authors)
        sites = [try SimulatedSite(conditions, surroundings, using: &random)]
        producers = Self.makeProducers(of: 0)
        cloud = try await SimulatedCloud.start(
            log: ledgerLog, store: store, clock: clock, random: shared, verifiesRuns: conditions.verifiesRuns)
        link.connect(cloud, zombie: nil)
        self.clock = clock
        self.shared = shared
        self.random = random
        note("conditions", "\(conditions)")
    }

    /// Two topics of one lane each and one of both; in each lane one producer is not idempotent.
    static func makeProducers(of site: Int) -> [SimulatedProducer] {
        (0..<8).map { number in
            let (lane, index) = (number / 4, number % 4)
            return SimulatedProducer(
                number: site * 8 + number, site: site, lane: lane, topic: index == 3 ? "gnss.both" : "gnss.\(lane)",
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
        let delivery = try await Delivery(cloud.ledger.view, durableStore, authors)
        note("objects", digest())
        tally["simulated minutes", default: 0] += Int(clock.milliseconds / 60_000)
        tally.merge(delivery.times) { $0 + $1 }
        let gaps = try await Gaps(cloud.ledger.view, durableStore, authors)
        for (reason, count) in gaps.countByReason { tally["gap: \(reason)", default: 0] += count }
        note("gaps", gaps.description)
        tally["lost with a disk", default: 0] += losses.withDisks.count
        try Verdict(
            oracle: oracle, producers: producers, consumer: consumer, delivery: delivery, gaps: gaps, losses: losses
        ).check()
    }

    func end() async {
        await cloud.ledger.close()
        await zombie?.ledger.close()
    }

    // MARK: Events

    /// One thing happens, at one of the gateways where it is theirs.
    private mutating func event() async throws {
        let site = sites.count > 1 && random.chance(500) ? 1 : 0
        switch Int.random(in: 0..<1000, using: &random) {
        case 0..<420: try produce(site, lane: Int.random(in: 0...1, using: &random))
        case 420..<690: await upload(site)
        case 690..<750: _ = await sites[site].lanes[Int.random(in: 0...1, using: &random)].uplink.announceStep()
        case 750..<830: passTime()
        case 830..<860: sites[site].armPowerCut(using: &random)
        case 860..<875: try dieWriting(site)
        case 875..<890: try await restartCloud()
        case 890..<900: try await takeOver()
        case 900..<920: note("reconcile", "\(await (random.chance(200) ? zombie ?? cloud : cloud).adopter.reconcile())")
        case 920..<945: try await consume()
        case 945..<955: addFaults()
        case 955..<962: toggleStore()
        case 962..<965: try togglePause(site)
        case 965..<970: producers.randomElement(using: &random).map { producers[$0.number].reborn() }
        case 970..<975: wallSkewMs = [0, 315_360_000_000, -619_315_200_000].randomElement(using: &random) ?? 0
        default: await lateStore.arrive(using: &random)
        }
        // Nobody leaves it paused for the rest of a life.
        if sites[site].pacer.isPaused, random.chance(50) { try togglePause(site) }
        if random.chance(conditions.diskFaultsPerMille) {
            sites[site].failDisk(using: &random)
            note("disk fault", "")
        }
        if sites[site].isOff { try restart(site, powerCut: true) }
        try mishap(site)
    }

    private mutating func passTime() {
        clock.advance(by: .milliseconds(Int.random(in: 1...conditions.passMsMax, using: &random)))
        for lane in sites.flatMap(\.lanes) { lane.log.expire(nowNs: UInt64(clock.milliseconds) * 1_000_000) }
    }

    /// What some producers of a lane send, and how many batches are whose.
    private mutating func send(
        _ site: Int, lane: Int, new: ClosedRange<Int>
    ) throws -> (chosen: [Int], entries: [LogEntry], counts: [Int]) {
        let chosen = producers.indices.filter { producers[$0].lane == lane && producers[$0].site == site }.shuffled(
            using: &random
        )
        .prefix(Int.random(in: 1...3, using: &random))
        let nowMs = SimulatedTime.beginMs + clock.milliseconds + wallSkewMs
        if wallSkewMs == 0 { sites[site].noteKnownTime() }
        var entries: [LogEntry] = []
        var counts: [Int] = []
        for index in chosen {
            let sent = try producers[index].send(
                new: Int.random(in: new, using: &random), nowMs: nowMs, skewMs: wallSkewMs,
                nowNs: UInt64(clock.milliseconds) * 1_000_000,
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
            let site = sites[producers[index].site]
            try producers[index].decided(
                Array(rest.prefix(count)), isHeard: isHeard, branch: site.branch,
                isDamaged: site.lanes[producers[index].lane].rot.hasStruck, &oracle)
            // Its client gives up, and begins anew.
            if producers[index].isForgotten { producers[index].reborn() }
            rest = rest.dropFirst(count)
        }
    }

    private mutating func produce(_ site: Int, lane: Int, new: ClosedRange<Int> = 1...3) throws {
        let (chosen, entries, counts) = try send(site, lane: lane, new: new)
        let cut = random.chance(500) ? Int.random(in: 0...entries.count, using: &random) : nil
        if cut != nil { tally["overlapped", default: 0] += 1 }
        let outcomes = sites[site].lanes[lane].log.commit(entries, cut: cut)
        sites[site].noteAppended(outcomes, lane: lane)
        let isHeard = !sites[site].isOff && !random.chance(60)
        for outcome in outcomes { tally[outcome.kind, default: 0] += 1 }
        note("produce", "\(site) \(lane) \(chosen) \(outcomes.map(\.brief).joined(separator: " ")) \(isHeard)")
        try tell(chosen, counts, outcomes, isHeard: isHeard)
        let used = sites[site].lanes[lane].log.diskBytes
        // Records of uploads may go beyond it, data never.
        let hasStored = outcomes.contains { $0.kind == "appended" }
        guard !hasStored || used <= sites[site].lanes[lane].configuration.quotaBytes else {
            throw SimulationFailure(
                "lane \(lane) takes \(used) bytes, quota \(sites[site].lanes[lane].configuration.quotaBytes)")
        }
    }

    /// The process dies; sometimes while a group is being written, which nobody then answers.
    private mutating func dieWriting(_ site: Int) throws {
        let isWriting = random.chance(500)
        if isWriting {
            let lane = Int.random(in: 0...1, using: &random)
            let (chosen, entries, counts) = try send(site, lane: lane, new: 1...3)
            sites[site].lanes[lane].log.abandon(entries, cut: Int.random(in: 0...entries.count, using: &random))
            note("abandoned", "\(site) \(lane) \(chosen)")
            try tell(chosen, counts, entries.map { _ in .rejected(.closed) }, isHeard: false)
        }
        try restart(site, powerCut: isWriting && random.chance(500))
    }

    private mutating func upload(_ site: Int) async {
        let lane = Int.random(in: 0...1, using: &random)
        for _ in 0..<Int.random(in: 1...8, using: &random) {
            guard await mayUpload(site), case .none = await sites[site].lanes[lane].uplink.step() else { break }
        }
        let status = sites[site].lanes[lane].uplink.status
        note(
            "upload",
            "\(site) \(status.lane) \(status.nextSequence) \(status.uploadedThrough) \(status.lastError ?? "")")
    }

    /// What a gateway does before and between uploads: it greets, and goes on under another name when it must.
    private mutating func mayUpload(_ site: Int) async -> Bool {
        if sites[site].runner.isGreetingDue { await sites[site].greet() }
        guard let conflict = sites[site].runner.conflict else { return true }
        switch sites[site].attend(using: &random) {
        case .upload: return true
        case .wait: return false
        case .wentOn:
            note("went on", "\(site) as \(sites[site].runner.installation.incarnation.prefix(4)): \(conflict.reason)")
            return true
        }
    }

    private mutating func consume() async throws {
        let isZombie = zombie != nil && random.chance(200)
        let node = isZombie ? zombie ?? cloud : cloud
        try await consumer.read(from: node, isZombie: isZombie, using: &random)
    }

    private mutating func restart(_ site: Int, powerCut: Bool, mayFail: Bool = true) throws {
        for index in producers.indices where producers[index].site == site { producers[index].disconnected() }
        let former = sites[site].lanes.map(\.log.uploadState.nextPlanLSN)
        try sites[site].restart(powerCut: powerCut, mayFail: mayFail, using: &random)
        let lanes = sites[site].lanes.map { "\($0.log.durableLSN) \($0.log.uploadState)" }
        note(powerCut ? "power cut" : "kill", "\(site) " + lanes.joined(separator: ", "))
        try noteForgotten(site, former)
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
    private mutating func togglePause(_ site: Int) throws {
        try sites[site].pacer.setPaused(!sites[site].pacer.isPaused)
        note(sites[site].pacer.isPaused ? "paused" : "resumed", "")
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

    /// Faults end, producers get rid of what they have, gateways send it, the cloud takes it over.
    private mutating func heal() async throws {
        store.rescript { $0 = FaultScript() }
        lateStore.setChance(perMille: 0)
        for site in sites.indices {
            sites[site].healDisks()
            try restart(site, powerCut: random.chance(500), mayFail: false)
            try sites[site].pacer.setPaused(false)
        }
        if random.chance(500) { try await restartCloud() }
        ledgerLog.setFaults(nil)
        link.heal()
        try await emptyProducers()
        for site in sites.indices { for lane in sites[site].lanes.indices { try await drain(site, lane) } }
        for _ in 0..<60 {
            clock.advance(by: .seconds(60))
            await lateStore.arrive(using: &random)
            var isCalm = true
            for site in sites.indices { isCalm = await mayUpload(site) && isCalm }
            if await cloud.adopter.reconcile(), isCalm, sites.allSatisfy(isAdopted) { return try checkNames() }
        }
        throw SimulationFailure(
            "uploaded \(sites.flatMap(\.lanes).map(\.log.uploadState)), adopted \(cloud.adopter.lanes())")
    }

    private func isAdopted(_ site: SimulatedSite) -> Bool {
        guard site.runner.conflict == nil else { return false }
        return site.lanes.allSatisfy { lane in
            let name = lane.configuration.name
            let next = lane.log.uploadState.nextSequence
            guard next > 1 else { return true }
            let place = site.runner.identity.place(lane: name, sequence: next - 1)
            let facts = cloud.ledger.view.lane(SimulatedSite.site, incarnation: place.incarnation, lane: name)
            return (facts?.nextSequence ?? 1) > place.sequence
        }
    }

    /// Two gateways never end up under one name, and who had to take another one says why.
    private func checkNames() throws {
        let names = sites.map(\.runner.installation.incarnation)
        guard Set(names).count == names.count else { throw SimulationFailure("two gateways write as \(names)") }
        for runner in sites.map(\.runner) where runner.renewals > 0 && runner.trouble?.isEmpty != false {
            throw SimulationFailure("\(runner.installation.incarnation) goes on, and nobody is told why")
        }
    }

    private mutating func emptyProducers() async throws {
        for _ in 0..<400 {
            guard let waiting = producers.first(where: \.isWaiting) else { return }
            try produce(waiting.site, lane: waiting.lane, new: 0...0)
            try await drain(waiting.site, waiting.lane)
        }
        throw SimulationFailure("producers still wait: \(producers.filter(\.isWaiting).map(\.number))")
    }

    private mutating func drain(_ site: Int, _ lane: Int) async throws {
        for _ in 0..<2000 {
            guard await mayUpload(site) else {
                clock.advance(by: .seconds(61))
                continue
            }
            let uplink = sites[site].lanes[lane].uplink
            await uplink.flush()
            if case .until = await uplink.step() { clock.advance(by: .seconds(61)) }
            if await uplink.isDrained { return }
        }
        throw SimulationFailure("the uplink did not drain: \(sites[site].lanes[lane].uplink.status)")
    }

    mutating func note(_ event: String, _ details: String) {
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
