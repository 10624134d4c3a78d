import CChecksum
public import NIOCore

/// Writes records into one batch.
///
/// - Order: a record's offset is its place; `offsetDelta` of what is appended is not looked at.
/// - Bound: the caller watches ``sizeBytes``; a batch may not reach 2 GiB.
/// - A payload that zstd does not make smaller is stored as it is.
public struct RecordBatchBuilder: Sendable {
    public enum Codec: Sendable, Equatable {
        case none
        /// 1 is fast, 19 is small. Level 1 suits GNSS streams.
        case zstd(level: Int32)
    }

    private let codec: Codec
    private let attributes: Int16
    private let producerID: Int64
    private let producerEpoch: Int16
    private var baseSequence: Int32
    /// Room for the header, then the records.
    private var buffer = ByteBuffer()
    private var baseTimestamp: Int64 = -1
    private var maxTimestamp: Int64 = -1
    /// Records so far.
    public private(set) var count = 0

    /// - Parameter capacityBytes: what the batch will measure, where the caller knows it: saves growing.
    public init(
        compression: Codec = .none, producerID: Int64 = -1, producerEpoch: Int16 = -1, baseSequence: Int32 = -1,
        isTransactional: Bool = false, isControl: Bool = false, capacityBytes: Int = 0
    ) {
        self.codec = compression
        self.producerID = producerID
        self.producerEpoch = producerEpoch
        self.baseSequence = baseSequence
        attributes = (isTransactional ? 1 << 4 : 0) | (isControl ? 1 << 5 : 0)
        buffer.reserveCapacity(max(capacityBytes, RecordBatchHeader.sizeBytes))
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.sizeBytes)
    }

    /// Header and records before compression: what ``finish()`` gives at most.
    public var sizeBytes: Int { buffer.readableBytes }
    public var isEmpty: Bool { count == 0 }

    public mutating func append(_ record: Record) {
        append(timestampMs: record.timestampMs, key: record.key, value: record.value, headers: record.headers)
    }

    public mutating func append(
        timestampMs: Int64, key: ByteBuffer? = nil, value: ByteBuffer?, headers: [RecordHeader] = []
    ) {
        if count == 0 {
            baseTimestamp = timestampMs
            maxTimestamp = timestampMs
        }
        maxTimestamp = max(maxTimestamp, timestampMs)
        // Timestamps are data and may be absurd; the reader wraps the same way.
        let timestampDelta = timestampMs &- baseTimestamp
        let bodyBytes = Self.bodyBytes(timestampDelta, Int64(count), key, value, headers)
        buffer.writeVarint(Int64(bodyBytes))
        buffer.writeInteger(UInt8(0))
        buffer.writeVarint(timestampDelta)
        buffer.writeVarint(Int64(count))
        buffer.writeRecordBytes(key)
        buffer.writeRecordBytes(value)
        buffer.writeVarint(Int64(headers.count))
        for header in headers {
            buffer.writeVarint(Int64(header.key.utf8.count))
            buffer.writeString(header.key)
            buffer.writeRecordBytes(header.value)
        }
        count += 1
        precondition(buffer.readableBytes <= Int(Int32.max), "a batch of \(buffer.readableBytes) bytes")
    }

    /// The batch, with base offset 0 and no leader epoch. There must be a record.
    ///
    /// Copies the batch where the caller still holds the builder; ``flush()`` never does.
    public consuming func finish() -> ByteBuffer { flush() }

    /// The same, and begins an empty batch of the same kind, its sequences going on.
    public mutating func flush() -> ByteBuffer {
        precondition(count > 0, "a batch without records")
        // Out of the builder, so that the header is set in place and not in a copy.
        var batch = ByteBuffer()
        swap(&batch, &buffer)
        var stored = Compression.none
        if case .zstd(let level) = codec,
            let compressed = Zstd.compress(batch, skipping: RecordBatchHeader.sizeBytes, level: level)
        {
            batch = compressed
            stored = .zstd
        }
        writeHeader(into: &batch, codec: stored)
        if baseSequence >= 0 { baseSequence = Int32(truncatingIfNeeded: Int(baseSequence) + count) & .max }
        count = 0
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.sizeBytes)
        return batch
    }

    private func writeHeader(into batch: inout ByteBuffer, codec: Compression) {
        let begin = batch.readerIndex
        batch.setInteger(Int32(batch.readableBytes - RecordBatchHeader.overheadBytes), at: begin + 8)
        batch.setInteger(Int32(-1), at: begin + 12)
        batch.setInteger(Int8(2), at: begin + 16)
        batch.setInteger(attributes | Int16(codec.rawValue), at: begin + 21)
        batch.setInteger(Int32(count - 1), at: begin + 23)
        batch.setInteger(baseTimestamp, at: begin + 27)
        batch.setInteger(maxTimestamp, at: begin + 35)
        batch.setInteger(producerID, at: begin + 43)
        batch.setInteger(producerEpoch, at: begin + 51)
        batch.setInteger(baseSequence, at: begin + 53)
        batch.setInteger(Int32(count), at: begin + 57)
        let crc = batch.withUnsafeReadableBytes { bytes in
            let checked = UnsafeRawBufferPointer(rebasing: bytes[RecordBatch.checkedOffset...])
            return cairn_crc32c(0, checked.baseAddress, checked.count)
        }
        batch.setInteger(crc, at: begin + RecordBatch.crcOffset)
    }

    private static func bodyBytes(
        _ timestampDelta: Int64, _ offsetDelta: Int64, _ key: ByteBuffer?, _ value: ByteBuffer?,
        _ headers: [RecordHeader]
    ) -> Int {
        var size = 1 + timestampDelta.varintBytes + offsetDelta.varintBytes
        size += recordBytes(key) + recordBytes(value) + Int64(headers.count).varintBytes
        for header in headers {
            let keyBytes = header.key.utf8.count
            size += Int64(keyBytes).varintBytes + keyBytes + recordBytes(header.value)
        }
        return size
    }

    private static func recordBytes(_ bytes: ByteBuffer?) -> Int {
        guard let bytes else { return 1 }
        return Int64(bytes.readableBytes).varintBytes + bytes.readableBytes
    }
}

extension Int64 {
    fileprivate var zigzag: UInt64 { UInt64(bitPattern: self << 1 ^ self >> 63) }
    /// Bytes of the zigzag varint.
    fileprivate var varintBytes: Int { (70 - (zigzag | 1).leadingZeroBitCount) / 7 }
}

extension ByteBuffer {
    fileprivate mutating func writeVarint(_ value: Int64) {
        var bits = value.zigzag
        while bits >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: bits) | 0x80)
            bits >>= 7
        }
        writeInteger(UInt8(bits))
    }

    fileprivate mutating func writeRecordBytes(_ bytes: ByteBuffer?) {
        writeVarint(Int64(bytes?.readableBytes ?? -1))
        if let bytes { writeImmutableBuffer(bytes) }
    }
}
