public import NIOCore

/// What one idempotent producer has written to one partition: enough to know a repeated batch, a gap and a zombie.
///
/// Rules as in Kafka 4.3: the last five batches are remembered; one of them sent again, with the same epoch and the same
/// first and last sequence, is a duplicate; any other must follow the last one. A pure machine: ask ``check``, append, and
/// then tell ``record``.
public struct ProducerSequences: Sendable, Equatable {
    public enum Verdict: Sendable, Equatable {
        case append
        /// Answer with what the first copy was given.
        case duplicate(baseOffset: Int64, timestampMs: Int64)
        /// OUT_OF_ORDER_SEQUENCE_NUMBER.
        case outOfOrder
        /// INVALID_PRODUCER_EPOCH: a newer instance of this producer has written.
        case fenced
    }

    struct Batch: Sendable, Equatable {
        var firstSequence: Int32
        var lastSequence: Int32
        var baseOffset: Int64
        var timestampMs: Int64
    }

    /// A client may have five batches in flight (`max.in.flight.requests.per.connection` of an idempotent producer).
    static let batchesMax = 5

    private(set) var epoch: Int16 = -1
    private(set) var batches: [Batch] = []

    /// Nothing written yet, or forgotten: any sequence may come first.
    public init() {}

    /// The sequence that the next batch of this epoch must begin with; nil while nothing is known.
    public var nextSequence: Int32? { batches.last.map { ($0.lastSequence &+ 1) & Int32.max } }

    public func check(epoch: Int16, firstSequence: Int32, lastSequence: Int32) -> Verdict {
        guard firstSequence >= 0, lastSequence >= 0 else { return .outOfOrder }
        guard self.epoch >= 0 else { return .append }
        if epoch < self.epoch { return .fenced }
        if epoch > self.epoch { return firstSequence == 0 ? .append : .outOfOrder }
        if let known = batches.first(where: { $0.firstSequence == firstSequence && $0.lastSequence == lastSequence }) {
            return .duplicate(baseOffset: known.baseOffset, timestampMs: known.timestampMs)
        }
        return firstSequence == nextSequence ?? 0 ? .append : .outOfOrder
    }

    /// A batch was appended. Not checked again, so that a log can be replayed.
    public mutating func record(
        epoch: Int16, firstSequence: Int32, lastSequence: Int32, baseOffset: Int64, timestampMs: Int64
    ) {
        if epoch != self.epoch { batches.removeAll() }
        self.epoch = epoch
        if batches.count == Self.batchesMax { batches.removeFirst() }
        batches.append(
            Batch(
                firstSequence: firstSequence, lastSequence: lastSequence, baseOffset: baseOffset,
                timestampMs: timestampMs))
    }
}

extension ProducerSequences {
    /// A transaction of the producer ended under `epoch`. A higher one than before begins its sequences anew.
    public mutating func raise(to epoch: Int16) {
        guard epoch > self.epoch else { return }
        self.epoch = epoch
        batches.removeAll()
    }

    /// Of the last batch, nil while none is known.
    public var lastBatch: (lastSequence: Int32, timestampMs: Int64)? {
        batches.last.map { ($0.lastSequence, $0.timestampMs) }
    }

    public var lastEpoch: Int16 { epoch }
}

/// Stored form, big-endian: form version (1 byte, 1), epoch (2), count (1), then for each batch, oldest first, first and last
/// sequence (4 and 4), base offset (8) and timestamp (8).
extension ProducerSequences {
    private static let formVersion: UInt8 = 1
    private static let batchBytes = 24

    public func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        encode(into: &buffer)
        return buffer
    }

    public func encode(into buffer: inout ByteBuffer) {
        buffer.writeMultipleIntegers(Self.formVersion, epoch, UInt8(batches.count))
        for batch in batches {
            buffer.writeMultipleIntegers(
                batch.firstSequence, batch.lastSequence, batch.baseOffset, batch.timestampMs)
        }
    }

    /// Nil where `buffer` is not exactly one stored form.
    public static func decoded(_ buffer: ByteBuffer) -> ProducerSequences? {
        var rest = buffer
        guard let sequences = ProducerSequences(reading: &rest), rest.readableBytes == 0 else { return nil }
        return sequences
    }

    /// Reads one stored form and moves past it; nil, with `buffer` as it was, where there is none.
    public init?(reading buffer: inout ByteBuffer) {
        var rest = buffer
        guard let (form, epoch, count) = rest.readMultipleIntegers(as: (UInt8, Int16, UInt8).self),
            form == Self.formVersion, count <= Self.batchesMax, rest.readableBytes >= Int(count) * Self.batchBytes
        else { return nil }
        self.epoch = epoch
        for _ in 0..<count {
            guard
                let (first, last, offset, timestamp) = rest.readMultipleIntegers(
                    as: (Int32, Int32, Int64, Int64).self)
            else { return nil }
            batches.append(
                Batch(firstSequence: first, lastSequence: last, baseOffset: offset, timestampMs: timestamp))
        }
        buffer = rest
    }
}
