import Dispatch
import Logging
import Synchronization

/// Drives a `Sequencer` on a serial queue of its own: all that arrived while one append was under way is the next
/// group.
final class SequencerThread: Sendable {
    typealias Completion = @Sendable (Result<LedgerAnswer, LedgerError>) -> Void

    private struct Queue {
        var commands: [LedgerCommand] = []
        var completions: [Completion] = []
        var isDraining = false
        var isClosed = false
        /// Commands taken from here and not answered yet.
        var underWay = 0
        var overloaded: UInt64 = 0

        var count: Int { commands.count + underWay }
    }

    private let core: Mutex<Sequencer>
    private let queue = Mutex(Queue())
    private let standing = Mutex((isServing: true, statistics: LedgerStatistics()))
    private let worker = DispatchQueue(label: "cairn.ledger.sequencer", qos: .userInitiated)
    private let commandsQueuedMax: Int
    private let logger: Logger

    init(_ core: consuming sending Sequencer, configuration: LedgerConfiguration, logger: Logger) {
        self.core = Mutex(core)
        commandsQueuedMax = configuration.commandsQueuedMax
        self.logger = logger
    }

    var isServing: Bool { standing.withLock { $0.isServing } }

    func statistics() -> LedgerStatistics {
        var statistics = standing.withLock { $0.statistics }
        queue.withLock {
            statistics.queued = $0.count
            statistics.overloaded = $0.overloaded
        }
        return statistics
    }

    func submit(_ command: LedgerCommand, completion: @escaping Completion) {
        let (error, mustWake) = queue.withLock { queue -> (LedgerError?, Bool) in
            guard !queue.isClosed else { return (.closed, false) }
            guard queue.count < commandsQueuedMax else {
                queue.overloaded += 1
                return (.overloaded(queued: queue.count, queuedMax: commandsQueuedMax), false)
            }
            queue.commands.append(command)
            queue.completions.append(completion)
            defer { queue.isDraining = true }
            return (nil, !queue.isDraining)
        }
        if let error { return completion(.failure(error)) }
        if mustWake { worker.async { self.drain() } }
    }

    /// Answers what is queued, then closes the log. Blocks; not for event loops.
    func stop() {
        queue.withLock { $0.isClosed = true }
        worker.sync {
            drain()
            core.withLock { $0.log.close() }
        }
    }

    /// Runs on the worker until nothing is queued and no snapshot is under way.
    private func drain() {
        var commands: [LedgerCommand] = []
        var completions: [Completion] = []
        var next = 0
        while true {
            if next > 0 {
                commands.removeFirst(next)
                completions.removeFirst(next)
            }
            take(&commands, &completions)
            next = commands.isEmpty ? 0 : runGroup(commands, completions)
            let hasMore = core.withLock { $0.housekeep() }
            noteStanding(reason: "housekeeping")
            if next == 0, !hasMore, rest() { return }
        }
    }

    private func take(_ commands: inout [LedgerCommand], _ completions: inout [Completion]) {
        queue.withLock { queue in
            commands += queue.commands
            completions += queue.completions
            queue.commands.removeAll(keepingCapacity: true)
            queue.completions.removeAll(keepingCapacity: true)
            queue.underWay = commands.count
        }
    }

    /// Whether the worker may go to sleep: nothing came in meanwhile.
    private func rest() -> Bool {
        queue.withLock { queue in
            guard queue.commands.isEmpty else { return false }
            queue.isDraining = false
            return true
        }
    }

    /// Runs one group and answers it. Returns how many commands it took.
    private func runGroup(_ commands: [LedgerCommand], _ completions: [Completion]) -> Int {
        let results = core.withLock { $0.run(commands[...]) }
        noteStanding(reason: results.first.map { "\($0)" } ?? "")
        queue.withLock { $0.underWay -= results.count }
        for (completion, result) in zip(completions, results) { completion(result) }
        return results.count
    }

    /// Shows outside how the sequencer stands, before anybody is answered; says once why it has stopped.
    private func noteStanding(reason: @autoclosure () -> String) {
        let now = core.withLock { (isServing: $0.isServing, statistics: $0.statistics) }
        let wasServing = standing.withLock { standing in
            defer { standing = now }
            return standing.isServing
        }
        guard wasServing, !now.isServing else { return }
        logger.error("the ledger has stopped", metadata: ["reason": "\(reason())"])
    }
}

/// Runs blocking work on a thread of Dispatch's, away from the cooperative pool.
func onOwnThread<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async { continuation.resume(returning: work()) }
    }
}
