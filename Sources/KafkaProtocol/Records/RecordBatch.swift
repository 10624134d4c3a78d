import CChecksum
public import NIOCore

/// What can be done with whole record batches without opening them.
public enum RecordBatch {
    /// Where the length and the CRC-32C stand, and where what the CRC covers begins.
    static let lengthOffset = 8
    static let crcOffset = 17
    static let checkedOffset = 21

    /// Checks `buffer` as batches back to back and returns their headers; an empty buffer has none.
    ///
    /// Length, magic, codec, CRC-32C, `recordCount == lastOffsetDelta + 1 > 0` and the order of the timestamps are checked;
    /// the records are not looked at. A batch cut off at the end is an error.
    public static func validate(_ buffer: ByteBuffer) throws(RecordBatchError) -> [RecordBatchHeader] {
        try validate(buffer, isDense: true)
    }

    /// The same for batches of a log that may have been compacted: `recordCount` may be anything from 0 to
    /// `lastOffsetDelta + 1`.
    public static func validateStored(_ buffer: ByteBuffer) throws(RecordBatchError) -> [RecordBatchHeader] {
        try validate(buffer, isDense: false)
    }

    private static func validate(
        _ buffer: ByteBuffer, isDense: Bool
    ) throws(RecordBatchError) -> [RecordBatchHeader] {
        let result = buffer.withUnsafeReadableBytes { bytes -> Result<[RecordBatchHeader], RecordBatchError> in
            var headers: [RecordBatchHeader] = []
            var offset = 0
            while offset < bytes.count {
                switch check(bytes, at: offset, isDense: isDense) {
                case .failure(let error): return .failure(error)
                case .success(let header):
                    headers.append(header)
                    offset += header.totalSizeBytes
                }
            }
            return .success(headers)
        }
        return try result.get()
    }

    /// The same for a buffer that must hold exactly one batch. Does not allocate.
    public static func validateOne(_ buffer: ByteBuffer) throws(RecordBatchError) -> RecordBatchHeader {
        try validateOne(buffer, isDense: true)
    }

    /// ``validateStored(_:)`` for a buffer that must hold exactly one batch. Does not allocate.
    public static func validateOneStored(_ buffer: ByteBuffer) throws(RecordBatchError) -> RecordBatchHeader {
        try validateOne(buffer, isDense: false)
    }

    private static func validateOne(
        _ buffer: ByteBuffer, isDense: Bool
    ) throws(RecordBatchError) -> RecordBatchHeader {
        let result = buffer.withUnsafeReadableBytes { check($0, at: 0, isDense: isDense) }
        let header = try result.get()
        guard header.totalSizeBytes == buffer.readableBytes else {
            throw .trailingBytes(batchBytes: header.totalSizeBytes, bufferBytes: buffer.readableBytes)
        }
        return header
    }

    /// Looks at every record of a batch that ``validateOne(_:)`` let pass, without making anything of them: lengths, dense
    /// offset deltas, header names, and that the payload ends with the last record. What a broker owes its consumers before it
    /// stores the batch of a stranger; costs some 10 ns a record. Compressed batches are not opened and pass: ``admit(_:rules:)``
    /// opens them.
    public static func validateRecords(of batch: ByteBuffer) throws(RecordBatchError) {
        let header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        guard header.compression == .none else { return }
        guard header.totalSizeBytes <= batch.readableBytes else {
            throw .truncated(neededBytes: header.totalSizeBytes, availableBytes: batch.readableBytes)
        }
        let error = batch.withUnsafeReadableBytes { bytes in
            let payload = bytes[RecordBatchHeader.sizeBytes..<header.totalSizeBytes]
            return firstDefect(UnsafeRawBufferPointer(rebasing: payload), recordCount: header.recordCount)
        }
        if let error { throw error }
    }

    private static func firstDefect(_ payload: UnsafeRawBufferPointer, recordCount: Int32) -> RecordBatchError? {
        var scanner = RecordScanner(payload)
        var number: Int32 = 0
        do {
            while number < recordCount {
                try scanner.skip(offsetDeltas: (min: number, max: number))
                number += 1
            }
        } catch {
            return .recordMalformed(index: Int(number), reason: error)
        }
        let left = scanner.remainingBytes
        return left == 0 ? nil : .recordMalformed(index: Int(number), reason: .trailingBytes(left))
    }

    /// Sets base offset and leader epoch of the batch that begins at absolute index `index`. The CRC stays right: it does
    /// not cover them. Copies the storage first if `buffer` shares it. The batch must be there.
    public static func setBaseOffset(_ offset: Int64, leaderEpoch: Int32, in buffer: inout ByteBuffer, at index: Int) {
        precondition(
            index >= buffer.readerIndex && buffer.writerIndex - index >= RecordBatchHeader.sizeBytes,
            "no batch at \(index) of \(buffer.readerIndex)..<\(buffer.writerIndex)")
        buffer.setInteger(offset, at: index)
        buffer.setInteger(leaderEpoch, at: index + RecordBatchHeader.overheadBytes)
    }

    private static func check(
        _ bytes: UnsafeRawBufferPointer, at offset: Int, isDense: Bool
    ) -> Result<RecordBatchHeader, RecordBatchError> {
        let parsed = RecordBatchHeader.parse(bytes, at: offset)
        guard case .success(let header) = parsed else { return parsed }
        let availableBytes = bytes.count - offset
        guard header.totalSizeBytes <= availableBytes else {
            return .failure(.truncated(neededBytes: header.totalSizeBytes, availableBytes: availableBytes))
        }
        if let error = checkCRC(UnsafeRawBufferPointer(rebasing: bytes[offset...]), header) { return .failure(error) }
        if let error = isDense ? checkFields(header) : checkStoredFields(header) { return .failure(error) }
        return .success(header)
    }

    /// `bytes` begin with the batch and hold all of it.
    static func checkCRC(_ bytes: UnsafeRawBufferPointer, _ header: RecordBatchHeader) -> RecordBatchError? {
        let checked = UnsafeRawBufferPointer(rebasing: bytes[checkedOffset..<header.totalSizeBytes])
        let computed = cairn_crc32c(0, checked.baseAddress, checked.count)
        return computed == header.crc ? nil : .checksumMismatch(stored: header.crc, computed: computed)
    }

    /// The records of a batch as bytes, decompressed where they are compressed. A batch without records has none.
    static func payload(
        of batch: ByteBuffer, _ header: RecordBatchHeader, limitBytes: Int
    ) throws(RecordBatchError) -> ByteBuffer {
        guard header.recordCount >= 0 else { throw header.countError }
        let begin = batch.readerIndex + RecordBatchHeader.sizeBytes
        guard let payload = batch.getSlice(at: begin, length: header.payloadSizeBytes) else {
            throw .truncated(neededBytes: header.totalSizeBytes, availableBytes: batch.readableBytes)
        }
        if header.recordCount == 0, payload.readableBytes == 0 { return payload }
        return try PayloadCodec.decompress(payload, header.compression, limitBytes: limitBytes)
    }

    private static func checkFields(_ header: RecordBatchHeader) -> RecordBatchError? {
        let count = header.recordCount
        guard count > 0, count - 1 == header.lastOffsetDelta, header.hasRoomForRecords else { return header.countError }
        if !header.usesLogAppendTime, !header.hasDeleteHorizon, header.maxTimestamp < header.baseTimestamp {
            return .timestampsInvalid(baseMs: header.baseTimestamp, maxMs: header.maxTimestamp)
        }
        return nil
    }

    private static func checkStoredFields(_ header: RecordBatchHeader) -> RecordBatchError? {
        let count = header.recordCount
        // The difference cannot overflow: both are at least 0.
        guard count >= 0, header.lastOffsetDelta >= 0, count - 1 <= header.lastOffsetDelta, header.hasRoomForRecords
        else { return header.countError }
        return nil
    }
}

extension RecordBatchHeader {
    /// Without compression a record takes at least Record.sizeBytesMin, which unmasks a count that would cost memory.
    var hasRoomForRecords: Bool {
        compression != .none || Int(recordCount) * Record.sizeBytesMin <= payloadSizeBytes
    }

    var countError: RecordBatchError {
        .countInvalid(recordCount: recordCount, lastOffsetDelta: lastOffsetDelta, payloadBytes: payloadSizeBytes)
    }
}
