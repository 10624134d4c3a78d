import KafkaListener
import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization

/// What all fetches share: caches, waiters, budget. One request is a ``FetchSession``.
final class FetchEngine: Sendable {
    let configuration: FetchConfiguration
    let view: LedgerView
    let reader: ExtentReader
    let planner: FetchPlanner
    let watchers = PartitionWatchers()
    let timers = LoopTimers()
    let allowance: ByteAllowance
    private let readAhead: ReadAhead
    private let jobs: JobRunner
    private let logger: Logger
    private struct Failures {
        var count: UInt64 = 0
        /// Since the last line in the log: consumers ask again at once, and a line for each would bury the others.
        var unsaid: UInt64 = 0
        var saidAt: ContinuousClock.Instant?
    }

    private static let pauseBetweenLines = Duration.seconds(5)
    private let failures = Mutex(Failures())

    init(
        configuration: FetchConfiguration, view: LedgerView, blocks: BlockCache, volume: VolumeReader? = nil,
        jobs: JobRunner, logger: Logger
    ) {
        self.configuration = configuration
        self.view = view
        self.jobs = jobs
        self.logger = logger
        reader = ExtentReader(blocks: blocks, volume: volume, configuration: configuration)
        planner = FetchPlanner(view: view, reader: reader)
        allowance = ByteAllowance(limitBytes: configuration.responsesBytesMax)
        readAhead = ReadAhead(
            range: configuration.readAheadBytes, bytesMax: configuration.pieceBytesMax / 2, view: view)
    }

    var readFailures: UInt64 { failures.withLock { $0.count } }

    /// Brings pieces in, several at a time, and says what became of each. Not on the caller's event loop.
    func bringIn(
        _ needs: [FetchNeed], then done: @escaping @Sendable ([(FetchNeed, Result<Piece, ReadError>)]) -> Void
    ) {
        let runs = jobs.submit { done(await self.load(needs)) }
        if !runs {
            let error = ReadError.store(ObjectStoreError(.get, key: "", .cancelled))
            done(needs.map { ($0, .failure(error)) })
        }
    }

    /// A fetch has been answered: whatever comes next in its partitions is brought in meanwhile.
    func wentOn(_ steps: [FetchStep]) {
        let stretches = readAhead.goOn(steps, now: .now())
        guard !stretches.isEmpty else { return }
        let runs = jobs.submit {
            let needs = FetchNeed.inTurns(stretches.map(\.needs))
            var unlimited = Int.max
            _ = await self.load(
                needs.filter { self.reader.cached($0.extent, offset: $0.offset, makingBytes: &unlimited) == nil })
            for stretch in stretches { self.readAhead.ended(stretch) }
        }
        if !runs { for stretch in stretches { readAhead.ended(stretch) } }
    }

    private func load(_ needs: [FetchNeed]) async -> [(FetchNeed, Result<Piece, ReadError>)] {
        reader.expect(needs)
        return await withTaskGroup(of: (FetchNeed, Result<Piece, ReadError>).self) { group in
            for need in needs {
                group.addTask {
                    do throws(ReadError) {
                        return (need, .success(try await self.reader.piece(need.extent, offset: need.offset)))
                    } catch {
                        self.failed(need, error)
                        return (need, .failure(error))
                    }
                }
            }
            var results: [(FetchNeed, Result<Piece, ReadError>)] = []
            for await result in group { results.append(result) }
            return results
        }
    }

    private func failed(_ need: FetchNeed, _ error: ReadError) {
        let now = ContinuousClock.now
        let unsaid = failures.withLock { failures -> UInt64? in
            failures.count += 1
            if let saidAt = failures.saidAt, now - saidAt < Self.pauseBetweenLines {
                failures.unsaid += 1
                return nil
            }
            failures.saidAt = now
            defer { failures.unsaid = 0 }
            return failures.unsaid
        }
        guard let unsaid else { return }
        logger.warning(
            "cannot read stored batches",
            metadata: ["key": "\(need.extent.objectKey)", "error": "\(error)", "more": "\(unsaid)"])
    }
}
