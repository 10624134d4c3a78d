import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization

/// Gathers the batches of all connections, writes them as shared objects, commits those in order, and only then answers.
///
/// - Durability: an entry is `committed` after the store has the object and the ledger its record. Never before.
/// - Order: entries take effect in the order in which `submit` took them; uploads overlap, commits do not.
/// - Bounds: ``ProduceConfiguration``. No room: requests wait; too many wait: refused with a retriable error.
/// - Failures: an upload is tried until the longest of its requests gives up; then all its entries get a retriable error
///   and the key goes to `abandoned`, to be tombstoned before its bytes are deleted.
final class ProduceBatcher: Sendable {
    private struct State {
        var accumulator: ProduceAccumulator<Submission>
        var nextTurn: UInt64 = 1
        var expiry: NIODeadline?
        var isStopped = false
        var drained: [CheckedContinuation<Void, Never>] = []
        var counts = ProduceCounts()
    }

    private let configuration: ProduceConfiguration
    private let nodeID: Int32
    private let nodeEpoch: Int64
    private let store: any ObjectStore
    private let ledger: Ledger
    private let blocks: BlockCache
    private let sequences: ObjectSequences
    private let jobs: JobRunner
    private let world: CloudWorld
    private let timerLoop: any EventLoop
    private let logger: Logger
    private let abandoned: @Sendable (String) -> Void
    private let turns = CommitTurns(first: 1)
    private let state: Mutex<State>

    init(
        configuration: ProduceConfiguration, nodeID: Int32, nodeEpoch: Int64, store: any ObjectStore, ledger: Ledger,
        blocks: BlockCache, sequences: ObjectSequences, jobs: JobRunner, world: CloudWorld, timerLoop: any EventLoop,
        logger: Logger,
        abandoned: @escaping @Sendable (String) -> Void
    ) {
        self.configuration = configuration
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.store = store
        self.ledger = ledger
        self.blocks = blocks
        self.sequences = sequences
        self.jobs = jobs
        self.world = world
        self.timerLoop = timerLoop
        self.logger = logger
        self.abandoned = abandoned
        state = Mutex(State(accumulator: ProduceAccumulator(configuration: configuration)))
    }

    var counts: ProduceCounts {
        state.withLock { state in
            var counts = state.counts
            counts.pendingBytes = state.accumulator.pendingBytes
            counts.parkedBytes = state.accumulator.waitingBytes
            counts.uploads = state.accumulator.uploadCount
            return counts
        }
    }

    /// Takes the batches of one request.
    func submit(_ submission: Submission) {
        let now = timerLoop.now
        let bytes = submission.sizeBytes
        let (action, isAdmitted) = state.withLock { state -> (ProduceAccumulator<Submission>.Action, Bool) in
            if state.isStopped { return (.refuse, false) }
            return state.accumulator.add(
                submission, bytes: bytes, count: submission.entries.count, deadline: submission.deadline, now: now)
        }
        if action == .refuse {
            count { $0.refused += 1 }
            answer([submission], with: .notEnoughReplicas)
            return
        }
        if isAdmitted { tellAdmitted([submission]) } else { scheduleExpiry() }
        obey(action)
    }

    /// Sends what is open, refuses what comes from now on, and returns when everything has been answered.
    func drain() async {
        state.withLock { $0.isStopped = true }
        sealAll()
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if !state.accumulator.isIdle { state.drained.append(continuation) }
                return state.accumulator.isIdle
            }
            if isIdle { continuation.resume() }
        }
    }

    // MARK: Deciding

    private func obey(_ action: ProduceAccumulator<Submission>.Action) {
        switch action {
        case .none, .refuse: return
        case .seal: repeat { seal() } while state.withLock { $0.accumulator.isDue(timerLoop.now) }
        case .wake(let time):
            timerLoop.scheduleTask(deadline: time) { [weak self] in self?.intervalOver() }
        }
    }

    private func intervalOver() {
        let now = timerLoop.now
        obey(state.withLock { $0.accumulator.intervalOver(now: now) })
    }

    private func seal() {
        let sealed = state.withLock { state -> (items: [Submission], bytes: Int, turn: UInt64)? in
            guard state.accumulator.mustDrain else { return nil }
            let (items, bytes) = state.accumulator.seal()
            defer { state.nextTurn += 1 }
            return (items, bytes, state.nextTurn)
        }
        guard let sealed else { return }
        let runs = jobs.submit { await self.ship(sealed.items, sealed.turn, bytes: sealed.bytes) }
        if !runs {
            turns.pass(sealed.turn)
            ended(sealed.items, bytes: sealed.bytes, result: .failure(.notLeaderOrFollower))
        }
    }

    private func scheduleExpiry() {
        let time = state.withLock { state -> NIODeadline? in
            guard let next = state.accumulator.nextExpiry, next < state.expiry ?? .distantFuture else { return nil }
            state.expiry = next
            return next
        }
        guard let time else { return }
        timerLoop.scheduleTask(deadline: time) { [weak self] in self?.expire() }
    }

    private func expire() {
        let now = timerLoop.now
        let expired = state.withLock { state in
            state.expiry = nil
            let expired = state.accumulator.expire(now: now)
            state.counts.timedOut += UInt64(expired.count)
            return expired
        }
        tellAdmitted(expired)
        answer(expired, with: .notEnoughReplicas)
        scheduleExpiry()
    }

    // MARK: Doing

    private func ship(_ items: [Submission], _ turn: UInt64, bytes: Int) async {
        let deadline = items.map(\.deadline).max() ?? timerLoop.now
        let result = await upload(items, turn, until: deadline)
        turns.pass(turn)
        ended(items, bytes: bytes, result: result)
    }

    private func upload(
        _ items: [Submission], _ turn: UInt64, until deadline: NIODeadline
    ) async -> Result<[RunOutcome], ErrorCode> {
        let uploader = ObjectUploader(
            store: store, ledger: ledger, world: world, putFailed: { self.count { $0.putErrors += 1 } },
            commitFailed: { self.count { $0.commitErrors += 1 } })
        let sequence = sequences.next()
        let object: ObjectUpload
        do {
            object = try ObjectUpload(
                entries: items.flatMap(\.entries), nodeID: nodeID, nodeEpoch: nodeEpoch, sequence: sequence,
                nowMs: world.wallMs())
        } catch {
            logger.error("cannot lay out a shared object", metadata: ["sequence": "\(sequence)", "error": "\(error)"])
            await turns.wait(for: turn)
            return .failure(.unknownServerError)
        }
        let put = await withTimeLimit(remaining(deadline), clock: world.clock) {
            await uploader.put(key: object.key, body: object.body)
        }
        await turns.wait(for: turn)
        if let failure = put {
            logger.warning("a shared object was given up", metadata: ["error": "\(failure)"])
            count { $0.failedUploads += 1 }
            abandoned(object.key)
            return .failure(.notEnoughReplicas)
        }
        blocks.keep(object.body, of: object.key)
        let committed = await withTimeLimit(remaining(deadline), clock: world.clock) {
            await uploader.commit(.commitObject(object.commit))
        }
        if case .failure(let code) = committed {
            blocks.forget(object.key, range: 0..<1)
            count { $0.failedCommits += 1 }
            abandoned(object.key)
            logger.warning("a shared object was not committed", metadata: ["key": "\(object.key)", "code": "\(code)"])
        }
        return committed
    }

    private func count(_ change: (inout ProduceCounts) -> Void) {
        state.withLock { change(&$0.counts) }
    }

    private func remaining(_ deadline: NIODeadline) -> Duration {
        .nanoseconds(max(1_000_000, (deadline - timerLoop.now).nanoseconds))
    }

    // MARK: Answering

    private func ended(_ items: [Submission], bytes: Int, result: Result<[RunOutcome], ErrorCode>) {
        let now = timerLoop.now
        let (action, admitted) = state.withLock { state in
            if case .success(let outcomes) = result { state.counts.add(items, outcomes) }
            return state.accumulator.uploadEnded(bytes: bytes, now: now)
        }
        tellAdmitted(admitted)
        obey(action)
        if state.withLock({ $0.isStopped }) { sealAll() }
        switch result {
        case .failure(let code): answer(items, with: code)
        case .success(let outcomes): answer(items, outcomes)
        }
        let drained = state.withLock { state in
            guard state.accumulator.isIdle else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.drained = [] }
            return state.drained
        }
        for waiter in drained { waiter.resume() }
    }

    private func sealAll() {
        while state.withLock({ $0.accumulator.mustDrain }) { seal() }
    }

    private func answer(_ items: [Submission], with code: ErrorCode) {
        let outcomes = items.map { item in item.entries.map { _ in EntryOutcome.rejected(code) } }
        Submission.deliver(items, outcomes)
    }

    private func answer(_ items: [Submission], _ outcomes: [RunOutcome]) {
        var rest = outcomes[...]
        let shares = items.map { item in
            let share = rest.prefix(item.entries.count).map { EntryOutcome($0) }
            rest = rest.dropFirst(item.entries.count)
            return share
        }
        Submission.deliver(items, shares)
    }

    private func tellAdmitted(_ items: [Submission]) {
        for item in items {
            guard let admitted = item.admitted else { continue }
            item.loop.execute { admitted() }
        }
    }
}
