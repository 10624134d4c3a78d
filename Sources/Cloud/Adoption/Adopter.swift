import DequeModule
import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Synchronization

/// Takes site objects over into the ledger: in the order of their lane, once, and only what the store itself shows.
///
/// An announcement is a hint that an object is there. Whoever sends it can make the cloud look, and nothing else.
/// Lanes do not wait for each other; one lane is worked on by one task at a time.
public final class Adopter: Sendable {
    struct LaneID: Hashable, Sendable {
        let site: String
        let incarnation: String
        let lane: String
    }

    private struct Lane {
        var isBusy = false
        var waiting: Deque<CheckedContinuation<Bool, Never>> = []
        var quarantine: QuarantinedObject?
        var retryAt: NIODeadline = .uptimeNanoseconds(0)
    }

    private struct State {
        /// Only lanes that are worked on, or that have something set aside.
        var lanes: [LaneID: Lane] = [:]
        var counts = AdoptionCounts()
    }

    let store: any ObjectStore
    let ledger: Ledger
    let configuration: AdoptionConfiguration
    let world: CloudWorld
    let logger: Logger
    private static let lanesMax = 10_000
    private let partitionsDefault: Int32
    private let now: @Sendable () -> NIODeadline
    private let gate: AsyncGate
    private let state = Mutex(State())

    init(
        configuration: AdoptionConfiguration, partitionsDefault: Int32, store: any ObjectStore, ledger: Ledger,
        world: CloudWorld, now: @escaping @Sendable () -> NIODeadline, logger: Logger
    ) {
        self.configuration = configuration
        self.partitionsDefault = partitionsDefault
        self.store = store
        self.ledger = ledger
        self.world = world
        self.now = now
        self.logger = logger
        gate = AsyncGate(width: configuration.concurrencyMax)
    }

    public var counts: AdoptionCounts { state.withLock { $0.counts } }

    /// Adopts the object and, first, those before it that are not adopted yet. The caller is not believed: footer, names
    /// and numbers come from the store.
    /// - Parameter sizeHint: saves a request when it is right.
    public func adopt(key: String, sizeHint: Int? = nil) async -> AdoptionReport {
        count { $0.announcements += 1 }
        guard let object = SiteObjectKey(parsing: key), object.sequence >= 1 else {
            return AdoptionReport(result: .refused(.badKey), adoptedSequence: 0, adoptedLSN: 0)
        }
        return await adopt(object, sizeHint: sizeHint)
    }

    /// Where the lanes stand.
    public func lanes() -> [LaneStatus] {
        let aside = state.withLock { $0.lanes.compactMapValues(\.quarantine) }
        var known: Set<LaneID> = []
        var lanes: [LaneStatus] = []
        for site in ledger.view.sites() {
            for incarnation in site.incarnations {
                for lane in incarnation.lanes {
                    let id = LaneID(site: site.site, incarnation: incarnation.incarnation, lane: lane.lane)
                    known.insert(id)
                    lanes.append(LaneStatus(id, lane, aside[id]))
                }
            }
        }
        for (id, object) in aside where !known.contains(id) { lanes.append(LaneStatus(id, nil, object)) }
        return lanes
    }

    // MARK: One lane

    func adopt(_ object: SiteObjectKey, sizeHint: Int?) async -> AdoptionReport {
        let id = LaneID(site: object.site, incarnation: object.incarnation, lane: object.lane)
        if object.sequence < nextSequence(id) { return report(id, .adopted) }
        guard await enter(id) else { return report(id, .busy("many announcements of this lane wait")) }
        defer { leave(id) }
        if let aside = resting(id) { return report(id, .quarantined(key: aside.key, aside.flaw)) }
        return await gate.pass { await work(id, through: object.sequence, sizeHint: sizeHint) }
    }

    private func work(_ id: LaneID, through last: UInt64, sizeHint: Int?) async -> AdoptionReport {
        while true {
            let next = nextSequence(id)
            guard next <= last else { return report(id, .adopted) }
            if Task.isCancelled { return report(id, .busy("shutting down")) }
            guard let key = SiteObjectKey(site: id.site, incarnation: id.incarnation, lane: id.lane, sequence: next)
            else { return report(id, .refused(.badKey)) }
            do throws(AdoptionFailure) {
                try await adoptOne(key, sizeHint: next == last ? sizeHint : nil)
                setAside(id, nil)
            } catch {
                return failed(id, key, error)
            }
        }
    }

    private func failed(_ id: LaneID, _ key: SiteObjectKey, _ failure: AdoptionFailure) -> AdoptionReport {
        switch failure {
        case .missing: return report(id, .missing(sequence: key.sequence))
        case .busy(let reason):
            count { $0.busy += 1 }
            return report(id, .busy(reason))
        case .flaw(let flaw):
            setAside(id, (key.key, flaw))
            return report(id, .quarantined(key: key.key, flaw))
        }
    }

    private func adoptOne(_ key: SiteObjectKey, sizeHint: Int?) async throws(AdoptionFailure) {
        if let flaw = flaw(of: key, topics: []) { throw .flaw(flaw) }
        let fetch = FooterFetch(store: store, world: world)
        let footer = try await fetch.footer(key, sizeHint: sizeHint)
        if let flaw = flaw(of: key, topics: footer.runs.map(\.topic)) { throw .flaw(flaw) }
        if configuration.verifiesRuns { try await fetch.verifyRuns(footer, key: key.key) }
        let outcome: AdoptionOutcome
        do {
            outcome = try await ledger.adoptSiteObject(adoption(key, footer))
        } catch {
            if case .refused(let refusal) = error { throw .flaw(.refused("\(refusal)")) }
            throw .busy("\(error)")
        }
        switch outcome {
        case .adopted(let runs):
            count {
                $0.objects += 1
                $0.records += UInt64(footer.recordCount)
                $0.bytes += UInt64(footer.objectSizeBytes)
                $0.gaps += UInt64(footer.gaps.count)
            }
            tellRejected(key, footer, runs)
            tellGaps(key, footer)
        case .alreadyAdopted: return
        case .sequenceGap(let expected):
            // The view was ahead of nothing: another node is at work. Look again.
            throw .busy("the ledger expects object \(expected)")
        }
    }

    /// What the registration of the site says against it. The ledger looks once more when it commits.
    private func flaw(of key: SiteObjectKey, topics: [String]) -> AdoptionFlaw? {
        guard let registration = ledger.view.registration(key.site) else {
            return configuration.takesUnregisteredSites ? nil : .unregistered
        }
        if registration.isRevoked { return .revoked }
        guard registration.allows(lane: key.lane) else { return .laneNotAllowed }
        return topics.first { !registration.allows(topic: $0) }.map { .topicNotAllowed($0) }
    }

    /// Looks again, now, at what of this site was set aside.
    func retry(site: String) async {
        let aside = state.withLock { state -> [String] in
            var keys: [String] = []
            for (id, lane) in state.lanes where id.site == site {
                guard let aside = lane.quarantine else { continue }
                state.lanes[id]?.retryAt = .uptimeNanoseconds(0)
                keys.append(aside.key)
            }
            return keys
        }
        for key in aside { _ = await adopt(key: key) }
    }

    private func adoption(_ key: SiteObjectKey, _ footer: ObjectFooter) -> SiteAdoption {
        var toCreate: [String: NewTopic] = [:]
        let runs = footer.runs.map { run in
            // No topic has an empty name: the ledger rejects the run, counts it and keeps the object.
            let name = configuration.allows(site: key.site, topic: run.topic) ? run.topic : ""
            if !name.isEmpty, toCreate[name] == nil, ledger.view.topic(named: name) == nil {
                toCreate[name] = NewTopic(name: name, id: world.uuid(), partitionCount: partitionsDefault)
            }
            return SiteRun(
                topic: name, partition: run.partition, position: Int64(run.position),
                lengthBytes: Int64(run.lengthBytes), recordCount: Int64(run.recordCount),
                minTimestampMs: run.minTimestampMs, maxTimestampMs: run.maxTimestampMs)
        }
        return SiteAdoption(
            site: key.site, incarnation: key.incarnation, lane: key.lane, sequence: key.sequence,
            firstLSN: footer.header.firstLSN, lastLSN: footer.header.lastLSN, key: key.key,
            sizeBytes: Int64(footer.objectSizeBytes), runs: runs,
            topicsToCreate: toCreate.values.sorted { $0.name < $1.name }, gaps: gaps(key, footer),
            nowMs: world.wallMs())
    }

    private func tellRejected(_ key: SiteObjectKey, _ footer: ObjectFooter, _ outcomes: [RunOutcome]) {
        for (run, outcome) in zip(footer.runs, outcomes) {
            guard case .rejected(let code) = outcome else { continue }
            logger.warning(
                "a run of a site object has no place",
                metadata: ["key": "\(key.key)", "topic": "\(run.topic)", "code": "\(code)"])
        }
    }

    func nextSequence(_ id: LaneID) -> UInt64 {
        ledger.view.lane(id.site, incarnation: id.incarnation, lane: id.lane)?.nextSequence ?? 1
    }

    private func report(_ id: LaneID, _ result: AdoptionReport.Result) -> AdoptionReport {
        let facts = ledger.view.lane(id.site, incarnation: id.incarnation, lane: id.lane)
        return AdoptionReport(
            result: result, adoptedSequence: (facts?.nextSequence ?? 1) - 1, adoptedLSN: facts?.lastLSN ?? 0)
    }

    // MARK: Turns and quarantine

    /// Waits for the lane's turn. False when too many wait already.
    private func enter(_ id: LaneID) async -> Bool {
        await withCheckedContinuation { continuation in
            let isDecided = state.withLock { state -> Bool? in
                var lane = state.lanes[id] ?? Lane()
                defer { state.lanes[id] = lane }
                if !lane.isBusy {
                    lane.isBusy = true
                    return true
                }
                guard lane.waiting.count < configuration.waitersPerLaneMax else { return false }
                lane.waiting.append(continuation)
                return nil
            }
            if let isDecided { continuation.resume(returning: isDecided) }
        }
    }

    private func leave(_ id: LaneID) {
        let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
            if let next = state.lanes[id]?.waiting.popFirst() { return next }
            state.lanes[id]?.isBusy = false
            if state.lanes[id]?.quarantine == nil { state.lanes[id] = nil }
            return nil
        }
        next?.resume(returning: true)
    }

    /// What was set aside a short while ago is not looked at again for everybody who asks.
    private func resting(_ id: LaneID) -> QuarantinedObject? {
        let now = now()
        return state.withLock { state in
            guard let lane = state.lanes[id], let aside = lane.quarantine, now < lane.retryAt else { return nil }
            return aside
        }
    }

    private func setAside(_ id: LaneID, _ found: (key: String, flaw: AdoptionFlaw)?) {
        let retryAt = now() + configuration.quarantineRetry
        state.withLock { state in
            guard let found else {
                state.lanes[id]?.quarantine = nil
                return
            }
            state.counts.flaws += 1
            // Beyond this they are still refused and logged, only not remembered.
            guard state.lanes.count <= Self.lanesMax else { return }
            let attempts = (state.lanes[id]?.quarantine?.attempts ?? 0) + 1
            state.lanes[id]?.quarantine = QuarantinedObject(key: found.key, flaw: found.flaw, attempts: attempts)
            state.lanes[id]?.retryAt = retryAt
        }
        guard let found else { return }
        logger.warning("a site object was set aside", metadata: ["key": "\(found.key)", "flaw": "\(found.flaw)"])
    }

    func count(_ change: (inout AdoptionCounts) -> Void) {
        state.withLock { change(&$0.counts) }
    }
}
