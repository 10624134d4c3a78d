import KafkaProtocol

/// Places the runs of one object, one after the other: each sees what those before it will do.
struct RunPlanner {
    private struct Producer: Hashable {
        var place: TopicPartition
        var id: Int64
    }

    let state: LedgerState
    let nowMs: Int64
    private(set) var outcomes: [RunOutcome] = []
    private(set) var committed: [RunCommit] = []
    private var highWatermarks: [TopicPartition: Int64] = [:]
    private var producers: [Producer: ProducerSequences] = [:]
    /// Where the runs before opened a transaction.
    private var opened: Set<Producer> = []
    /// How the producers of the run being placed will stand after it.
    private var checked: [Producer: ProducerSequences] = [:]

    init(state: LedgerState, nowMs: Int64, runCount: Int) {
        self.state = state
        self.nowMs = nowMs
        outcomes.reserveCapacity(runCount)
        committed.reserveCapacity(runCount)
    }

    /// Ranges of one run. Whatever fails here is the writer's error, so the whole object is refused.
    static func check(
        position: Int64, lengthBytes: Int64, recordCount: Int64, objectSizeBytes: Int64
    ) throws(LedgerRefusal) {
        try Check.range("run length", lengthBytes, 1...objectSizeBytes)
        try Check.range("run position", position, 0...(objectSizeBytes - lengthBytes))
        try Check.range("record count", recordCount, 1...Int64(UInt32.max))
    }

    mutating func reject(_ code: ErrorCode) {
        outcomes.append(.rejected(code))
    }

    /// `exists` says whether the partition is there, or will be by the records before this one.
    mutating func place(_ run: RunCommit, exists: Bool) {
        guard exists else { return reject(.unknownTopicOrPartition) }
        let place = TopicPartition(topicID: run.topicID, partition: run.partition)
        let partition = state.topics.partition(run.topicID, run.partition)
        let base = highWatermarks[place] ?? partition?.highWatermark ?? 0
        let (next, overflow) = base.addingReportingOverflow(run.recordCount)
        guard !overflow else { return reject(.unknownServerError) }
        if !run.stamps.isEmpty {
            if let outcome = checkStamps(run, place, partition, base) ?? checkTransaction(run, place, partition) {
                outcomes.append(outcome)
                return
            }
            producers.merge(checked) { _, new in new }
        }
        highWatermarks[place] = next
        outcomes.append(.committed(baseOffset: base, logStart: partition?.logStart ?? 0))
        committed.append(run)
    }

    /// Nil when every batch of the run may be appended; the producers then stand as after it.
    /// Source: Kafka's ProducerAppendInfo and ProducerStateEntry.
    private mutating func checkStamps(
        _ run: RunCommit, _ place: TopicPartition, _ partition: PartitionState?, _ base: Int64
    ) -> RunOutcome? {
        checked = [:]
        var after: [Producer: ProducerSequences] = [:]
        var duplicate: RunOutcome?
        var appends = 0
        for stamp in run.stamps {
            let producer = Producer(place: place, id: stamp.producerID)
            var sequences =
                after[producer] ?? producers[producer] ?? partition?.producers[stamp.producerID]?.sequences
                ?? ProducerSequences()
            switch sequences.check(
                epoch: stamp.epoch, firstSequence: stamp.firstSequence, lastSequence: stamp.lastSequence)
            {
            case .append:
                appends += 1
                sequences.record(stamp, base: base, timestampMs: run.maxTimestampMs)
                after[producer] = sequences
            case .duplicate(let baseOffset, let timestampMs):
                duplicate = duplicate ?? .duplicate(baseOffset: baseOffset, timestampMs: timestampMs)
            case .outOfOrder: return .rejected(.outOfOrderSequenceNumber)
            case .fenced: return .rejected(.invalidProducerEpoch)
            }
        }
        if let duplicate { return appends == 0 ? duplicate : .rejected(.outOfOrderSequenceNumber) }
        checked = after
        return nil
    }

    /// Nil when the run may join its transaction, or has none and meets none (rules T5 and T6).
    private mutating func checkTransaction(
        _ run: RunCommit, _ place: TopicPartition, _ partition: PartitionState?
    ) -> RunOutcome? {
        guard let stamp = run.stamps.first else { return nil }
        let producer = Producer(place: place, id: stamp.producerID)
        guard run.transaction != .none else {
            if opened.isEmpty, partition?.open.isEmpty ?? true { return nil }
            for stamp in run.stamps {
                let other = Producer(place: place, id: stamp.producerID)
                if partition?.open[stamp.producerID] != nil || opened.contains(other) {
                    return .rejected(.invalidTxnState)
                }
            }
            return nil
        }
        guard let transaction = state.transactions.ofProducer(stamp.producerID) else {
            return .rejected(.invalidProducerIdMapping)
        }
        guard stamp.epoch == transaction.epoch else { return .rejected(.invalidProducerEpoch) }
        let isMember = transaction.isOngoing && transaction.partitions.contains(place) || opened.contains(producer)
        switch run.transaction {
        case .none: break
        case .added where !isMember: return .rejected(.invalidTxnState)
        case .addedOrAbortable where !isMember: return .rejected(.transactionAbortable)
        case .adds:
            let isUnknown = partition?.producers[stamp.producerID] == nil && producers[producer] == nil
            if isUnknown, stamp.firstSequence != 0 { return .rejected(.outOfOrderSequenceNumber) }
        case .added, .addedOrAbortable: break
        }
        opened.insert(producer)
        return nil
    }
}

extension ProducerSequences {
    mutating func record(_ stamp: RunCommit.ProducerStamp, base: Int64, timestampMs: Int64) {
        record(
            epoch: stamp.epoch, firstSequence: stamp.firstSequence, lastSequence: stamp.lastSequence,
            baseOffset: base &+ stamp.relativeOffset, timestampMs: timestampMs)
    }
}
