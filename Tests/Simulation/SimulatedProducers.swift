import KafkaProtocol
import NIOCore
import WriteAheadLog

/// A producer as real ones behave: one batch under way, repeated with the same sequences until it is acked if it is
/// idempotent, never repeated if it is not.
struct SimulatedProducer {
    let number: Int
    let topic: String
    let partition: Int32
    let isIdempotent: Bool
    private var nextValue = 0
    private var underWay: Range<Int>?
    private(set) var acked: [Int] = []
    /// Sent, and never heard of again: may be there or not.
    private(set) var unknown: Set<Int> = []

    init(number: Int, topic: String, partition: Int32, isIdempotent: Bool) {
        self.number = number
        self.topic = topic
        self.partition = partition
        self.isIdempotent = isIdempotent
    }

    static func text(_ number: Int, _ value: Int) -> String { "\(number):\(value)" }

    /// The batch to send now: the one under way again, or a new one.
    mutating func batch(nowMs: Int64, using random: inout SeededRandom) throws -> LogEntry {
        let values: Range<Int>
        if let underWay {
            values = underWay
        } else {
            values = nextValue..<(nextValue + Int.random(in: 1...4, using: &random))
            nextValue = values.upperBound
            underWay = values
        }
        var builder = RecordBatchBuilder(
            compression: random.chance(200) ? .zstd(level: 1) : .none, producerID: isIdempotent ? Int64(number) : -1,
            producerEpoch: isIdempotent ? 0 : -1, baseSequence: isIdempotent ? Int32(values.lowerBound) : -1)
        for value in values {
            builder.append(
                Record(
                    timestampMs: nowMs, offsetDelta: 0, key: ByteBuffer(string: "\(number)"),
                    value: ByteBuffer(string: Self.text(number, value)), headers: []))
        }
        let bytes = builder.finish()
        return LogEntry(
            topic: topic, partition: partition, batch: bytes, header: try RecordBatch.validateOne(bytes), wallMs: nowMs,
            monotonicNs: UInt64(max(0, nowMs)) * 1_000_000, clockQuality: .unknown)
    }

    /// The answer came.
    mutating func answered(_ outcome: AppendOutcome) throws {
        guard let values = underWay else { throw SimulationFailure("producer \(number): an answer to nothing") }
        switch outcome {
        case .appended, .duplicate:
            acked += values
            underWay = nil
        case .rejected(.outOfOrderSequence), .rejected(.producerFenced), .rejected(.invalidEntry), .rejected(.batchTooLarge):
            throw SimulationFailure("producer \(number): batch \(values) refused for good: \(outcome)")
        case .rejected: break
        }
    }

    /// No answer came: the gateway died, or the connection.
    mutating func unanswered() {
        guard let values = underWay, !isIdempotent else { return }
        unknown.formUnion(values)
        underWay = nil
    }

    /// May be delivered though it was never acked.
    func mayBeThere(_ value: Int) -> Bool { unknown.contains(value) || underWay?.contains(value) == true }
}
