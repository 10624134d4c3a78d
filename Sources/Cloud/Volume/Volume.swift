import DequeModule
import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization
import WriteAheadLog

/// Acknowledges batches from this node's own disk, and brings them into objects later: the ack mode `wal`.
///
/// - Durability: an entry is `committed` after the fdatasync that covers it **and** its record in the ledger, which names the
///   place in the log until an object holds the batch. Never before.
/// - Order: entries take effect in the order in which `submit` took them: one commit at a time, of all that is durable.
/// - Bounds: the log's pending bytes and its quota; beyond them requests get a retriable error.
/// - A restart reads from the ledger what only the log holds. What the log holds and the ledger does not name was never
///   acknowledged, and stays dead.
final class Volume: Sendable {
    /// Entries of one submission, durable, in LSN order.
    private struct Durable {
        var submission: Submission
        var outcomes: [AppendOutcome]

        var firstLSN: UInt64? {
            for case .appended(let lsn, _) in outcomes { return lsn }
            return nil
        }
    }

    private struct State {
        var waiting: Deque<Durable> = []
        /// A command is on its way to the ledger.
        var isCommitting = false
        /// Why nothing new is taken.
        var refusal: String?
        /// Entries whose commit is not decided, by the first LSN.
        var undecidedLSN: UInt64?
        var uploads: UploadQueue
        var wakeAt: NIODeadline?
        var counts = VolumeCounts()
        var idle: [CheckedContinuation<Void, Never>] = []
    }

    /// Batches in one command to the ledger.
    private static let commitRunsMax = 5_000
    /// One name for all frames: which partition a batch belongs to is a fact of the ledger.
    private static let frameTopic = "cairn.volume"

    let id: KafkaUUID
    private let log: LaneLog
    private let configuration: VolumeConfiguration
    private let nodeID: Int32
    private let nodeEpoch: Int64
    private let ledger: Ledger
    private let world: CloudWorld
    private let timerLoop: any EventLoop
    /// Logs of this node that were left as they are; their batches cannot be read.
    private let untouched: [UntouchableSegments]
    private let logger: Logger
    private let state: Mutex<State>
    private let tail: Mutex<LogTail>
    /// Told that an upload may be due.
    private let wake: Mutex<(@Sendable () -> Void)?> = Mutex(nil)

    init(
        id: KafkaUUID, log: LaneLog, configuration: VolumeConfiguration, nodeID: Int32, nodeEpoch: Int64,
        ledger: Ledger, world: CloudWorld, timerLoop: any EventLoop, untouched: [UntouchableSegments] = [],
        logger: Logger
    ) {
        self.untouched = untouched
        self.id = id
        self.log = log
        self.configuration = configuration
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.ledger = ledger
        self.world = world
        self.timerLoop = timerLoop
        self.logger = logger
        tail = Mutex(LogTail(bytesMax: configuration.tailBytesMax))
        var uploads = UploadQueue(
            objectBytes: configuration.objectBytes, interval: configuration.uploadInterval,
            uploadsMax: configuration.uploadsMax)
        for extent in ledger.view.logExtents(of: id) { uploads.add(UploadQueue.Item(extent), now: timerLoop.now) }
        state = Mutex(State(uploads: uploads))
        // After the answers of a whole group: one command to the ledger for all of it.
        log.addDurableListener { [weak self] _ in self?.groupEnded() }
    }

    var counts: VolumeCounts {
        var counts = state.withLock { state in
            var counts = state.counts
            counts.waitingBytes = state.uploads.waitingBytes
            counts.uploadingBytes = state.uploads.underWayBytes
            counts.uploads = state.uploads.uploadCount
            return counts
        }
        let status = log.status
        counts.diskBytes = status.diskBytes
        counts.quotaBytes = configuration.quotaBytes
        let refusal = state.withLock { $0.refusal }
        counts.problem = refusal ?? (status.isFailing ? status.alarms.lastMessage ?? "the disk refuses writes" : nil)
        counts.leftUntouched = untouched.isEmpty ? nil : untouched.map(\.told).joined(separator: "; ")
        return counts
    }

    /// From now on nothing is taken; what is there is served and brought into objects.
    func refuse(_ reason: String) {
        logger.error("the volume takes nothing new", metadata: ["why": "\(reason)"])
        state.withLock { $0.refusal = reason }
    }

    // MARK: Appending

    /// Takes the batches of one request.
    func submit(_ submission: Submission) {
        if state.withLock({ $0.refusal }) != nil {
            return Submission.deliver([submission], [submission.entries.map { _ in .rejected(.kafkaStorageError) }])
        }
        let (wallMs, nowNs) = (world.wallMs(), timerLoop.now.uptimeNanoseconds)
        let entries = submission.entries.map { entry in
            LogEntry(
                topic: Self.frameTopic, partition: 0, batch: entry.batch, header: entry.header.withoutProducer,
                wallMs: wallMs, monotonicNs: nowNs, clockQuality: .unknown)
        }
        // A request without acknowledgement counts like the others until its batches are committed: while the ledger is away, what
        // is durable and not committed yet would have no other bound.
        log.append(entries) { [self] outcomes in durable(Durable(submission: submission, outcomes: outcomes)) }
    }

    /// On the log's writer thread, in LSN order; or on the caller's, for what was refused.
    private func durable(_ durable: Durable) {
        guard durable.outcomes.contains(where: \.isAppended) else {
            state.withLock { $0.counts.refused += 1 }
            Submission.deliver(
                [durable.submission], [durable.outcomes.map { .rejected($0.errorCode) }])
            return
        }
        tail.withLock { tail in
            for (entry, outcome) in zip(durable.submission.entries, durable.outcomes) {
                if case .appended(let lsn, _) = outcome { tail.append(entry.batch, lsn: lsn) }
            }
        }
        state.withLock { $0.waiting.append(durable) }
    }

    private func groupEnded() {
        let mustCommit = state.withLock { state in
            guard !state.isCommitting, !state.waiting.isEmpty else { return false }
            state.isCommitting = true
            return true
        }
        if mustCommit { commit() }
    }

    // MARK: Committing

    /// Sends everything that is durable to the ledger. One such command at a time; the next one takes what came meanwhile.
    private func commit() {
        let batch = state.withLock { state -> [Durable] in
            var batch: [Durable] = []
            var runs = 0
            while let next = state.waiting.first, runs == 0 || runs + next.outcomes.count <= Self.commitRunsMax {
                state.waiting.removeFirst()
                batch.append(next)
                runs += next.outcomes.count
            }
            state.isCommitting = !batch.isEmpty
            state.undecidedLSN = batch.first?.firstLSN
            return batch
        }
        guard !batch.isEmpty else { return becameIdle() }
        var runs: [RunCommit] = []
        for durable in batch {
            for (entry, outcome) in zip(durable.submission.entries, durable.outcomes) {
                if case .appended(let lsn, _) = outcome { runs.append(entry.run(position: Int64(lsn))) }
            }
        }
        let command = LogCommit(volume: id, nodeID: nodeID, nodeEpoch: nodeEpoch, runs: runs, nowMs: world.wallMs())
        send(command, batch, attempt: 1)
    }

    private func send(_ command: LogCommit, _ batch: [Durable], attempt: Int) {
        ledger.submit(.commitLog(command)) { [self] result in
            switch result {
            case .success(.runs(let outcomes)): committed(batch, outcomes)
            case .success: failed(batch, .unknownServerError)
            case .failure(let error): retry(command, batch, attempt: attempt, after: error)
            }
        }
    }

    private func retry(_ command: LogCommit, _ batch: [Durable], attempt: Int, after error: LedgerError) {
        state.withLock { $0.counts.commitErrors += 1 }
        let deadline = batch.map(\.submission.deadline).max() ?? timerLoop.now
        guard error.isRetryable, timerLoop.now < deadline else {
            logger.warning("batches of the log were not committed", metadata: ["error": "\(error)"])
            return failed(batch, error.isRetryable ? .notEnoughReplicas : error.errorCode)
        }
        // The same numbers again: if the first try took effect, the ledger answers what it answered then.
        let pause = RetryPolicy(base: .milliseconds(20), cap: .seconds(1))
        var random = WorldRandom(random: world.random)
        let delay = TimeAmount(pause.delay(afterAttempt: attempt, using: &random))
        timerLoop.scheduleTask(in: delay) { self.send(command, batch, attempt: attempt + 1) }
    }

    private func committed(_ batch: [Durable], _ outcomes: [RunOutcome]) {
        let now = timerLoop.now
        var rest = outcomes[...]
        var items: [UploadQueue.Item] = []
        let answers = batch.map { durable -> [EntryOutcome] in
            zip(durable.submission.entries, durable.outcomes).map { entry, appended in
                guard case .appended(let lsn, _) = appended else { return .rejected(appended.errorCode) }
                guard let outcome = rest.popFirst() else { return .rejected(.unknownServerError) }
                if case .committed(let baseOffset, _) = outcome {
                    items.append(UploadQueue.Item(entry, lsn: lsn, baseOffset: baseOffset))
                }
                return EntryOutcome(outcome)
            }
        }
        state.withLock { state in
            for item in items { state.uploads.add(item, now: now) }
            state.counts.add(batch.lazy.flatMap(\.submission.entries), answers.lazy.flatMap { $0 })
            state.undecidedLSN = nil
        }
        Submission.deliver(batch.map(\.submission), answers)
        schedule()
        commit()
    }

    /// Whether the ledger has them or not: clients send again, and are told then.
    private func failed(_ batch: [Durable], _ code: ErrorCode) {
        state.withLock { state in
            state.counts.failedCommits += 1
            state.undecidedLSN = nil
        }
        Submission.deliver(
            batch.map(\.submission), batch.map { $0.outcomes.map { _ in .rejected(code) } })
        rescan()
        commit()
    }

    /// A commit whose outcome is not known may have added extents that the queue does not know.
    private func rescan() {
        let known = ledger.view.logExtents(of: id)
        let now = timerLoop.now
        state.withLock { state in state.uploads.reconcile(known.map { UploadQueue.Item($0) }, now: now) }
        schedule()
    }

    // MARK: Reading

    /// The batch at `lsn` if it is in memory.
    func inMemory(_ lsn: UInt64) -> ByteBuffer? { tail.withLock { $0.batch(lsn) } }

    /// Some batches from `lsn` on, from the disk. Blocks: not for event loops.
    func readLog(from lsn: UInt64, maxBytes: Int) throws(WALError) -> [StoredBatch] {
        try log.read(from: lsn, maxBytes: maxBytes, maxCount: 4_096).batches
    }

    // MARK: Uploading

    /// `wake` is called when an upload is due, from any thread.
    func onDue(_ wake: @escaping @Sendable () -> Void) {
        self.wake.withLock { $0 = wake }
        schedule()
    }

    func takeUpload(all: Bool = false) -> (ticket: UInt64, items: [UploadQueue.Item])? {
        let now = timerLoop.now
        return state.withLock { $0.uploads.take(now: now, all: all) }
    }

    func finishUpload(_ ticket: UInt64, left: [UploadQueue.Item]) {
        let now = timerLoop.now
        state.withLock { $0.uploads.finished(ticket, left: left, now: now) }
        schedule()
    }

    func count(_ change: (inout VolumeCounts) -> Void) { state.withLock { change(&$0.counts) } }

    /// Lets the log free what objects hold. Durable when it returns.
    func trim() async {
        let through = state.withLock { state -> UInt64? in
            let held = [state.uploads.lowestLSN, state.undecidedLSN, state.waiting.first?.firstLSN].compactMap { $0 }
            return held.min().map { $0 - 1 }
        }
        // Nothing is held back: all that was durable before the look is dead or in objects. What is durable now may be newer.
        guard let last = through ?? (isQuiet ? ledger.view.volumeLSN(id) : nil) else { return }
        let uploaded = log.uploadState
        tail.withLock { $0.drop(through: last) }
        guard uploaded.openPlans.isEmpty else { return await finish(uploaded) }
        guard last >= uploaded.nextPlanLSN else { return }
        let plan = UploadPlan(sequence: uploaded.nextSequence, firstLSN: uploaded.nextPlanLSN, lastLSN: last)
        do {
            try await log.recordPlan(plan)
            try await log.recordUploaded(sequence: plan.sequence, lastLSN: last)
        } catch { logger.warning("the log of the volume cannot be trimmed", metadata: ["error": "\(error)"]) }
    }

    /// A plan that a restart found: its batches are in objects, or the ledger names them still.
    private func finish(_ uploaded: UploadState) async {
        for plan in uploaded.openPlans {
            let lowest = state.withLock { $0.uploads.lowestLSN }
            if let lowest, lowest <= plan.lastLSN { return }
            try? await log.recordPlan(plan)
            try? await log.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        }
    }

    private var isQuiet: Bool { state.withLock { $0.uploads.isEmpty && !$0.isCommitting && $0.waiting.isEmpty } }

    private func schedule() {
        let now = timerLoop.now
        let due = state.withLock { state -> NIODeadline? in
            guard let due = state.uploads.nextDue else { return nil }
            let time = state.uploads.waitingBytes >= configuration.objectBytes ? now : due
            if let planned = state.wakeAt, planned > now, planned <= time { return nil }
            state.wakeAt = time
            return time
        }
        guard let due else { return }
        if due <= now { return wake.withLock { $0 }?() ?? () }
        timerLoop.scheduleTask(deadline: due) { [weak self] in
            guard let self else { return }
            state.withLock { $0.wakeAt = nil }
            wake.withLock { $0 }?()
        }
    }

    // MARK: Ending

    /// Returns when everything taken so far has been answered.
    func drain() async {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.isCommitting || !state.waiting.isEmpty { state.idle.append(continuation) }
                return !state.isCommitting && state.waiting.isEmpty
            }
            if isIdle { continuation.resume() }
        }
    }

    private func becameIdle() {
        let idle = state.withLock { state in
            guard !state.isCommitting, state.waiting.isEmpty else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.idle = [] }
            return state.idle
        }
        for waiter in idle { waiter.resume() }
    }

    /// Blocks until the log is closed. Not from a completion.
    func close() { log.close() }
}

extension AppendOutcome {
    var isAppended: Bool {
        if case .appended = self { return true }
        return false
    }

    /// What a client is told of an entry that the log did not take.
    var errorCode: ErrorCode {
        switch self {
        case .appended, .duplicate: .none
        case .rejected(let rejection):
            switch rejection {
            case .batchTooLarge: .messageTooLarge
            case .invalidEntry: .invalidRecord
            case .outOfOrderSequence: .outOfOrderSequenceNumber
            case .producerFenced: .invalidProducerEpoch
            // "Not stored, try again", without a look at the metadata that would load a node already behind.
            case .quotaExceeded, .overloaded, .tooManyPartitions, .diskFull, .diskFailed: .notEnoughReplicas
            case .closed: .notLeaderOrFollower
            }
        }
    }
}

extension UploadQueue.Item {
    init(_ entry: ProduceEntry, lsn: UInt64, baseOffset: Int64) {
        self.init(
            place: TopicPartition(topicID: entry.topicID, partition: entry.partition), lsn: lsn, baseOffset: baseOffset,
            lastOffset: baseOffset + Int64(entry.header.lastOffsetDelta), bytes: entry.batch.readableBytes)
    }

    init(_ extent: LogExtent) {
        self.init(
            place: extent.place, lsn: extent.lsn, baseOffset: extent.baseOffset, lastOffset: extent.lastOffset,
            bytes: extent.lengthBytes)
    }
}
