import KafkaProtocol
import NIOCore

/// The ledger's writer without a thread: it turns a group of commands into one blob, appends it, and only then shows
/// and answers it.
///
/// It keeps two states. `tentative` runs ahead by the group being decided; the one in `view` shows what the log holds.
/// When an append fails, `tentative` goes back to what is shown, and all of the group fails. When it is not known
/// whether an append took effect, nothing more is decided until the log has told.
struct Sequencer: Sendable {
    private enum Condition: Sendable {
        case serving
        /// The log may hold more than is shown: read it before deciding.
        case uncertain(String)
        case fenced(currentEpoch: UInt64)
        case corrupt(LedgerFormatError)
    }

    let view: LedgerView
    let recovery: LedgerRecovery
    let log: any FencedLog
    let configuration: LedgerConfiguration
    private(set) var statistics = LedgerStatistics()
    private var tentative: LedgerState
    private var condition = Condition.serving
    /// Records that `view` shows and that the state taken back from it still lacks.
    private var unsettled: [LedgerRecord] = []
    private var snapshots: SnapshotWriter

    static let appendAttemptsMax = 2
    static let readBytes = 8 << 20

    init(log: any FencedLog, configuration: LedgerConfiguration) throws(LedgerError) {
        var loader = LedgerLoader(log: log)
        try loader.load()
        let epoch: UInt64
        do { epoch = try log.beginEpoch() } catch { throw .log(error) }
        // Blobs that the former writer appended between the first look and the new epoch.
        try loader.readTail()
        self.log = log
        self.configuration = configuration
        recovery = LedgerRecovery(
            epoch: epoch, sequence: loader.state.sequence, snapshotSequence: loader.snapshotSequence,
            blobsReplayed: loader.blobsReplayed)
        snapshots = SnapshotWriter(configuration: configuration, after: loader)
        tentative = loader.state
        view = LedgerView(loader.state)
    }

    var isServing: Bool {
        switch condition {
        case .serving, .uncertain: true
        case .fenced, .corrupt: false
        }
    }

    /// Decides as many of `commands` as fit one blob, at least one, and returns their results: durable and visible when
    /// they are answers.
    mutating func run(_ commands: ArraySlice<LedgerCommand>) -> [Result<LedgerAnswer, LedgerError>] {
        settle()
        for _ in 0...1 {
            if let error = obstacle() { return fail(commands, error) }
            let group = decide(commands)
            guard !group.records.isEmpty else { return group.results }
            switch append(group.records) {
            case .done:
                publish(group.records)
                return group.results
            case .again:
                tentative = view.copy()
            case .failed(let error):
                tentative = view.copy()
                return fail(commands.prefix(group.results.count), error)
            }
        }
        return fail(commands, .unavailable("the log was written by another hand, twice in a row"))
    }

    private mutating func fail(
        _ commands: ArraySlice<LedgerCommand>, _ error: LedgerError
    ) -> [Result<LedgerAnswer, LedgerError>] {
        statistics.failed += UInt64(commands.count)
        return commands.map { _ in .failure(error) }
    }

    /// What keeps this sequencer from deciding now.
    private mutating func obstacle() -> LedgerError? {
        if case .uncertain = condition { catchUp() }
        switch condition {
        case .serving: return nil
        case .uncertain(let reason): return .unavailable(reason)
        case .fenced(let currentEpoch): return .fenced(epoch: recovery.epoch, currentEpoch: currentEpoch)
        case .corrupt(let error): return .corrupt(error)
        }
    }

    private mutating func decide(
        _ commands: ArraySlice<LedgerCommand>
    ) -> (records: [LedgerRecord], results: [Result<LedgerAnswer, LedgerError>]) {
        var records: [LedgerRecord] = []
        var results: [Result<LedgerAnswer, LedgerError>] = []
        var bytes = 0
        for command in commands.prefix(configuration.blobCommandsMax) {
            do throws(LedgerRefusal) {
                let decision = try tentative.decide(command)
                let size = decision.records.reduce(0) { $0 + $1.estimatedBytes }
                guard results.isEmpty || bytes + size <= configuration.blobBytesMax else { break }
                bytes += size
                for record in decision.records { tentative.apply(record) }
                records += decision.records
                results.append(.success(decision.answer))
            } catch {
                statistics.refused += 1
                results.append(.failure(.refused(error)))
            }
        }
        statistics.commands += UInt64(results.count)
        return (records, results)
    }

    // MARK: - The log

    private enum Appended {
        case done
        /// The log held more than was known; it is shown now, and the group must be decided again.
        case again
        case failed(LedgerError)
    }

    private mutating func append(_ records: [LedgerRecord]) -> Appended {
        let sequence = tentative.sequence + 1
        let blob = LedgerBatch(sequence: sequence, epoch: recovery.epoch, records: records).encoded()
        var reason = ""
        for _ in 0..<Sequencer.appendAttemptsMax {
            do throws(FencedLogError) {
                switch try log.append(epoch: recovery.epoch, sequence: sequence, blob: blob) {
                case .done:
                    count(blob)
                    return .done
                case .fenced(let currentEpoch):
                    condition = .fenced(currentEpoch: currentEpoch)
                    return .failed(.fenced(epoch: recovery.epoch, currentEpoch: currentEpoch))
                case .conflict:
                    if try isStored(blob, sequence) {
                        count(blob)
                        return .done
                    }
                    condition = .uncertain("the log has grown under another hand")
                    return .again
                }
            } catch {
                reason = "\(error)"
            }
            // The error may have come after the effect: look.
            do throws(FencedLogError) {
                if try isStored(blob, sequence) {
                    count(blob)
                    return .done
                }
            } catch { break }
        }
        condition = .uncertain(reason)
        return .failed(.unavailable(reason))
    }

    private func isStored(_ blob: ByteBuffer, _ sequence: UInt64) throws(FencedLogError) -> Bool {
        try log.read(from: sequence, bytesMax: 1).first
            == LogBlob(
                sequence: sequence, epoch: recovery.epoch, blob: blob)
    }

    private mutating func count(_ blob: ByteBuffer) {
        statistics.blobs += 1
        statistics.blobBytes += UInt64(blob.readableBytes)
        snapshots.appended(bytes: blob.readableBytes)
    }

    /// Shows what the log holds beyond the view: only what this sequencer wrote itself and then lost sight of.
    private mutating func catchUp() {
        do throws(LedgerError) {
            var loader = LedgerLoader(log: log, state: view.copy())
            try loader.readTail()
            guard loader.newestEpoch <= recovery.epoch else {
                condition = .fenced(currentEpoch: loader.newestEpoch)
                return
            }
            condition = .serving
            guard loader.blobsReplayed > 0 else { return }
            tentative = loader.state
            view.exchange(&tentative)
            tentative = view.copy()
            view.notify(Array(loader.changed))
        } catch {
            switch error {
            case .corrupt(let format): condition = .corrupt(format)
            default: condition = .uncertain("\(error)")
            }
        }
    }

    // MARK: - The view

    private mutating func publish(_ records: [LedgerRecord]) {
        tentative.sequence += 1
        view.exchange(&tentative)
        unsettled = records
        var changed: Set<TopicPartition> = []
        for record in records { record.note(into: &changed) }
        view.notify(Array(changed))
    }

    /// Brings the state taken back from the view up to it, and lets the two share what does not change any more.
    mutating func settle() {
        guard !unsettled.isEmpty else { return }
        var changed: Set<TopicPartition> = []
        for record in unsettled {
            tentative.apply(record)
            record.note(into: &changed)
        }
        tentative.sequence += 1
        unsettled = []
        view.shareExtents(with: &tentative, of: changed)
    }

    // MARK: - Snapshots

    /// Does one step of snapshot or trimming. Returns whether there is more to do.
    mutating func housekeep() -> Bool {
        settle()
        guard case .serving = condition, snapshots.isDue else { return false }
        switch snapshots.step(log: log, epoch: recovery.epoch, state: tentative) {
        case .more: return true
        case .finished:
            statistics.snapshots += 1
            return false
        case .failed: return false
        case .fenced(let currentEpoch):
            condition = .fenced(currentEpoch: currentEpoch)
            return false
        }
    }
}

extension LedgerRecord {
    /// Roughly what it takes in a blob, to bound blobs without encoding twice.
    var estimatedBytes: Int {
        switch self {
        case .objectCommitted(let record): record.object.estimatedBytes
        case .siteObjectAdopted(let record): record.object.estimatedBytes + 64
        case .siteGapsNoted(let record):
            record.gaps.reduce(64) { $1.items.reduce($0 + 48) { $0 + 64 + $1.topic.utf8.count } }
        case .topicCreated(let record): 64 + record.topic.configs.count * 32
        case .topicConfigsSet(let record): 32 + record.configs.count * 32
        case .groupOffsetsCommitted(let record): record.items.reduce(32) { $0 + 16 + $1.metadata.utf8.count }
        case .groupOffsetsDeleted(let record): 32 + record.partitions.count * 4
        case .logStartsAdvanced(let record): 16 + record.items.count * 12
        case .objectsMarked(let record): record.keys.reduce(16) { $0 + $1.utf8.count + 2 }
        case .objectsForgotten(let record): record.keys.reduce(16) { $0 + $1.utf8.count + 2 }
        case .transactionExtended(let record): 64 + record.partitions.count * 6
        case .transactionOffsetsAdded(let record): record.items.reduce(64) { $0 + 16 + $1.metadata.utf8.count }
        case .transactionEnded(let record): 96 + record.partitions.count * 6
        case .markersWritten(let record): 48 + record.partitions.count * 6
        case .logCommitted(let record): record.object.estimatedBytes + 32
        case .extentsRewritten(let record):
            64 + record.key.utf8.count + record.runs.count * 48 + record.outcomes.count * 8
        default: 48
        }
    }
}

extension PlacedObject {
    fileprivate var estimatedBytes: Int {
        committed.reduce(key.utf8.count + 32 + outcomes.count * 8) { $0 + 28 + $1.stamps.count * 16 }
    }
}
