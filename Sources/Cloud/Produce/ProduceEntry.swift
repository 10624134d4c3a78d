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
    var transaction = TransactionUse.none
    /// Time set by the broker, where the topic asks for it.
    var logAppendTimeMs: Int64 = -1

    /// What the ledger is told of it. `position` is where it lies in its object or log.
    func run(position: Int64) -> RunCommit {
        var stamps: [RunCommit.ProducerStamp] = []
        if header.producerID >= 0 {
            stamps.append(
                RunCommit.ProducerStamp(
                    producerID: header.producerID, epoch: header.producerEpoch, firstSequence: header.baseSequence,
                    lastSequence: header.lastSequence))
        }
        return RunCommit(
            topicID: topicID, partition: partition, position: position, lengthBytes: Int64(batch.readableBytes),
            recordCount: Int64(header.lastOffsetDelta) + 1, minTimestampMs: header.baseTimestamp,
            maxTimestampMs: header.maxTimestamp, stamps: stamps, transaction: transaction)
    }
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

    /// Answers submissions, one list of outcomes each. One hop for each event loop, however many requests it has among them.
    static func deliver(_ items: [Submission], _ outcomes: [[EntryOutcome]]) {
        if items.count == 1 {
            items[0].loop.execute { items[0].completed(outcomes[0]) }
            return
        }
        let places = Dictionary(grouping: items.indices) { ObjectIdentifier(items[$0].loop) }
        for group in places.values {
            guard let first = group.first else { continue }
            items[first].loop.execute {
                for index in group { items[index].completed(outcomes[index]) }
            }
        }
    }
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
