/// Why bytes are not a record batch that we take. A caller answers CORRUPT_MESSAGE for a checksum and INVALID_RECORD or
/// UNSUPPORTED_COMPRESSION_TYPE for the rest.
public enum RecordBatchError: Error, Equatable, Sendable {
    /// The buffer ends inside the batch.
    case truncated(neededBytes: Int, availableBytes: Int)
    /// The length field is smaller than a header.
    case lengthInvalid(lengthBytes: Int32)
    /// Only batches of magic 2 exist since Kafka 0.11.
    case magicUnsupported(Int8)
    case checksumMismatch(stored: UInt32, computed: UInt32)
    /// The header must count at least one record, one for each offset, and no more than its bytes can hold.
    case countInvalid(recordCount: Int32, lastOffsetDelta: Int32, payloadBytes: Int)
    /// The largest timestamp is smaller than the first.
    case timestampsInvalid(baseMs: Int64, maxMs: Int64)
    /// One batch was asked for and the buffer goes on after it.
    case trailingBytes(batchBytes: Int, bufferBytes: Int)
    /// A codec number that the protocol does not define.
    case compressionUnknown(codec: UInt8)
    /// A codec of Kafka that may not be used where the batch is to go.
    case unsupportedCompression(Compression)
    /// The codec refused the payload.
    case decompressionFailed(reason: String)
    case decompressedTooLarge(limitBytes: Int)
    /// Record number `index` of the batch does not parse.
    case recordMalformed(index: Int, reason: RecordDefect)
}

/// What is wrong with one record inside a batch.
public enum RecordDefect: Error, Equatable, Sendable {
    case truncated
    case varintTooLong
    /// A length is negative where null is not allowed, or larger than the record.
    case lengthInvalid(Int64)
    case offsetDeltaInvalid(expected: Int32, found: Int64)
    case headerKeyNotUTF8
    /// A control record without version and type in its key, or without what its type demands in its value.
    case controlInvalid
    /// Bytes are left after the last field of the record, or after the last record of the batch.
    case trailingBytes(Int)
}
