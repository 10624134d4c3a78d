public import NIOCore

/// Writes records into one batch.
///
/// - Order: a record's offset is its place; `offsetDelta` of what is appended is not looked at.
/// - Bound: the caller watches ``sizeBytes``; a batch may not reach 2 GiB.
/// - A payload that the codec does not make smaller is stored as it is.
public struct RecordBatchBuilder: Sendable {
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
        buffer.writeRecord(
            timestampDelta: timestampDelta, offsetDelta: Int64(count), key: key, value: value, headers: headers)
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
        if let compressed = PayloadCodec.compress(batch, skipping: RecordBatchHeader.sizeBytes, codec) {
            batch = compressed
            stored = codec.compression
        }
        writeHeader(into: &batch, codec: stored)
        if baseSequence >= 0 { baseSequence = Int32(truncatingIfNeeded: Int(baseSequence) + count) & .max }
        count = 0
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.sizeBytes)
        return batch
    }

    private func writeHeader(into batch: inout ByteBuffer, codec: Compression) {
        var header = RecordBatchHeader()
        header.attributes = attributes | Int16(codec.rawValue)
        header.lastOffsetDelta = Int32(count - 1)
        header.baseTimestamp = baseTimestamp
        header.maxTimestamp = maxTimestamp
        header.producerID = producerID
        header.producerEpoch = producerEpoch
        header.baseSequence = baseSequence
        header.recordCount = Int32(count)
        header.seal(&batch)
    }
}
