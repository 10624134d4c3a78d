import KafkaProtocol

/// Transactional ids, and the transaction that each has open.
struct TransactionTable: Sendable {
    private(set) var all: [String: TransactionState] = [:]
    /// The id that a producer id belongs to now.
    private(set) var idByProducer: [Int64: String] = [:]
    /// Ids with an open transaction: few among many.
    private(set) var ongoing: Set<String> = []

    func ofProducer(_ producerID: Int64) -> TransactionState? { idByProducer[producerID].flatMap { all[$0] } }

    mutating func set(_ id: String, _ state: TransactionState) {
        if let former = all[id], former.producerID != state.producerID { idByProducer[former.producerID] = nil }
        all[id] = state
        idByProducer[state.producerID] = id
        note(id, isOngoing: state.isOngoing)
    }

    /// Changes one in place; nothing where there is none. The producer id stays.
    mutating func update(_ id: String, _ change: (inout TransactionState) -> Void) {
        guard all[id] != nil else { return }
        change(&all[id]!)
        note(id, isOngoing: all[id]!.isOngoing)
    }

    mutating func remove(_ id: String) {
        guard let former = all.removeValue(forKey: id) else { return }
        idByProducer[former.producerID] = nil
        ongoing.remove(id)
    }

    private mutating func note(_ id: String, isOngoing: Bool) {
        if isOngoing { ongoing.insert(id) } else { ongoing.remove(id) }
    }
}

struct TransactionState: Sendable, Equatable {
    enum Phase: UInt8, Sendable {
        case empty = 0
        case ongoing = 1
        case committed = 2
        case aborted = 3
    }

    var producerID: Int64
    var epoch: Int16
    /// The id before the present one, where epochs ran out at the last request: what it still names when repeated. -1: none.
    var formerProducerID: Int64 = -1
    /// The epoch before the present one, where the producer itself asked for it: what a repeated request still names. -1: none.
    var formerEpoch: Int16 = -1
    var timeoutMs: Int32
    var phase = Phase.empty
    /// When the open transaction began.
    var startedMs: Int64 = 0
    var lastUsedMs: Int64
    var partitions: Set<TopicPartition> = []
    /// Groups that take part, with the offsets that wait for the end.
    var groups: [String: [TopicPartition: GroupOffset]] = [:]

    /// The last epoch that a producer is given: one must be left for fencing. Source: `TransactionMetadata.isEpochExhausted`.
    static let epochMax = Int16.max - 1

    var isOngoing: Bool { phase == .ongoing }

    /// Whether a request names the producer as it was before the request that made it what it is: a repetition of that.
    func wasBefore(_ producerID: Int64, _ epoch: Int16) -> Bool {
        guard producerID >= 0, epoch >= 0, epoch == formerEpoch else { return false }
        return producerID == (formerProducerID >= 0 ? formerProducerID : self.producerID)
    }

    func isOverdue(nowMs: Int64) -> Bool {
        isOngoing && nowMs.subtractingClamped(startedMs) > Int64(timeoutMs)
    }

    func facts(_ id: String) -> TransactionFacts {
        let shown: TransactionFacts.Phase =
            switch phase {
            case .empty: .empty
            case .ongoing: .ongoing
            case .committed: .committed
            case .aborted: .aborted
            }
        return TransactionFacts(
            transactionalID: id, producerID: producerID, epoch: epoch, timeoutMs: timeoutMs, phase: shown,
            startedMs: isOngoing ? startedMs : -1, lastUsedMs: lastUsedMs, partitions: partitions.sorted())
    }

    mutating func begin(nowMs: Int64) {
        lastUsedMs = nowMs
        guard !isOngoing else { return }
        phase = .ongoing
        startedMs = nowMs
        partitions = []
        groups = [:]
    }
}

/// Records of an aborted transaction in one partition: those of its producer from `firstOffset` to `lastOffset`, the marker.
struct AbortedRange: Sendable, Equatable {
    var producerID: Int64
    var firstOffset: Int64
    var lastOffset: Int64
}

extension PartitionState {
    /// The first offset that is not decided yet, or the high watermark (rule T8). Records of an open transaction may be deleted:
    /// what is left begins at the log start. Source: Kafka's `UnifiedLog.maybeIncrementFirstUnstableOffset`.
    var lastStableOffset: Int64 { max(logStart, min(open.values.min() ?? .max, highWatermark)) }

    /// Aborted ranges that reach into `offsets`, by their first offset.
    func aborted(in offsets: Range<Int64>) -> [AbortedRange] {
        aborted.filter { $0.lastOffset >= offsets.lowerBound && $0.firstOffset < offsets.upperBound }
            .sorted { ($0.firstOffset, $0.producerID) < ($1.firstOffset, $1.producerID) }
    }

    var producerFacts: [ProducerFacts] {
        producers.map { id, entry in
            let last = entry.sequences.lastBatch
            return ProducerFacts(
                producerID: id, epoch: entry.sequences.lastEpoch, lastSequence: last?.lastSequence ?? -1,
                lastTimestampMs: last?.timestampMs ?? entry.lastUsedMs, transactionStart: open[id] ?? -1)
        }.sorted { $0.producerID < $1.producerID }
    }

    /// Appends the control batch that ends what `producerID` has open here. It takes one offset.
    mutating func end(_ producerID: Int64, epoch: Int16, commits: Bool, nowMs: Int64) {
        let offset = highWatermark
        let extent = PackedExtent(
            marker: TransactionMarker(producerID: producerID, epoch: epoch, commits: commits), at: offset, nowMs: nowMs)
        highWatermark = offset &+ 1
        sizeBytes &+= Int64(extent.lengthBytes)
        extents.appendUnmerged(extent)
        if let first = open.removeValue(forKey: producerID), !commits {
            aborted.append(AbortedRange(producerID: producerID, firstOffset: first, lastOffset: offset))
        }
        var entry = producers[producerID] ?? ProducerEntry(sequences: ProducerSequences(), lastUsedMs: nowMs)
        entry.lastUsedMs = nowMs
        entry.sequences.raise(to: epoch)
        producers[producerID] = entry
        boundProducers()
    }
}
