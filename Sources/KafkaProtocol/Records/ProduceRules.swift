public import NIOCore

/// What a topic and a request demand of a batch of a producer.
///
/// Source: Kafka 4.3, `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`.
public struct ProduceRules: Sendable, Equatable {
    /// Kafka's `message.timestamp.type`.
    public enum TimestampType: Sendable, Equatable {
        /// Records keep the time that the producer gave them.
        case createTime
        /// All records have the time when the broker took the batch.
        case logAppendTime
    }

    /// Kafka's `compression.type`.
    public enum CompressionTarget: Sendable, Equatable {
        /// Batches stay as the producer compressed them.
        case producer
        /// A batch of another codec is compressed again; the level of one with this codec is not looked at.
        case codec(RecordBatchBuilder.Codec)
    }

    /// Every record must have a key.
    public var isCompacted = false
    /// Kafka's `max.message.bytes`, for the whole batch with its header.
    public var batchBytesMax = 1_048_588
    public var timestampType = TimestampType.createTime
    /// Kafka's `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`. A record without a time (-1) passes.
    public var beforeMaxMs = Int64.max
    public var afterMaxMs: Int64 = 3_600_000
    public var nowMs: Int64
    public var compression = CompressionTarget.producer
    /// Version of the Produce request; zstd needs 7.
    public var produceVersion: Int16 = ProduceRequest.versions.upperBound
    /// Bound of memory, not a rule of Kafka.
    public var decompressedBytesMax = RecordBatchReader.defaultDecompressedBytesMax

    public init(nowMs: Int64) {
        self.nowMs = nowMs
    }

    /// The times that records may have.
    var timestampsMs: ClosedRange<Int64> {
        guard timestampType == .createTime else { return .min ... .max }
        let (earliest, isEarliestOver) = nowMs.subtractingReportingOverflow(max(0, beforeMaxMs))
        let (latest, isLatestOver) = nowMs.addingReportingOverflow(max(0, afterMaxMs))
        return (isEarliestOver ? .min : earliest)...(isLatestOver ? .max : latest)
    }
}

/// A batch that may enter a log, as it is to be stored but for base offset and leader epoch.
public struct AdmittedBatch: Sendable, Equatable {
    /// The buffer that was given, not copied, unless the rules demanded other bytes.
    public let batch: ByteBuffer
    /// Of ``batch``.
    public let header: RecordBatchHeader
    /// Of the records; `nowMs` where the time of the append counts.
    public let maxTimestampMs: Int64
    /// Offset delta of the first record with that time.
    public let maxTimestampOffsetDelta: Int32
    /// Bytes of the records, decompressed.
    public let openedBytes: Int
}

/// Why a batch does not enter a log: what the Produce response says of the partition.
public struct BatchRefusal: Error, Equatable, Sendable {
    /// More records than this are counted in the message, not listed.
    public static let recordErrorsMax = 100

    public let code: ErrorCode
    public let message: String
    /// By place in the batch, where single records are at fault.
    public let recordErrors: [ProduceResponse.RecordError]

    public init(_ code: ErrorCode, _ message: String, recordErrors: [ProduceResponse.RecordError] = []) {
        self.code = code
        self.message = message
        self.recordErrors = recordErrors
    }

    /// What the bytes of a batch alone say.
    public init(_ error: RecordBatchError) {
        let code: ErrorCode =
            switch error {
            case .checksumMismatch, .lengthInvalid: .corruptMessage
            case .compressionUnknown, .unsupportedCompression: .unsupportedCompressionType
            // The client may split the batch and send again.
            case .decompressedTooLarge: .messageTooLarge
            case .timestampsInvalid: .invalidTimestamp
            case .truncated, .magicUnsupported, .countInvalid, .trailingBytes, .decompressionFailed, .recordMalformed:
                .invalidRecord
            }
        self.init(code, "\(error)")
    }
}
