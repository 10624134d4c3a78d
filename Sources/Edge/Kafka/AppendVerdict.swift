import KafkaProtocol
import NIOCore
import WriteAheadLog

/// What a Kafka producer is told about one batch: the one table from the log's outcomes to Kafka's error codes.
struct AppendVerdict: Equatable {
    let error: ErrorCode
    /// The offset of the first record, -1 with an error.
    let baseOffset: Int64
    /// For clients that show it (Produce 8 and later).
    let message: String?
    /// How long the client should leave us alone; it goes into the response's throttle time, which Java and librdkafka keep.
    let throttleMs: Int32

    init(error: ErrorCode, baseOffset: Int64 = -1, message: String? = nil, throttleMs: Int32 = 0) {
        self.error = error
        self.baseOffset = baseOffset
        self.message = message
        self.throttleMs = throttleMs
    }

    init(_ outcome: AppendOutcome) {
        switch outcome {
        case .appended(_, let baseOffset): self.init(error: .none, baseOffset: baseOffset)
        // A retry of what is durable: success with the offset of the first time (I1).
        case .duplicate(let baseOffset): self.init(error: .none, baseOffset: baseOffset)
        case .rejected(let rejection): self.init(rejection)
        }
    }

    /// "Try again later" is NOT_ENOUGH_REPLICAS. Both clients that matter retry it without giving up the message before
    /// its delivery timeout, and both take it as "not stored", so an idempotent producer keeps its sequence. The others:
    /// KAFKA_STORAGE_ERROR makes them fetch metadata for every failed batch (Java: InvalidMetadataException), which loads
    /// a gateway that is already behind; THROTTLING_QUOTA_EXCEEDED is final for librdkafka; REQUEST_TIMED_OUT says
    /// "perhaps stored".
    init(_ rejection: AppendRejection) {
        let code: ErrorCode
        switch rejection {
        case .outOfOrderSequence: code = .outOfOrderSequenceNumber
        case .producerFenced: code = .invalidProducerEpoch
        case .quotaExceeded, .overloaded, .diskFull, .diskFailed, .closed: code = .notEnoughReplicas
        case .batchTooLarge: code = .messageTooLarge
        case .tooManyPartitions: code = .policyViolation
        case .invalidEntry: code = .invalidRecord
        }
        self.init(
            error: code, message: rejection.explanation,
            throttleMs: Int32(clamping: TimeAmount(rejection.retryAfter ?? .zero).nanoseconds / 1_000_000))
    }
}

extension AppendRejection {
    /// For the sender's log.
    var explanation: String {
        switch self {
        case .outOfOrderSequence: "sequence number out of order"
        case .producerFenced: "a newer epoch of this producer is known"
        case .quotaExceeded(let used, let quota): "lane is full: \(used) of \(quota) bytes await upload"
        case .overloaded(let pending, let limit): "\(pending) of \(limit) bytes await the disk"
        case .diskFull: "no space left on the gateway's disk"
        case .diskFailed(let reason): "the gateway's disk failed: \(reason)"
        case .closed: "the gateway is going down"
        case .batchTooLarge(let size, let limit): "batch of \(size) bytes, limit \(limit)"
        case .tooManyPartitions(let limit): "the lane has its \(limit) partitions"
        case .invalidEntry(let reason): reason
        }
    }
}
