public import NIOCore

extension RecordBatch {
    /// The stored batch with the records that `keep` wants; nil where that is the batch as it is.
    ///
    /// Offsets, base offset, last offset delta, producer, leader epoch and attributes stay; the codec too, unless the payload no
    /// longer gets smaller. Where no record is kept, the batch is the one of ``empty(like:)``. Rules K1 and K2.
    /// - Parameter deleteHorizonMs: when tombstones and markers of this batch may go; nil leaves what the batch says.
    public static func filtering(
        _ batch: ByteBuffer, deleteHorizonMs: Int64?, keep: (Record) -> Bool
    ) throws(RecordBatchError) -> ByteBuffer? {
        var reader = try RecordBatchReader(stored: batch)
        let header = reader.header
        var kept: [Record] = []
        while var record = try reader.nextAsWritten() {
            let writtenMs = record.timestampMs
            if header.usesLogAppendTime { record.timestampMs = header.maxTimestamp }
            guard keep(record) else { continue }
            record.timestampMs = writtenMs
            kept.append(record)
        }
        let horizonMs = deleteHorizonMs ?? header.deleteHorizonMs
        if kept.count == Int(header.recordCount), kept.isEmpty || horizonMs == header.deleteHorizonMs { return nil }
        return kept.isEmpty ? empty(like: header) : header.batch(kept, deleteHorizonMs: horizonMs)
    }

    /// A batch without records at the offsets of another, which keeps the last sequence of its producer: a header alone.
    ///
    /// As in Kafka it has no codec, no first timestamp and no delete horizon.
    public static func empty(like header: RecordBatchHeader) -> ByteBuffer {
        var empty = header
        empty.recordCount = 0
        empty.baseTimestamp = -1
        empty.attributes &= ~RecordBatchHeader.deleteHorizonBit
        return empty.batch(ByteBuffer(), .none)
    }
}

extension RecordBatchHeader {
    /// When the tombstones of the batch may go; nil where nobody has said it yet.
    public var deleteHorizonMs: Int64? { hasDeleteHorizon ? baseTimestamp : nil }

    /// Timestamps are written from the delete horizon on, or from the first record on: so Kafka has it.
    fileprivate func batch(_ records: [Record], deleteHorizonMs: Int64?) -> ByteBuffer {
        var header = self
        header.recordCount = Int32(records.count)
        header.baseTimestamp = deleteHorizonMs ?? records[0].timestampMs
        if deleteHorizonMs != nil { header.attributes |= Self.deleteHorizonBit }
        var payload = ByteBuffer()
        var maxTimestampMs = Int64.min
        for record in records {
            maxTimestampMs = max(maxTimestampMs, record.timestampMs)
            payload.writeRecord(
                timestampDelta: record.timestampMs &- header.baseTimestamp, offsetDelta: Int64(record.offsetDelta),
                key: record.key, value: record.value, headers: record.headers)
        }
        if !usesLogAppendTime { header.maxTimestamp = maxTimestampMs }
        return header.batch(payload, RecordBatchBuilder.Codec(compression))
    }
}
