public import NIOCore

/// Opens one batch and gives its records one by one.
///
/// - Bound: a compressed payload is refused when it would grow over `decompressedBytesMax`, and every count is checked against
///   the bytes that are there before memory is taken for it.
/// - Codecs: none and zstd; others throw `unsupportedCompression`.
/// - The checksum is not checked here: ``RecordBatch/validateOne(_:)`` does that.
public struct RecordBatchReader: Sendable {
    public static let defaultDecompressedBytesMax = 64 << 20

    public let header: RecordBatchHeader
    private var cursor: RecordCursor
    private var nextIndex: Int32 = 0

    /// `batch` begins at the reader index of the buffer; bytes after it are ignored.
    public init(
        _ batch: ByteBuffer, decompressedBytesMax: Int = RecordBatchReader.defaultDecompressedBytesMax
    ) throws(RecordBatchError) {
        header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        let begin = batch.readerIndex + RecordBatchHeader.sizeBytes
        guard header.recordCount >= 0 else {
            throw .countInvalid(
                recordCount: header.recordCount, lastOffsetDelta: header.lastOffsetDelta,
                payloadBytes: header.payloadSizeBytes)
        }
        guard let payload = batch.getSlice(at: begin, length: header.payloadSizeBytes) else {
            throw .truncated(neededBytes: header.totalSizeBytes, availableBytes: batch.readableBytes)
        }
        switch header.compression {
        case .none: cursor = RecordCursor(payload)
        case .zstd: cursor = RecordCursor(try Zstd.decompress(payload, limitBytes: decompressedBytesMax))
        case .gzip, .snappy, .lz4: throw .unsupportedCompression(header.compression)
        }
    }

    /// The next record, or nil after the last. Records must be dense: record number n has offset delta n.
    public mutating func next() throws(RecordBatchError) -> Record? {
        guard nextIndex < header.recordCount else {
            let left = cursor.remainingBytes
            guard left == 0 else { throw .recordMalformed(index: Int(nextIndex), reason: .trailingBytes(left)) }
            return nil
        }
        do {
            var record = try cursor.record(number: nextIndex, baseTimestamp: header.baseTimestamp)
            if header.usesLogAppendTime { record.timestampMs = header.maxTimestamp }
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
