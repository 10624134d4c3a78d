import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Synchronization

/// Drops what topics need not keep, and deletes the objects that nothing names any more.
///
/// An object goes in steps, each durable before the next: no extent names it; the grace period passes; the ledger marks it,
/// which no later commit can undo; its bytes are deleted; the ledger forgets it. A stop between any two is made good by
/// the next round.
final class Retention: Sendable {
    private struct State {
        /// Objects seen without a name, and since when by our own clock: a jump of the wall clock must not shorten a grace.
        var unnamedSince: [String: NIODeadline] = [:]
        /// Keys whose upload or commit was given up.
        var orphans: [String: NIODeadline] = [:]
        /// Objects that a scrub found and the ledger does not know, and since when.
        var suspects: [String: NIODeadline] = [:]
        var counts = RetentionCounts()
    }

    private static let keysMax = 10_000
    private let configuration: RetentionConfiguration
    private let topics: TopicDefaults
    private let store: any ObjectStore
    private let ledger: Ledger
    private let world: CloudWorld
    private let now: @Sendable () -> NIODeadline
    private let logger: Logger
    private let state = Mutex(State())

    init(
        configuration: RetentionConfiguration, topics: TopicDefaults, store: any ObjectStore, ledger: Ledger,
        world: CloudWorld, now: @escaping @Sendable () -> NIODeadline, logger: Logger
    ) {
        self.configuration = configuration
        self.topics = topics
        self.store = store
        self.ledger = ledger
        self.world = world
        self.now = now
        self.logger = logger
    }

    var counts: RetentionCounts { state.withLock { $0.counts } }

    /// An object that may be in the store and that the ledger will not hear of again. Forgotten where too many wait: the
    /// sweep at the next start finds them.
    func abandon(_ key: String) {
        let now = now()
        state.withLock { state in
            guard state.orphans.count < Self.keysMax else { return }
            state.orphans[key] = now
        }
    }

    /// One round. What fails is tried again in the next one.
    func round() async {
        do throws(LedgerError) {
            try await advanceLogStarts()
            try await markUnnamed()
            try await deleteMarked()
            let nowMs = world.wallMs()
            _ = try await ledger.submit(
                .expireProducers(idleSinceMs: nowMs - configuration.producerIdleMs, nowMs: nowMs))
            state.withLock { $0.counts.rounds += 1 }
        } catch {
            state.withLock { $0.counts.failedRounds += 1 }
            logger.warning("retention stopped half way", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Steps

    private func advanceLogStarts() async throws(LedgerError) {
        let nowMs = world.wallMs()
        var items: [AdvanceLogStart.Item] = []
        for topic in ledger.view.topics() {
            let limits = RetentionLimits(topic, defaults: topics)
            guard limits.isLimited else { continue }
            for partition in 0..<topic.partitionCount {
                if let item = item(topic, partition, limits, nowMs) { items.append(item) }
                if items.count >= configuration.chunk { try await advance(&items, nowMs) }
            }
            if Task.isCancelled { return }
            await Task.yield()
        }
        try await advance(&items, nowMs)
    }

    private func item(
        _ topic: TopicFacts, _ partition: Int32, _ limits: RetentionLimits, _ nowMs: Int64
    ) -> AdvanceLogStart.Item? {
        let start = ledger.view.logStartAfterRetention(
            topic.id, partition, olderThanMs: limits.ms.map { nowMs - $0 }, sizeBytesMax: limits.bytes)
        guard let start, let facts = ledger.view.partition(topic.id, partition), start > facts.logStart else {
            return nil
        }
        return AdvanceLogStart.Item(topicID: topic.id, partition: partition, newLogStart: start)
    }

    private func advance(_ items: inout [AdvanceLogStart.Item], _ nowMs: Int64) async throws(LedgerError) {
        guard !items.isEmpty else { return }
        _ = try await ledger.advanceLogStart(AdvanceLogStart(items: items, nowMs: nowMs))
        state.withLock { $0.counts.logStartsAdvanced += UInt64(items.count) }
        items.removeAll()
    }

    private func markUnnamed() async throws(LedgerError) {
        let unnamed = ledger.view.objectsUnreferenced(since: Int64.max, limit: Self.keysMax).map(\.key)
        for keys in ripe(unnamed).chunks(of: configuration.chunk) {
            let marks = try await ledger.markObjectsDeleting(keys, nowMs: world.wallMs())
            state.withLock { state in
                for key in marks.marked + marks.refused {
                    state.unnamedSince[key] = nil
                    state.orphans[key] = nil
                }
            }
        }
    }

    /// Those whose grace is over.
    private func ripe(_ unnamed: [String]) -> [String] {
        let now = now()
        return state.withLock { state in
            let still = Set(unnamed)
            state.unnamedSince = state.unnamedSince.filter { still.contains($0.key) }
            for key in unnamed where state.unnamedSince[key] == nil { state.unnamedSince[key] = now }
            let known = state.unnamedSince.merging(state.orphans) { min($0, $1) }
            return known.filter { $0.value + configuration.grace <= now }.keys.sorted()
        }
    }

    private func deleteMarked() async throws(LedgerError) {
        while !Task.isCancelled {
            let keys = ledger.view.objectsDeleting(limit: configuration.chunk).map(\.key).filter(mayDelete)
            guard !keys.isEmpty else { return }
            let failures: [String: ObjectStoreError]
            do throws(ObjectStoreError) {
                failures = try await store.delete(keys)
            } catch {
                state.withLock { $0.counts.failedDeletes += UInt64(keys.count) }
                logger.warning("cannot delete objects", metadata: ["error": "\(error)"])
                return
            }
            let gone = keys.filter { failures[$0] == nil }
            state.withLock { state in
                state.counts.objectsDeleted += UInt64(gone.count)
                state.counts.failedDeletes += UInt64(failures.count)
            }
            if !gone.isEmpty { _ = try await ledger.forgetObjects(gone, nowMs: world.wallMs()) }
            // The rest would come again at once: leave it to the next round.
            guard failures.isEmpty else { return }
        }
    }

    /// Looked at right before the bytes go: the ledger must have marked it, and name it nowhere.
    private func mayDelete(_ key: String) -> Bool {
        guard let facts = ledger.view.object(key), case .deleting = facts.state else { return false }
        return facts.extentCount == 0
    }

    // MARK: Orphans of former lives

    /// Lists all cloud objects, and gives up those that the ledger does not know in two listings at least a grace apart. Only of
    /// nodes that the ledger knows, and of their older epochs: nobody can commit such an object any more.
    func scrub() async {
        var found: [String: NIODeadline] = [:]
        let now = now()
        let known = state.withLock { $0.suspects }
        let isWhole = await eachObject(prefix: ObjectKeys.dataPrefix) { object in
            guard found.count < Self.keysMax, isUnknown(object) else { return }
            found[object.key] = known[object.key] ?? now
        }
        let ripe = found.filter { $0.value + configuration.grace <= now && known[$0.key] != nil }
        for key in ripe.keys {
            abandon(key)
            found[key] = nil
        }
        state.withLock { state in
            state.counts.orphansFound += UInt64(ripe.count)
            if isWhole { state.counts.scrubs += 1 }
            // What an unfinished listing did not reach is still suspected.
            state.suspects = isWhole ? found : state.suspects.merging(found) { $1 }.filter { ripe[$0.key] == nil }
        }
    }

    private func isUnknown(_ object: ListedObject) -> Bool {
        guard let key = CloudObjectKey(parsing: object.key), let node = Int32(key.nodeID),
            let epoch = ledger.view.nodeEpoch(node), key.epoch < UInt64(max(0, epoch))
        else { return false }
        let isOrphan = state.withLock { $0.orphans[object.key] != nil }
        return !isOrphan && ledger.view.object(object.key) == nil
    }

    /// False when the listing broke off.
    private func eachObject(prefix: String, _ body: (ListedObject) -> Void) async -> Bool {
        var after: String?
        while !Task.isCancelled {
            let page: ListPage
            do throws(ObjectStoreError) {
                page = try await store.list(prefix: prefix, startAfter: after, limit: 1_000)
            } catch {
                logger.warning("cannot look for orphaned objects", metadata: ["error": "\(error)"])
                return false
            }
            for object in page.objects { body(object) }
            guard let next = page.next, next != after else { return true }
            after = next
        }
        return false
    }

    /// Objects under older epochs of this node that the ledger does not know: written, and never committed before the
    /// process ended. Nobody can commit them any more, because the node's epoch has moved on.
    func sweepOrphans(nodeID: Int32, epoch: UInt64) async {
        _ = await eachObject(prefix: "\(ObjectKeys.dataPrefix)\(nodeID)/") { object in
            guard let key = CloudObjectKey(parsing: object.key), key.epoch < epoch,
                ledger.view.object(object.key) == nil
            else { return }
            abandon(object.key)
            state.withLock { $0.counts.orphansFound += 1 }
        }
    }
}

/// What a topic keeps; nil is without limit.
struct RetentionLimits: Equatable {
    var ms: Int64?
    var bytes: Int64?

    init(_ topic: TopicFacts, defaults: TopicDefaults) {
        // A topic that is only compacted keeps everything that is newest of its key.
        guard CleanupPolicy(topic).deletes else { return }
        ms = Self.limit(topic.configs["retention.ms"], defaults.retentionMs)
        bytes = Self.limit(topic.configs["retention.bytes"], defaults.retentionBytes)
    }

    var isLimited: Bool { ms != nil || bytes != nil }

    private static func limit(_ text: String?, _ otherwise: Int64) -> Int64? {
        let value = text.flatMap { Int64($0) } ?? otherwise
        return value < 0 ? nil : value
    }
}

public struct RetentionCounts: Sendable, Equatable {
    public var rounds: UInt64 = 0
    public var failedRounds: UInt64 = 0
    public var logStartsAdvanced: UInt64 = 0
    public var objectsDeleted: UInt64 = 0
    public var failedDeletes: UInt64 = 0
    public var orphansFound: UInt64 = 0
    /// Listings of all cloud objects.
    public var scrubs: UInt64 = 0

    public init() {}
}

extension Array {
    fileprivate func chunks(of size: Int) -> [[Element]] {
        stride(from: 0, to: count, by: Swift.max(1, size)).map {
            Array(self[$0..<Swift.min($0 + Swift.max(1, size), count)])
        }
    }
}
