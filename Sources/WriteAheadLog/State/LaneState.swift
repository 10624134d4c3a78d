import KafkaProtocol
import NIOCore

/// Everything a lane knows that decides about the next append: LSNs, offsets, producers, uploads. No I/O.
struct LaneState: Sendable {
    var nextLSN: UInt64 = 1
    /// Highest LSN that is a batch, or is lost and may have been one; control frames after it need no upload.
    var lastBatchLSN: UInt64 = 0
    var partitions = PartitionTable()
    var producers: ProducerTable
    var uploads = UploadLedger()
    var gaps: GapLedger
    let partitionsMax: Int
    /// Oldest first: a group may be admitted while the one before it is not durable yet.
    private var undo: [Undo] = []

    init(producersMax: Int, partitionsMax: Int, gapBytesMax: Int = .max) {
        producers = ProducerTable(limit: producersMax)
        gaps = GapLedger(limitBytes: gapBytesMax)
        self.partitionsMax = partitionsMax
    }

    /// Nothing up to here needs to be uploaded any more.
    var uploadedThrough: UInt64 {
        uploads.uploadedThrough >= lastBatchLSN ? nextLSN - 1 : uploads.uploadedThrough
    }

    /// What was lost may have been batches: the cloud is to learn of it before its segment is freed.
    mutating func lost(through lsn: UInt64) { lastBatchLSN = max(lastBatchLSN, lsn) }

    /// Verdict on one entry against everything admitted before it.
    enum Admission: Equatable {
        case append(partition: Int, baseOffset: Int64)
        case duplicate(baseOffset: Int64)
        case rejected(AppendRejection)
    }

    /// What changed since `begin`, so that a failed group can be taken back without copying the state.
    private struct Undo {
        var nextLSN: UInt64
        var lastBatchLSN: UInt64
        var partitionCount: Int
        var offsets: [(place: Int, nextOffset: Int64)] = []
        var producers: [(key: ProducerTable.Key, row: ProducerTable.Row?)] = []
    }

    /// What is admitted from now on is another group.
    mutating func begin() {
        undo.append(Undo(nextLSN: nextLSN, lastBatchLSN: lastBatchLSN, partitionCount: partitions.count))
    }

    /// The oldest group is durable; those admitted after it may still be taken back.
    mutating func keep() {
        precondition(!undo.isEmpty, "keep() without begin()")
        undo.removeFirst()
        producers.evict()
    }

    /// Takes back every group that was begun and not kept, the last one first.
    mutating func rollBack() {
        while let group = undo.popLast() {
            for (key, row) in group.producers.reversed() { producers[key] = row }
            for (place, nextOffset) in group.offsets.reversed() { partitions[place].nextOffset = nextOffset }
            partitions.removeRows(from: group.partitionCount)
            nextLSN = group.nextLSN
            lastBatchLSN = group.lastBatchLSN
        }
    }

    /// The state as of the last group that was kept.
    var durable: LaneState {
        var kept = self
        kept.rollBack()
        return kept
    }

    /// Gives the entry its offset and remembers its producer, or says why not.
    mutating func admit(_ entry: LogEntry) -> Admission {
        let name = PartitionName(topic: entry.topic, partition: entry.partition)
        guard let place = partitions.place(of: name) ?? makePlace(name) else {
            return .rejected(.tooManyPartitions(limit: partitionsMax))
        }
        let baseOffset = partitions[place].nextOffset
        if entry.header.producerID >= 0 {
            let key = ProducerTable.Key(partition: place, producerID: entry.header.producerID)
            let row = producers[key]
            switch verdict(row?.sequences, entry.header) {
            case .append: break
            case .duplicate(let original, _): return .duplicate(baseOffset: original)
            case .outOfOrder: return .rejected(.outOfOrderSequence)
            case .fenced: return .rejected(.producerFenced)
            }
            if !undo.isEmpty { undo[undo.count - 1].producers.append((key, row)) }
            remember(key, entry.header, baseOffset: baseOffset, lsn: nextLSN)
        }
        if !undo.isEmpty { undo[undo.count - 1].offsets.append((place, baseOffset)) }
        partitions[place].nextOffset = baseOffset + Int64(entry.header.recordCount)
        lastBatchLSN = nextLSN
        nextLSN += 1
        return .append(partition: place, baseOffset: baseOffset)
    }

    /// The original offset when `entry` is a repetition of a batch that was admitted before.
    func duplicate(of entry: LogEntry) -> Int64? {
        guard entry.header.producerID >= 0,
            let place = partitions.place(of: PartitionName(topic: entry.topic, partition: entry.partition)),
            let row = producers[ProducerTable.Key(partition: place, producerID: entry.header.producerID)],
            case .duplicate(let original, _) = verdict(row.sequences, entry.header)
        else { return nil }
        return original
    }

    /// Applies a batch frame read back from disk, where its offset was decided.
    mutating func replay(_ frame: FrameHeader, topic: String, header: RecordBatchHeader?) {
        let place = partitions.place(making: PartitionName(topic: topic, partition: frame.partition))
        let end = frame.baseOffset + Int64(frame.recordCount)
        partitions[place].nextOffset = max(partitions[place].nextOffset, end)
        lastBatchLSN = max(lastBatchLSN, frame.lsn)
        guard let header, header.producerID >= 0 else { return }
        let key = ProducerTable.Key(partition: place, producerID: header.producerID)
        remember(key, header, baseOffset: frame.baseOffset, lsn: frame.lsn)
    }

    private mutating func makePlace(_ name: PartitionName) -> Int? {
        partitions.count < partitionsMax ? partitions.place(making: name) : nil
    }

    private func verdict(_ known: ProducerSequences?, _ header: RecordBatchHeader) -> ProducerSequences.Verdict {
        (known ?? ProducerSequences()).check(
            epoch: header.producerEpoch, firstSequence: header.baseSequence, lastSequence: header.lastSequence)
    }

    private mutating func remember(
        _ key: ProducerTable.Key, _ header: RecordBatchHeader, baseOffset: Int64, lsn: UInt64
    ) {
        var row = producers[key] ?? ProducerTable.Row(sequences: ProducerSequences(), lastLSN: lsn)
        row.sequences.record(
            epoch: header.producerEpoch, firstSequence: header.baseSequence, lastSequence: header.lastSequence,
            baseOffset: baseOffset, timestampMs: header.maxTimestamp)
        row.lastLSN = lsn
        producers[key] = row
    }
}
