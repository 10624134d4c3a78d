import KafkaProtocol
import Ledger
import NIOCore

/// One validated batch on its way into a shared object.
struct ProduceEntry: Sendable {
    var topicID: KafkaUUID
    var topic: String
    var partition: Int32
    var batch: ByteBuffer
    var header: RecordBatchHeader
}

/// What became of one batch.
enum EntryOutcome: Sendable, Equatable {
    case committed(baseOffset: Int64, logStart: Int64)
    /// Sent before; the offset of the first time.
    case duplicate(baseOffset: Int64)
    case rejected(ErrorCode)
}

/// The batches of one request. They travel in one object and are answered together.
struct Submission: Sendable {
    var entries: [ProduceEntry]
    /// Until then the client waits.
    var deadline: NIODeadline
    var loop: any EventLoop
    /// Called on `loop` when there is room for the batches: what a request without acknowledgement waits for.
    var admitted: (@Sendable () -> Void)?
    /// Called once on `loop`, with one outcome per entry.
    var completed: @Sendable ([EntryOutcome]) -> Void

    var sizeBytes: Int { entries.reduce(0) { $0 + $1.batch.readableBytes } }
}

extension EntryOutcome {
    init(_ outcome: RunOutcome) {
        switch outcome {
        case .committed(let baseOffset, let logStart): self = .committed(baseOffset: baseOffset, logStart: logStart)
        case .duplicate(let baseOffset, _): self = .duplicate(baseOffset: baseOffset)
        case .rejected(let code): self = .rejected(code)
        }
    }
}
