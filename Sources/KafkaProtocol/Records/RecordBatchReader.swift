public import NIOCore

/// Opens one batch, of any codec, and gives its records one by one.
///
/// - Bound: a compressed payload is refused when it would grow over `decompressedBytesMax`, and every count is checked against
///   the bytes that are there before memory is taken for it.
/// - A batch of a producer has a record for each offset; a stored one (``init(stored:decompressedBytesMax:)``) may have gaps,
///   because compaction takes records out, down to none.
/// - The checksum is not checked here: ``RecordBatch`` does that.
public struct RecordBatchReader: Sendable {
    public static let defaultDecompressedBytesMax = 64 << 20

    public let header: RecordBatchHeader
    private let isDense: Bool
    private var cursor: RecordCursor
    private var nextIndex: Int32 = 0
    private var lastOffsetDelta: Int32 = -1

    /// `batch` begins at the reader index of the buffer; bytes after it are ignored.
    public init(
        _ batch: ByteBuffer, decompressedBytesMax: Int = RecordBatchReader.defaultDecompressedBytesMax
    ) throws(RecordBatchError) {
        try self.init(batch, isDense: true, decompressedBytesMax: decompressedBytesMax)
    }

    /// The same for a batch of a log that may have been compacted. Source: Kafka 4.3, `Cleaner`.
    public init(
        stored batch: ByteBuffer, decompressedBytesMax: Int = RecordBatchReader.defaultDecompressedBytesMax
    ) throws(RecordBatchError) {
        try self.init(batch, isDense: false, decompressedBytesMax: decompressedBytesMax)
    }

    private init(_ batch: ByteBuffer, isDense: Bool, decompressedBytesMax: Int) throws(RecordBatchError) {
        header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        self.isDense = isDense
        cursor = RecordCursor(try RecordBatch.payload(of: batch, header, limitBytes: decompressedBytesMax))
    }

    /// The next record, or nil after the last.
    public mutating func next() throws(RecordBatchError) -> Record? {
        guard var record = try nextAsWritten() else { return nil }
        if header.usesLogAppendTime { record.timestampMs = header.maxTimestamp }
        return record
    }

    /// With the producer's time even where the broker's takes its place.
    mutating func nextAsWritten() throws(RecordBatchError) -> Record? {
        guard nextIndex < header.recordCount else {
            let left = cursor.remainingBytes
            guard left == 0 else { throw .recordMalformed(index: Int(nextIndex), reason: .trailingBytes(left)) }
            return nil
        }
        do {
            let offsetDeltas = header.offsetDeltas(isDense: isDense, after: lastOffsetDelta)
            let record = try cursor.record(offsetDeltas: offsetDeltas, baseTimestamp: header.baseTimestamp)
            lastOffsetDelta = record.offsetDelta
            nextIndex += 1
            return record
        } catch {
            throw .recordMalformed(index: Int(nextIndex), reason: error)
        }
    }

    /// All records that are left.
    public mutating func readAll() throws(RecordBatchError) -> [Record] {
        var records: [Record] = []
        records.reserveCapacity(min(Int(header.recordCount), cursor.remainingBytes / Record.sizeBytesMin))
        while let record = try next() { records.append(record) }
        return records
    }
}

extension RecordBatchHeader {
    /// What the offset delta may be of the record after the one with `last`, -1 for the first.
    func offsetDeltas(isDense: Bool, after last: Int32) -> (min: Int32, max: Int32) {
        let next = last == .max ? last : last + 1
        return (min: next, max: isDense ? next : lastOffsetDelta)
    }
}
