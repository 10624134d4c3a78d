import KafkaProtocol
import NIOCore
import WriteAheadLog

/// A producer as real ones behave: idempotent ones repeat what is not answered, with the same sequences and up to five
/// batches in flight; others send one batch and never repeat what may have been stored.
struct SimulatedProducer {
    private struct Batch {
        var values: Range<Int>
        var entry: LogEntry
        var wasSent = false
        var isStored = false
    }

    static let inFlightMax = 5

    let number: Int
    /// The gateway it speaks to.
    let site: Int
    let lane: Int
    let topic: String
    let partition: Int32
    let isIdempotent: Bool
    private var nextValue = 0
    private var nextSequence: Int32 = 0
    private var epoch: Int16 = 0
    /// The lane knows this epoch. Before it does, any sequence may come first, so that clients send one batch only.
    private var isKnown = false
    private var inFlight: [Batch] = []
    /// Sent, and never to be heard of again: may be there or not.
    private var unknown: Set<Int> = []
    /// Its log has forgotten what it had sent: nothing in sequence is taken any more.
    private(set) var isForgotten = false

    init(number: Int, site: Int, lane: Int, topic: String, partition: Int32, isIdempotent: Bool) {
        self.number = number
        self.site = site
        self.lane = lane
        self.topic = topic
        self.partition = partition
        self.isIdempotent = isIdempotent
    }

    var place: Oracle.Place { Oracle.Place(topic: topic, partition: partition) }
    var local: Oracle.Local { Oracle.Local(lane: lane, place: place) }
    /// It gives no times: the gateway makes them.
    var hasGatewayTimes: Bool { !isIdempotent }
    var isWaiting: Bool { !inFlight.isEmpty }

    /// What is not answered yet, again, and a few more batches.
    mutating func send(
        new count: Int, nowMs: Int64, skewMs: Int64, nowNs: UInt64, payloadBytesMax: Int,
        using random: inout SeededRandom
    ) throws -> [LogEntry] {
        let limit = isIdempotent && isKnown ? Self.inFlightMax : 1
        for _ in 0..<count where inFlight.count < limit {
            inFlight.append(
                try make(nowMs: nowMs, skewMs: skewMs, nowNs: nowNs, payloadBytesMax: payloadBytesMax, using: &random))
        }
        return inFlight.map(\.entry)
    }

    private mutating func make(
        nowMs: Int64, skewMs: Int64, nowNs: UInt64, payloadBytesMax: Int, using random: inout SeededRandom
    ) throws -> Batch {
        let values = nextValue..<(nextValue + Int.random(in: 1...4, using: &random))
        nextValue = values.upperBound
        var builder = RecordBatchBuilder(
            compression: !hasGatewayTimes && random.chance(200) ? .zstd(level: 1) : .none,
            producerID: isIdempotent ? Int64(number) : -1,
            producerEpoch: isIdempotent ? epoch : -1, baseSequence: isIdempotent ? nextSequence : -1)
        nextSequence += Int32(values.count)
        for value in values {
            let padding = Int.random(in: 0...payloadBytesMax / values.count, using: &random)
            builder.append(
                Record(
                    timestampMs: nowMs, offsetDelta: 0, key: ByteBuffer(string: "\(number)"),
                    value: ByteBuffer(string: "\(number):\(value):" + String(repeating: "x", count: padding)),
                    headers: hasGatewayTimes ? SimulatedTime.headers(nowMs: nowMs, skewMs: skewMs) : []))
        }
        let bytes = builder.finish()
        let entry = LogEntry(
            topic: topic, partition: partition, batch: bytes, header: try RecordBatch.validateOne(bytes), wallMs: nowMs,
            monotonicNs: nowNs, clockQuality: skewMs == 0 ? .synchronized : .unknown, hasGatewayTimes: hasGatewayTimes)
        return Batch(values: values, entry: entry)
    }

    /// The lane has decided, whether or not its answers are heard. Tells the oracle what is durable now.
    /// - Parameter isDamaged: rot has struck the lane, perhaps what it knew of a producer.
    mutating func decided(
        _ outcomes: [AppendOutcome], isHeard: Bool, branch: Int, isDamaged: Bool, _ oracle: inout Oracle
    ) throws {
        guard outcomes.count == inFlight.count else {
            throw SimulationFailure("producer \(number): \(outcomes.count) answers to \(inFlight.count) batches")
        }
        var waiting: [Batch] = []
        var isRejected = false
        for (outcome, batch) in zip(outcomes, inFlight) {
            var batch = batch
            let isStored = try judge(
                outcome, batch, afterRejected: isRejected, branch: branch, isDamaged: isDamaged, &oracle)
            batch.wasSent = true
            batch.isStored = batch.isStored || isStored
            isRejected = isRejected || !batch.isStored
            if isStored, isHeard { isKnown = isIdempotent }
            if isStored && isHeard { continue }
            if isIdempotent || outcome.isSurelyNotStored {
                waiting.append(batch)
            } else if !isStored {
                unknown.formUnion(batch.values)
            }
        }
        inFlight = waiting
    }

    /// Whether the batch is durable now.
    private mutating func judge(
        _ outcome: AppendOutcome, _ batch: Batch, afterRejected: Bool, branch: Int, isDamaged: Bool,
        _ oracle: inout Oracle
    ) throws -> Bool {
        switch outcome {
        case .appended(_, let offset):
            guard !afterRejected || isDamaged else {
                throw SimulationFailure("producer \(number): \(batch.values) appended after one that was rejected")
            }
            try oracle.stored(local, branch: branch, offset, number: number, batch.values, isNew: true)
            return true
        case .duplicate(let offset):
            guard isIdempotent, batch.wasSent else {
                throw SimulationFailure("producer \(number): new batch \(batch.values) taken for a duplicate")
            }
            try oracle.stored(local, branch: branch, offset, number: number, batch.values, isNew: false)
            return true
        case .rejected(.outOfOrderSequence) where afterRejected: return false
        case .rejected(.outOfOrderSequence) where isDamaged:
            isForgotten = true
            return false
        case .rejected(.quotaExceeded), .rejected(.overloaded), .rejected(.diskFull), .rejected(.diskFailed),
            .rejected(.closed):
            return false
        case .rejected:
            throw SimulationFailure("producer \(number): batch \(batch.values) refused for good: \(outcome)")
        }
    }

    /// The gateway died: who does not repeat never knows.
    mutating func disconnected() {
        guard !isIdempotent else { return }
        for batch in inFlight where batch.wasSent { unknown.formUnion(batch.values) }
        inFlight.removeAll { $0.wasSent }
    }

    /// The client itself died, and begins anew with the next epoch.
    mutating func reborn() {
        guard isIdempotent else { return }
        for batch in inFlight { unknown.formUnion(batch.values) }
        inFlight = []
        epoch += 1
        nextSequence = 0
        isKnown = false
        isForgotten = false
    }

    /// What may be in a log though nobody was told.
    var unsure: Set<Int> { inFlight.reduce(into: unknown) { $0.formUnion($1.values) } }

    /// May be delivered though nobody was told.
    func mayBeThere(_ value: Int) -> Bool {
        unknown.contains(value) || inFlight.contains { $0.values.contains(value) }
    }
}

extension AppendOutcome {
    /// Refused before anything was written.
    fileprivate var isSurelyNotStored: Bool {
        switch self {
        case .rejected(.quotaExceeded), .rejected(.overloaded): true
        default: false
        }
    }
}
