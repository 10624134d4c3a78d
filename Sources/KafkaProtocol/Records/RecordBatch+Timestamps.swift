public import NIOCore

/// A record by where and when it is: what ListOffsets answers.
public struct RecordPosition: Sendable, Equatable {
    public var offset: Int64
    public var timestampMs: Int64

    public init(offset: Int64, timestampMs: Int64) {
        self.offset = offset
        self.timestampMs = timestampMs
    }
}

extension RecordBatch {
    /// The first record of a stored batch that is at `timestampMs` or later; nil where none is. Rule L2.
    public static func firstRecord(
        in batch: ByteBuffer, atOrAfter timestampMs: Int64
    ) throws(RecordBatchError) -> RecordPosition? {
        try position(in: batch) { candidate, _ in
            candidate.timestampMs >= timestampMs ? .stopAtThis : .skip
        }
    }

    /// The first of the records of a stored batch that have its largest timestamp; nil for a batch without records. Rule L1.
    public static func recordWithMaxTimestamp(in batch: ByteBuffer) throws(RecordBatchError) -> RecordPosition? {
        try position(in: batch) { candidate, best in
            guard let best else { return .remember }
            return candidate.timestampMs > best.timestampMs ? .remember : .skip
        }
    }

    /// The batch with the times of all its records moved and a new checksum; nil for bytes that are no single batch, and for one
    /// whose times are a broker's or have another meaning.
    public static func moved(_ batch: ByteBuffer, byMs: Int64) -> ByteBuffer? {
        guard var header = try? RecordBatchHeader(reading: batch, at: batch.readerIndex),
            header.totalSizeBytes == batch.readableBytes, !header.usesLogAppendTime, !header.hasDeleteHorizon,
            !header.isControl
        else { return nil }
        // The times of records are kept as differences to this one.
        header.baseTimestamp &+= byMs
        header.maxTimestamp &+= byMs
        var moved = batch
        header.seal(&moved)
        return moved
    }

    private enum Choice {
        case skip
        case remember
        case stopAtThis
    }

    private static func position(
        in batch: ByteBuffer, _ choose: (RecordPosition, RecordPosition?) -> Choice
    ) throws(RecordBatchError) -> RecordPosition? {
        let header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        let limitBytes = RecordBatchReader.defaultDecompressedBytesMax
        let payload = try payload(of: batch, header, limitBytes: limitBytes)
        let result = payload.withUnsafeReadableBytes { walk($0, header, choose) }
        return try result.get()
    }

    private static func walk(
        _ payload: UnsafeRawBufferPointer, _ header: RecordBatchHeader,
        _ choose: (RecordPosition, RecordPosition?) -> Choice
    ) -> Result<RecordPosition?, RecordBatchError> {
        var scanner = RecordScanner(payload)
        var best: RecordPosition?
        var number: Int32 = 0
        do {
            while number < header.recordCount {
                try scanner.skip(offsetDeltas: header.offsetDeltas(isDense: false, after: scanner.offsetDelta))
                let writtenMs = header.baseTimestamp &+ scanner.timestampDelta
                let candidate = RecordPosition(
                    offset: header.baseOffset &+ Int64(scanner.offsetDelta),
                    timestampMs: header.usesLogAppendTime ? header.maxTimestamp : writtenMs)
                switch choose(candidate, best) {
                case .skip: break
                case .remember: best = candidate
                case .stopAtThis: return .success(candidate)
                }
                number += 1
            }
        } catch {
            return .failure(.recordMalformed(index: Int(number), reason: error))
        }
        return .success(best)
    }
}
