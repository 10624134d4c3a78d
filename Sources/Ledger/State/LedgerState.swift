import KafkaProtocol

/// All cloud metadata. Pure: `decide` validates a command and says what it comes to, `apply` does it; no I/O, no clock,
/// no randomness. Equal records in equal order make equal states, whose snapshots are equal bytes.
///
/// - `decide(_:)` may refuse, and never changes anything.
/// - `apply(_:)` never refuses: its records come from `decide`, or from a log whose checksums hold.
struct LedgerState: Sendable {
    /// The last blob of the log that has been applied.
    var sequence: UInt64 = 0
    var topics = TopicTable()
    var objects = ObjectTable()
    var groups = GroupTable()
    var sites = SiteTable()
    var nodes: [Int32: NodeState] = [:]
    var transactions = TransactionTable()
    var volumes = VolumeTable()
    var nextProducerID: Int64 = 1
    /// Extents of deleted topics that their objects still count. Each record frees some, so that deleting a huge topic
    /// never stops the others.
    var condemned: [CondemnedExtents] = []

    static let condemnedPerRecord = 4_096
}

/// What is left of a deleted partition.
struct CondemnedExtents: Sendable {
    var extents: ExtentList
    /// When its topic was deleted.
    var sinceMs: Int64
}

/// What a command comes to: records to apply (none when nothing changes), and its answer.
struct LedgerDecision: Equatable {
    var records: [LedgerRecord] = []
    var answer: LedgerAnswer
}

struct NodeState: Sendable, Equatable {
    var epoch: Int64
    var lastSeenMs: Int64
}

struct GroupTable: Sendable {
    var all: [String: [TopicPartition: GroupOffset]] = [:]

    /// A deleted topic takes its committed offsets along.
    mutating func removeOffsets(of topicID: KafkaUUID) {
        for (group, offsets) in all where offsets.keys.contains(where: { $0.topicID == topicID }) {
            all[group] = offsets.filter { $0.key.topicID != topicID }
        }
    }
}

// MARK: - Queries

extension LedgerState {
    func extents(
        _ topicID: KafkaUUID, _ partition: Int32, from offset: Int64, maxBytes: Int, maxCount: Int
    ) -> [Extent] {
        guard let state = topics.partition(topicID, partition), offset >= state.logStart,
            offset < state.highWatermark, let first = state.extents.index(holding: offset)
        else { return [] }
        var found: [Extent] = []
        var bytes = 0
        for index in first..<state.extents.count {
            guard found.isEmpty || (bytes < maxBytes && found.count < maxCount) else { break }
            guard let extent = extent(state, index) else { break }
            found.append(extent)
            bytes += Int(extent.lengthBytes)
        }
        return found
    }

    func extent(_ topicID: KafkaUUID, _ partition: Int32, atOrAfter timestampMs: Int64) -> Extent? {
        guard let state = topics.partition(topicID, partition) else { return nil }
        return state.extents.firstIndex(atOrAfter: timestampMs).flatMap { extent(state, $0) }
    }

    func extentOfMaxTimestamp(_ topicID: KafkaUUID, _ partition: Int32) -> Extent? {
        guard let state = topics.partition(topicID, partition) else { return nil }
        return state.extents.indexOfMaxTimestamp().flatMap { extent(state, $0) }
    }

    private func extent(_ state: PartitionState, _ index: Int) -> Extent? {
        let packed = state.extents[index]
        var extent = Extent(
            objectKey: "", objectSizeBytes: 0, position: Int64(packed.position),
            lengthBytes: Int64(packed.lengthBytes), baseOffset: packed.baseOffset,
            lastOffset: state.lastOffset(ofExtent: index), minTimestampMs: packed.minTimestampMs,
            maxTimestampMs: packed.maxTimestampMs, committedMs: packed.maxTimestampMs)
        switch packed.source {
        case .object(let number):
            guard let object = objects.all[number] else { return nil }
            extent.source = object.holdsOffsets ? .objectWithOffsets : .object
            extent.objectKey = object.key
            extent.objectSizeBytes = object.sizeBytes
            extent.committedMs = object.committedMs
        case .log(let volume, let lsn):
            guard let id = volumes.id(volume) else { return nil }
            extent.source = .log(volume: id, lsn: lsn)
            extent.objectKey = "volume \(id)"
            extent.position = Int64(lsn)
        case .marker(let marker):
            extent.source = .marker(marker)
            // Two markers at the same offset of two partitions must not pass for one another in a cache.
            extent.objectKey = "marker of \(marker.producerID)"
        }
        return extent
    }

    func extentRange(_ topicID: KafkaUUID, _ partition: Int32, from first: Int64, through last: Int64) -> ExtentRange? {
        guard let state = topics.partition(topicID, partition),
            let range = state.extentRange(from: first, through: last)
        else { return nil }
        return ExtentRange(
            extents: range.compactMap { extent(state, $0) }, fingerprint: state.extents.fingerprint(range))
    }

    /// Everything that only the log of a volume holds, by LSN.
    func logExtents(of volume: KafkaUUID) -> [LogExtent] {
        guard let number = volumes.all[volume]?.number else { return [] }
        var found: [LogExtent] = []
        for topic in topics.all.values {
            for (index, partition) in topic.partitions.enumerated() {
                for place in 0..<partition.extents.count {
                    let extent = partition.extents[place]
                    guard case .log(number, let lsn) = extent.source else { continue }
                    found.append(
                        LogExtent(
                            place: TopicPartition(topicID: topic.id, partition: Int32(index)), lsn: lsn,
                            baseOffset: extent.baseOffset, lastOffset: partition.lastOffset(ofExtent: place),
                            lengthBytes: Int(extent.lengthBytes)))
                }
            }
        }
        return found.sorted { $0.lsn < $1.lsn }
    }

    func logStartAfterRetention(_ state: PartitionState, olderThanMs: Int64?, sizeBytesMax: Int64?) -> Int64 {
        var sizeBytes = state.sizeBytes
        for index in 0..<state.extents.count {
            let extent = state.extents[index]
            // What only a log or the ledger itself holds is young: at the latest its object tells the age.
            let committedMs = objects.all[extent.object]?.committedMs ?? .max
            // A timestamp that is unknown, or later than the commit, says nothing about the age.
            let isTold = extent.maxTimestampMs >= 0 && extent.maxTimestampMs <= committedMs
            let knownMs = isTold ? extent.maxTimestampMs : committedMs
            let isOld = olderThanMs.map { knownMs < $0 } ?? false
            let isTooMuch = sizeBytesMax.map { sizeBytes > $0 } ?? false
            guard isOld || isTooMuch else { return max(extent.baseOffset, state.logStart) }
            sizeBytes -= Int64(extent.lengthBytes)
        }
        return state.highWatermark
    }

    func counts() -> LedgerCounts {
        var counts = LedgerCounts()
        counts.topics = topics.all.count
        for topic in topics.all.values {
            counts.partitions += topic.partitions.count
            for partition in topic.partitions {
                counts.extents += partition.extents.count
                counts.producers += partition.producers.count
            }
        }
        counts.objects = objects.all.count
        counts.tombstones = objects.tombstones.count
        counts.objectsDeleting = objects.tombstones.reduce(0) { $0 + ($1.value.isForgotten ? 0 : 1) }
        counts.groups = groups.all.count
        counts.sites = sites.all.count
        return counts
    }
}
