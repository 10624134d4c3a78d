import KafkaProtocol
import Ledger
import NIOCore

/// Where a partition's aborted transactions lie.
struct AbortedRanges: Sendable {
    private var ranges: [Int64: [ClosedRange<Int64>]] = [:]

    /// The last offset of a range is that of its marker.
    init(_ aborted: [(AbortedTransaction, lastOffset: Int64)] = []) {
        for (transaction, lastOffset) in aborted where transaction.firstOffset <= lastOffset {
            ranges[transaction.producerID, default: []].append(transaction.firstOffset...lastOffset)
        }
    }

    func contains(_ producerID: Int64, _ offset: Int64) -> Bool {
        ranges[producerID]?.contains { $0.contains(offset) } ?? false
    }

    /// The transaction whose marker is at `offset`.
    func ending(_ producerID: Int64, at offset: Int64) -> AbortedTransaction? {
        ranges[producerID]?.first { $0.upperBound == offset }.map {
            AbortedTransaction(producerID: producerID, firstOffset: $0.lowerBound)
        }
    }
}

/// Decides batch by batch, from the log start on, what compaction leaves. No I/O, no clock.
///
/// Rules K1 and K2. Source: Kafka 4.3, `Cleaner` and `CleanedTransactionMetadata`. The ledger names aborted transactions in fetches, and
/// consumers take the rest of a producer's records for aborted until they meet the marker. So a marker gets its delete horizon by the
/// rewrite with which the ledger forgets its transaction, and goes by a later one.
struct BatchCleaner {
    let map: OffsetMap
    let aborted: AbortedRanges
    /// What a producer's last batch in the log must still tell.
    struct Producer: Sendable, Equatable {
        var epoch: Int16
        /// -1 where only a marker of it is there.
        var lastSequence: Int32
    }

    let producers: [Int64: Producer]
    let deleteRetentionMs: Int64
    let nowMs: Int64
    private(set) var recordsRemoved = 0
    /// Aborted transactions whose markers were passed, and with them every record of theirs: to be forgotten by the rewrite
    /// that these markers are in.
    private var over: [AbortedTransaction] = []
    /// Producers whose committed records were passed and whose marker was not yet.
    private var committing: Set<Int64> = []

    init(
        map: OffsetMap, aborted: AbortedRanges, producers: [Int64: Producer], deleteRetentionMs: Int64, nowMs: Int64
    ) {
        self.map = map
        self.aborted = aborted
        self.producers = producers
        self.deleteRetentionMs = deleteRetentionMs
        self.nowMs = nowMs
    }

    enum Verdict: Equatable {
        case keep
        case replace(ByteBuffer)
        case drop
    }

    /// - Parameters:
    ///   - batch: with the offsets that consumers see.
    ///   - isCleaned: an earlier round wrote it, so its delete horizon is ours.
    mutating func judge(
        _ batch: ByteBuffer, _ header: RecordBatchHeader, isCleaned: Bool
    ) throws(RecordBatchError) -> Verdict {
        let verdict =
            header.isControl
            ? try judgeMarker(batch, header, isCleaned) : try judgeRecords(batch, header, isCleaned)
        guard verdict == .drop else { return verdict }
        recordsRemoved += Int(header.recordCount)
        guard isLastOfProducer(header) else { return .drop }
        return header.recordCount == 0 ? .keep : .replace(RecordBatch.empty(like: header))
    }

    /// What came to its end since this was asked for last.
    mutating func takeOver() -> [AbortedTransaction] {
        guard !over.isEmpty else { return [] }
        defer { over = [] }
        return over
    }

    /// K1: the last sequence of a producer is kept in the log, though its records are gone.
    private func isLastOfProducer(_ header: RecordBatchHeader) -> Bool {
        guard header.producerID >= 0, let producer = producers[header.producerID],
            producer.epoch == header.producerEpoch
        else { return false }
        guard producer.lastSequence >= 0 else { return header.isControl }
        return !header.isControl && header.lastSequence == producer.lastSequence
    }

    private func horizon(_ header: RecordBatchHeader, _ isCleaned: Bool) -> Int64? {
        isCleaned ? header.deleteHorizonMs : nil
    }

    private var newHorizonMs: Int64 {
        let (sum, overflow) = nowMs.addingReportingOverflow(deleteRetentionMs)
        return overflow ? .max : sum
    }

    // MARK: Markers

    private mutating func judgeMarker(
        _ batch: ByteBuffer, _ header: RecordBatchHeader, _ isCleaned: Bool
    ) throws(RecordBatchError) -> Verdict {
        guard header.recordCount > 0 else { return .drop }
        guard let marker = try EndTransactionMarker(reading: batch) else { return .keep }
        if marker.isCommit, committing.remove(header.producerID) != nil { return .keep }
        // All of its records are before it, and have been dropped on the way here.
        let ended = marker.isCommit ? nil : aborted.ending(header.producerID, at: header.baseOffset)
        if let ended { over.append(ended) }
        guard let horizonMs = horizon(header, isCleaned) else {
            return try RecordBatch.filtering(batch, deleteHorizonMs: newHorizonMs) { _ in true }
                .map { .replace($0) } ?? .keep
        }
        return nowMs >= horizonMs && ended == nil ? .drop : .keep
    }

    // MARK: Records

    private mutating func judgeRecords(
        _ batch: ByteBuffer, _ header: RecordBatchHeader, _ isCleaned: Bool
    ) throws(RecordBatchError) -> Verdict {
        if header.isTransactional {
            if aborted.contains(header.producerID, header.baseOffset) { return .drop }
            committing.insert(header.producerID)
        }
        guard header.recordCount > 0 else { return .drop }
        let horizonMs = horizon(header, isCleaned)
        let tombstonesStay = horizonMs.map { nowMs < $0 } ?? true
        var reader = try RecordBatchReader(stored: batch)
        var kept: Set<Int32> = []
        var keepsTombstones = false
        while let record = try reader.next() {
            guard stays(record, header, tombstonesStay) else { continue }
            kept.insert(record.offsetDelta)
            if record.key != nil, record.value == nil { keepsTombstones = true }
        }
        guard !kept.isEmpty else { return .drop }
        let setsHorizon = keepsTombstones && horizonMs == nil
        guard setsHorizon || kept.count < Int(header.recordCount) else { return .keep }
        recordsRemoved += Int(header.recordCount) - kept.count
        return try RecordBatch.filtering(batch, deleteHorizonMs: setsHorizon ? newHorizonMs : nil) {
            kept.contains($0.offsetDelta)
        }.map { .replace($0) } ?? .keep
    }

    /// A record without a key should not be there; it has no later one, so it stays.
    private func stays(_ record: Record, _ header: RecordBatchHeader, _ tombstonesStay: Bool) -> Bool {
        guard let key = record.key else { return true }
        guard !map.isSuperseded(key, at: header.baseOffset + Int64(record.offsetDelta)) else { return false }
        return record.value != nil || tombstonesStay
    }
}
