import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import Synchronization

/// Rewrites what is stored, in the background, one job at a time: compacts topics that ask for it, and merges small extents of those that
/// keep their data long.
///
/// Nothing is remembered between rounds that a restart would need: the ledger's extents say what has been done. Each rewrite is
/// one command that takes effect only if the extents are still those that were read.
final class Housekeeper: Sendable {
    struct State {
        var counts = HousekeepingCounts()
        var rests: Rests
    }

    let configuration: HousekeepingConfiguration
    let topics: TopicDefaults
    let view: LedgerView
    let source: ExtentSource
    let rewriter: ObjectRewriter
    let world: CloudWorld
    let now: @Sendable () -> NIODeadline
    let logger: Logger
    private let state: Mutex<State>

    init(
        configuration: HousekeepingConfiguration, topics: TopicDefaults, store: any ObjectStore,
        rewriter: ObjectRewriter, now: @escaping @Sendable () -> NIODeadline, logger: Logger
    ) {
        self.configuration = configuration
        self.topics = topics
        self.rewriter = rewriter
        self.now = now
        self.logger = logger
        view = rewriter.ledger.view
        world = rewriter.world
        source = ExtentSource(
            store: store, readBytes: configuration.readBytes, bytesPerSecond: configuration.bytesPerSecond,
            world: rewriter.world, now: now)
        state = Mutex(State(rests: Rests(first: configuration.restAfterFailure)))
    }

    var counts: HousekeepingCounts {
        var counts = state.withLock { $0.counts }
        counts.bytesRead = source.bytesRead
        return counts
    }

    /// Does all that is due now. What fails is tried again in a later round.
    func round() async {
        await compactAll()
        await mergeAll()
        count { $0.rounds += 1 }
    }

    // MARK: For the jobs

    func count(_ change: (inout HousekeepingCounts) -> Void) { state.withLock { change(&$0.counts) } }

    func isResting(_ place: TopicPartition) -> Bool {
        let now = now()
        return state.withLock { $0.rests.isResting(place, at: now) }
    }

    func succeeded(_ place: TopicPartition) { state.withLock { $0.rests.succeeded(place) } }

    /// Counts, lets the partition rest, and says so once.
    func failed(_ place: TopicPartition, topic: String, _ error: HousekeepingError) {
        switch error {
        case .cancelled: return
        case .changed: return count { $0.refused += 1 }
        case .read, .unreadable, .write: break
        }
        let now = now()
        let isNews = state.withLock { state in
            state.counts.failures += 1
            return state.rests.failed(place, at: now)
        }
        guard isNews else { return }
        logger.warning(
            "housekeeping leaves a partition for later",
            metadata: ["topic": "\(topic)", "partition": "\(place.partition)", "error": "\(error)"])
    }

    func extents(_ place: TopicPartition, from start: Int64) -> [Extent] {
        view.extents(
            place.topicID, place.partition, from: start, maxBytes: .max, maxCount: configuration.extentsMax)
    }
}
