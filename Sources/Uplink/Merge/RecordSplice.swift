import CChecksum
import CZstd
import KafkaProtocol
import NIOCore

/// Joins the records of uncompressed batches into one batch without opening keys, values and headers: only the lengths are
/// walked, and the two deltas rewritten.
///
/// - Records must be well-formed and dense, or `append` refuses the batch: what one sender garbled must not spoil the
///   batches of others that it would be joined with.
/// - Source: Kafka protocol guide, Record Batch and Record.
struct RecordSplice {
    /// Room for the header, then the records.
    private var buffer = ByteBuffer()
    private(set) var count = 0
    private var baseTimestamp: Int64 = 0
    private var maxTimestamp: Int64 = Int64.min

    /// `batchBytes` and `recordCount` of all that will be appended, to reserve once.
    init(batchBytes: Int, recordCount: Int) {
        buffer.reserveCapacity(batchBytes + recordCount * Self.growthMax)
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.sizeBytes)
    }

    /// Appends the records of a whole batch without codec and attributes. False, and unusable from then on, if its records
    /// are not as its header says.
    mutating func append(_ batch: ByteBuffer, header: RecordBatchHeader) -> Bool {
        guard header.recordCount > 0, batch.readableBytes == header.totalSizeBytes else { return false }
        if count == 0 { baseTimestamp = header.baseTimestamp }
        var splice = Splice(
            nextOffset: count, batchTimestamp: header.baseTimestamp, baseTimestamp: baseTimestamp)
        let roomBytes = batch.readableBytes + Int(header.recordCount) * Self.growthMax
        let isWhole = batch.withUnsafeReadableBytes { bytes in
            guard Int(header.recordCount) <= bytes.count / Self.recordBytesMin else { return false }
            let payload = UnsafeRawBufferPointer(rebasing: bytes[RecordBatchHeader.sizeBytes...])
            var isWhole = false
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: roomBytes) { to in
                isWhole = splice.records(Int(header.recordCount), of: payload, into: to)
                return splice.writtenBytes
            }
            return isWhole
        }
        count = splice.nextOffset
        maxTimestamp = max(maxTimestamp, splice.maxTimestamp)
        return isWhole
    }

    /// The batch, with base offset 0: compressed if that makes it smaller. Nil if it would be no batch that passes
    /// `RecordBatch.validate`: without records, or with all times before the time that the first sender called its base.
    consuming func finish(zstdLevel: Int32) -> ByteBuffer? {
        guard count > 0, maxTimestamp >= baseTimestamp else { return nil }
        let compressed = compress(level: zstdLevel)
        var batch = compressed ?? buffer
        let begin = batch.readerIndex
        batch.setInteger(Int32(batch.readableBytes - 12), at: begin + 8)
        batch.setInteger(Int32(-1), at: begin + 12)
        batch.setInteger(Int8(2), at: begin + 16)
        batch.setInteger(Int16((compressed == nil ? Compression.none : .zstd).rawValue), at: begin + 21)
        batch.setInteger(Int32(count - 1), at: begin + 23)
        batch.setInteger(baseTimestamp, at: begin + 27)
        batch.setInteger(maxTimestamp, at: begin + 35)
        batch.setInteger(Int64(-1), at: begin + 43)
        batch.setInteger(Int16(-1), at: begin + 51)
        batch.setInteger(Int32(-1), at: begin + 53)
        batch.setInteger(Int32(count), at: begin + 57)
        let crc = batch.withUnsafeReadableBytes { bytes in
            let checked = UnsafeRawBufferPointer(rebasing: bytes[21...])
            return cairn_crc32c(0, checked.baseAddress, checked.count)
        }
        batch.setInteger(crc, at: begin + 17)
        return batch
    }

    /// Header room and one zstd frame; nil where that would not be smaller.
    private func compress(level: Int32) -> ByteBuffer? {
        let headerBytes = RecordBatchHeader.sizeBytes
        let limitBytes = buffer.readableBytes - headerBytes - 1
        guard limitBytes > 0 else { return nil }
        var compressed = ByteBuffer()
        compressed.reserveCapacity(buffer.readableBytes)
        compressed.writeRepeatingByte(0, count: headerBytes)
        let writtenBytes = buffer.withUnsafeReadableBytes { whole in
            let from = UnsafeRawBufferPointer(rebasing: whole[headerBytes...])
            return compressed.writeWithUnsafeMutableBytes(minimumWritableBytes: limitBytes) { to in
                let result = ZSTD_compress(to.baseAddress, limitBytes, from.baseAddress, from.count, level)
                // The destination is smaller than the source: an error means that the source does not shrink.
                return ZSTD_isError(result) == 0 ? result : 0
            }
        }
        return writtenBytes == 0 ? nil : compressed
    }

    /// By how much a record can grow: its length, timestamp delta and offset delta were one byte each and become 5, 10 and 5.
    private static let growthMax = 17
    /// Length, attributes, two deltas, two null lengths, header count.
    private static let recordBytesMin = 7
}

/// The walk over one batch's records.
private struct Splice {
    var nextOffset: Int
    let batchTimestamp: Int64
    let baseTimestamp: Int64
    var maxTimestamp = Int64.min
    var writtenBytes = 0

    init(nextOffset: Int, batchTimestamp: Int64, baseTimestamp: Int64) {
        self.nextOffset = nextOffset
        self.batchTimestamp = batchTimestamp
        self.baseTimestamp = baseTimestamp
    }

    /// `to` has room for `from` and 17 bytes more for each record.
    mutating func records(_ count: Int, of from: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer) -> Bool
    {
        var cursor = VarintCursor(bytes: from)
        for index in 0..<count {
            guard let lengthBytes = cursor.length(limit: from.count), lengthBytes > 0 else { return false }
            let end = cursor.position + lengthBytes
            let attributes = from[cursor.position]
            cursor.position += 1
            guard let timestampDelta = cursor.varint(limit: end), let offsetDelta = cursor.varint(limit: end),
                offsetDelta == Int64(index)
            else { return false }
            let rest = cursor.position
            guard cursor.skipContent(end: end) else { return false }
            // Timestamps are data and may be absurd; readers wrap the same way.
            let timestamp = batchTimestamp &+ timestampDelta
            maxTimestamp = max(maxTimestamp, timestamp)
            let delta = timestamp &- baseTimestamp
            let bodyBytes = 1 + varintBytes(delta) + varintBytes(Int64(nextOffset)) + end - rest
            writeVarint(Int64(bodyBytes), to)
            to[writtenBytes] = attributes
            writtenBytes += 1
            writeVarint(delta, to)
            writeVarint(Int64(nextOffset), to)
            UnsafeMutableRawBufferPointer(rebasing: to[writtenBytes..<(writtenBytes + end - rest)])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: from[rest..<end]))
            writtenBytes += end - rest
            nextOffset += 1
        }
        return cursor.position == from.count
    }

    private mutating func writeVarint(_ value: Int64, _ to: UnsafeMutableRawBufferPointer) {
        var bits = zigzag(value)
        while bits >= 0x80 {
            to[writtenBytes] = UInt8(truncatingIfNeeded: bits) | 0x80
            writtenBytes += 1
            bits >>= 7
        }
        to[writtenBytes] = UInt8(truncatingIfNeeded: bits)
        writtenBytes += 1
    }
}

private func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

private func varintBytes(_ value: Int64) -> Int { (70 - (zigzag(value) | 1).leadingZeroBitCount) / 7 }

/// Zigzag varints, seven bits a byte, lowest first. Nothing is read at or behind a given limit.
private struct VarintCursor {
    let bytes: UnsafeRawBufferPointer
    var position = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func varint(limit: Int) -> Int64? {
        var bits: UInt64 = 0
        var shift: UInt64 = 0
        while position < limit, shift < 64 {
            let byte = bytes[position]
            position += 1
            bits |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return Int64(bitPattern: bits >> 1) ^ -Int64(bitPattern: bits & 1) }
            shift += 7
        }
        return nil
    }

    /// A count of bytes that are there before `limit`.
    mutating func length(limit: Int) -> Int? {
        guard let value = varint(limit: limit), value >= 0, value <= Int64(limit - position) else { return nil }
        return Int(value)
    }

    /// Key, value and headers, which must end exactly at `end`.
    mutating func skipContent(end: Int) -> Bool {
        guard skipNullable(end: end), skipNullable(end: end), let headers = length(limit: end) else { return false }
        for _ in 0..<headers {
            guard let keyBytes = length(limit: end), isUTF8(position..<(position + keyBytes)) else { return false }
            position += keyBytes
            guard skipNullable(end: end) else { return false }
        }
        return position == end
    }

    private func isUTF8(_ range: Range<Int>) -> Bool {
        let text = UnsafeRawBufferPointer(rebasing: bytes[range])
        return text.allSatisfy { $0 < 0x80 } || String(validating: text, as: UTF8.self) != nil
    }

    /// -1 is null.
    private mutating func skipNullable(end: Int) -> Bool {
        guard let value = varint(limit: end), value >= -1, value <= Int64(end - position) else { return false }
        position += max(0, Int(value))
        return true
    }
}
