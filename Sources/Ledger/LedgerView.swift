public import KafkaProtocol
import Synchronization

/// What the ledger says now: only what its log has made durable.
///
/// Every query is one short look under a lock and sees one state; two queries may see two. Queries never block on I/O.
public final class LedgerView: Sendable {
    /// Called on the sequencer's thread after each applied blob with the partitions that got new offsets, a new log
    /// start, or came or went. Must return at once.
    public typealias Listener = @Sendable ([TopicPartition]) -> Void

    private let visible: Mutex<LedgerState>
    private let listeners = Mutex<[UInt64: Listener]>([:])
    private let nextToken = Atomic<UInt64>(1)

    init(_ state: consuming sending LedgerState) {
        visible = Mutex(state)
    }

    // MARK: Topics

    public func topic(named name: String) -> TopicFacts? { visible.withLock { $0.topics.facts(named: name) } }

    public func topic(id: KafkaUUID) -> TopicFacts? { visible.withLock { $0.topics.facts(id: id) } }

    /// All topics by name.
    public func topics() -> [TopicFacts] {
        visible.withLock { $0.topics.all.values.map(\.facts) }.sorted { $0.name < $1.name }
    }

    public func partition(_ topicID: KafkaUUID, _ index: Int32) -> PartitionFacts? {
        visible.withLock { $0.topics.partition(topicID, index)?.facts }
    }

    public func partition(topic name: String, _ index: Int32) -> PartitionFacts? {
        visible.withLock { state in
            state.topics.id(named: name).flatMap { state.topics.partition($0, index)?.facts }
        }
    }

    /// Bytes of the extents of each partition, as stored; empty where there is no such topic.
    public func partitionSizes(_ topicID: KafkaUUID) -> [Int64] {
        visible.withLock { $0.topics.all[topicID]?.partitions.map(\.sizeBytes) ?? [] }
    }

    // MARK: Extents

    /// The extents that hold `offset` and what follows it, up to `maxBytes` of stored bytes; the first one is always
    /// there, unless `offset` is at or beyond the high watermark or below the log start.
    public func extents(
        _ topicID: KafkaUUID, _ partition: Int32, from offset: Int64, maxBytes: Int, maxCount: Int = 1_000
    ) -> [Extent] {
        visible.withLock { $0.extents(topicID, partition, from: offset, maxBytes: maxBytes, maxCount: maxCount) }
    }

    /// The same with the aborted transactions that have records in those extents, by their first offset. One look: compaction
    /// takes records of an aborted transaction out and forgets it at once, so two looks might show the records and not the transaction.
    public func extentsAndAborted(
        _ topicID: KafkaUUID, _ partition: Int32, from offset: Int64, maxBytes: Int, maxCount: Int = 1_000
    ) -> (extents: [Extent], aborted: [AbortedTransaction]) {
        visible.withLock { state in
            let extents = state.extents(topicID, partition, from: offset, maxBytes: maxBytes, maxCount: maxCount)
            guard let last = extents.last?.lastOffset, let found = state.topics.partition(topicID, partition),
                !found.aborted.isEmpty
            else { return (extents, []) }
            let aborted = found.aborted(in: offset..<last + 1)
            return (extents, aborted.map { AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset) })
        }
    }

    /// The first extent that holds a record with a timestamp of `timestampMs` or later.
    public func extent(_ topicID: KafkaUUID, _ partition: Int32, atOrAfter timestampMs: Int64) -> Extent? {
        visible.withLock { $0.extent(topicID, partition, atOrAfter: timestampMs) }
    }

    /// The first extent that holds the largest timestamp of the partition.
    public func extentOfMaxTimestamp(_ topicID: KafkaUUID, _ partition: Int32) -> Extent? {
        visible.withLock { $0.extentOfMaxTimestamp(topicID, partition) }
    }

    /// Where the log would start if every leading extent were dropped that is wholly older than `olderThanMs` by its
    /// records' timestamps or, where those lie in the future or are unknown (negative), by its commit time; and
    /// then as many more as bring the partition down to `sizeBytesMax`.
    public func logStartAfterRetention(
        _ topicID: KafkaUUID, _ partition: Int32, olderThanMs: Int64?, sizeBytesMax: Int64?
    ) -> Int64? {
        visible.withLock { state in
            state.topics.partition(topicID, partition)
                .map { state.logStartAfterRetention($0, olderThanMs: olderThanMs, sizeBytesMax: sizeBytesMax) }
        }
    }

    /// The extents from `first` through `last`, if that is where extents begin and end; what ``ExtentRewrite`` replaces.
    public func extentRange(
        _ topicID: KafkaUUID, _ partition: Int32, from first: Int64, through last: Int64
    ) -> ExtentRange? {
        visible.withLock { $0.extentRange(topicID, partition, from: first, through: last) }
    }

    /// Everything that only the log of a volume holds, by LSN. Looks at every extent there is: for the start of a node.
    public func logExtents(of volume: KafkaUUID) -> [LogExtent] {
        visible.withLock { $0 }.logExtents(of: volume)
    }

    /// The last LSN of a volume that has been committed, nil for a volume nobody has registered.
    public func volumeLSN(_ volume: KafkaUUID) -> UInt64? { visible.withLock { $0.volumes.all[volume]?.lastLSN } }

    // MARK: Transactions

    /// Aborted transactions with records in `offsets`, by their first offset.
    public func abortedTransactions(
        _ topicID: KafkaUUID, _ partition: Int32, in offsets: Range<Int64>
    ) -> [AbortedTransaction] {
        visible.withLock { $0.topics.partition(topicID, partition)?.aborted(in: offsets) ?? [] }
            .map { AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset) }
    }

    /// The same with where each ends, for compaction.
    public func abortedRanges(_ topicID: KafkaUUID, _ partition: Int32) -> [(AbortedTransaction, lastOffset: Int64)] {
        visible.withLock { $0.topics.partition(topicID, partition)?.aborted ?? [] }
            .map { (AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset), $0.lastOffset) }
    }

    public func transaction(_ id: String) -> TransactionFacts? {
        visible.withLock { $0.transactions.all[id]?.facts(id) }
    }

    /// By id.
    public func transactions() -> [TransactionFacts] {
        visible.withLock { $0.transactions.all }.map { $1.facts($0) }.sorted { $0.transactionalID < $1.transactionalID }
    }

    /// Ids whose open transaction has outlived its timeout.
    public func overdueTransactions(nowMs: Int64) -> [String] {
        visible.withLock { state in
            state.transactions.ongoing.filter { state.transactions.all[$0]?.isOverdue(nowMs: nowMs) ?? false }
        }.sorted()
    }

    /// Whether an open transaction will commit another offset of the group here (rule T10).
    public func hasPendingOffset(_ group: String, _ topicID: KafkaUUID, _ partition: Int32) -> Bool {
        let place = TopicPartition(topicID: topicID, partition: partition)
        return visible.withLock { state in
            state.transactions.ongoing.contains { state.transactions.all[$0]?.groups[group]?[place] != nil }
        }
    }

    /// Idempotent and transactional producers of a partition, by id; nil where there is no such partition.
    public func producers(_ topicID: KafkaUUID, _ partition: Int32) -> [ProducerFacts]? {
        visible.withLock { $0.topics.partition(topicID, partition) }?.producerFacts
    }

    // MARK: Groups

    public func groups() -> [String] { visible.withLock { Array($0.groups.all.keys) }.sorted() }

    public func groupExists(_ group: String) -> Bool { visible.withLock { $0.groups.all[group] != nil } }

    public func groupOffset(_ group: String, _ topicID: KafkaUUID, _ partition: Int32) -> GroupOffset? {
        visible.withLock { $0.groups.all[group]?[TopicPartition(topicID: topicID, partition: partition)] }
    }

    public func groupOffsets(_ group: String) -> [TopicPartition: GroupOffset] {
        visible.withLock { $0.groups.all[group] ?? [:] }
    }

    // MARK: Sites

    public func sites() -> [SiteFacts] {
        visible.withLock { state in state.sites.all.map { name, site in site.facts(name) } }
            .sorted { $0.site < $1.site }
    }

    public func registrations() -> [String: SiteRegistration] { visible.withLock { $0.sites.registrations } }

    public func registration(_ site: String) -> SiteRegistration? {
        visible.withLock { $0.sites.registrations[site] }
    }

    public func site(_ site: String) -> SiteFacts? { visible.withLock { $0.sites.all[site]?.facts(site) } }

    /// Nil for a lane that was never adopted from: its next sequence is 1.
    public func lane(_ site: String, incarnation: String, lane: String) -> LaneFacts? {
        visible.withLock { $0.sites.lane(site, incarnation, lane)?.facts(lane) }
    }

    // MARK: Objects and producers

    public func object(_ key: String) -> ObjectFacts? { visible.withLock { $0.objects.facts(key) } }

    /// Objects that no extent has named since `sinceMs` or longer, the longest first.
    public func objectsUnreferenced(since sinceMs: Int64, limit: Int = 1_000) -> [ObjectFacts] {
        visible.withLock { $0.objects.unreferenced(since: sinceMs, limit: limit) }
    }

    /// Objects marked for deletion and not yet forgotten, the oldest first: delete their bytes, then forget them.
    public func objectsDeleting(limit: Int = 1_000) -> [ObjectFacts] {
        visible.withLock { $0.objects.deleting(limit: limit) }
    }

    public func quarantinedObjects(limit: Int = 1_000) -> [ObjectFacts] {
        visible.withLock { $0.objects.quarantined(limit: limit) }
    }

    /// The epoch the node's commits need at least.
    public func nodeEpoch(_ nodeID: Int32) -> Int64? { visible.withLock { $0.nodes[nodeID]?.epoch } }

    public func counts() -> LedgerCounts { visible.withLock { $0.counts() } }

    /// The last blob of the log that is in view.
    public var sequence: UInt64 { visible.withLock { $0.sequence } }

    // MARK: Changes

    /// Returns a token for `removeListener`.
    public func addListener(_ listener: @escaping Listener) -> UInt64 {
        let token = nextToken.wrappingAdd(1, ordering: .relaxed).oldValue
        listeners.withLock { $0[token] = listener }
        return token
    }

    public func removeListener(_ token: UInt64) {
        listeners.withLock { _ = $0.removeValue(forKey: token) }
    }

    /// Shows `next` and takes the state shown until now.
    func exchange(_ next: inout LedgerState) {
        visible.withLock { swap(&$0, &next) }
    }

    /// The state shown now. The copy shares memory until one of the two changes.
    func copy() -> LedgerState { visible.withLock { $0 } }

    /// Lets `other`, which is equal to the state shown, use the same memory for full chunks of extents.
    func shareExtents(with other: inout LedgerState, of places: Set<TopicPartition>) {
        visible.withLock { shown in
            for place in places {
                guard let mine = shown.topics.partition(place.topicID, place.partition)?.extents else { continue }
                other.topics.update(place.topicID, place.partition) { partition in
                    if partition.extents.hasOtherChunks(than: mine) { partition.extents = mine }
                }
            }
        }
    }

    func notify(_ changed: [TopicPartition]) {
        guard !changed.isEmpty else { return }
        let current = listeners.withLock { Array($0.values) }
        for listener in current { listener(changed) }
    }
}
