import KafkaProtocol
import Ledger
import NIOCore

/// A record found by its time.
struct TimestampHit: Equatable, Sendable {
    var offset: Int64
    var timestampMs: Int64
}

/// Finds records by their timestamps: extents by the ledger's bounds, batches by their headers, records by opening one batch.
///
/// A batch that cannot be opened is answered with its first offset: never too late.
struct TimestampSearch: Sendable {
    let view: LedgerView
    let reader: ExtentReader

    /// The first record from the log start on with this timestamp or a later one, nil if there is none.
    func firstRecord(
        _ topicID: KafkaUUID, _ partition: Int32, atOrAfter timestampMs: Int64
    ) async throws(ReadError) -> TimestampHit? {
        guard let facts = view.partition(topicID, partition),
            var extent = view.extent(topicID, partition, atOrAfter: timestampMs)
        else { return nil }
        while true {
            let from = max(extent.baseOffset, facts.logStart)
            if extent.maxTimestampMs >= timestampMs,
                let hit = try await search(extent, from: from, atOrAfter: timestampMs)
            {
                return hit
            }
            guard
                let next = view.extents(topicID, partition, from: extent.lastOffset + 1, maxBytes: 1, maxCount: 1).first
            else { return nil }
            extent = next
        }
    }

    /// The first record with the largest timestamp of the partition.
    func largest(_ topicID: KafkaUUID, _ partition: Int32) async throws(ReadError) -> TimestampHit? {
        guard let facts = view.partition(topicID, partition), let extent = view.extentOfMaxTimestamp(topicID, partition)
        else { return nil }
        return try await search(
            extent, from: max(extent.baseOffset, facts.logStart), atOrAfter: extent.maxTimestampMs)
    }

    private func search(
        _ extent: Extent, from offset: Int64, atOrAfter timestampMs: Int64
    ) async throws(ReadError) -> TimestampHit? {
        var offset = offset
        while offset <= extent.lastOffset {
            let piece = try await reader.piece(extent, offset: offset)
            for batch in piece.batches where batch.lastOffset >= offset && batch.maxTimestampMs >= timestampMs {
                guard let bytes = piece.bytes(of: batch) else { continue }
                if let hit = Self.search(bytes, batch, from: offset, atOrAfter: timestampMs) { return hit }
            }
            offset = piece.endOffset
        }
        return nil
    }

    private static func search(
        _ bytes: ByteBuffer, _ batch: Piece.Batch, from offset: Int64, atOrAfter timestampMs: Int64
    ) -> TimestampHit? {
        let unopened = TimestampHit(offset: max(batch.baseOffset, offset), timestampMs: batch.maxTimestampMs)
        do throws(RecordBatchError) {
            var records = try RecordBatchReader(stored: bytes)
            while let record = try records.next() {
                let at = batch.baseOffset + Int64(record.offsetDelta)
                if at >= offset, record.timestampMs >= timestampMs {
                    return TimestampHit(offset: at, timestampMs: record.timestampMs)
                }
            }
            return nil
        } catch { return unopened }
    }
}
