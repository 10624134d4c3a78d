import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Producer sequences")
struct ProducerSequencesTests {
    /// Batches of ten from sequence 0 on, base offset 100 times the batch number.
    private func written(_ batches: Int, epoch: Int16 = 2) -> ProducerSequences {
        var sequences = ProducerSequences()
        for number in 0..<Int32(batches) {
            sequences.record(
                epoch: epoch, firstSequence: number * 10, lastSequence: number * 10 + 9,
                baseOffset: Int64(number) * 100, timestampMs: Int64(number))
        }
        return sequences
    }

    @Test("while nothing is known any sequence may come first")
    func first() {
        let sequences = ProducerSequences()
        #expect(sequences.check(epoch: 0, firstSequence: 0, lastSequence: 9) == .append)
        #expect(sequences.check(epoch: 7, firstSequence: 1234, lastSequence: 1240) == .append)
        #expect(sequences.check(epoch: 0, firstSequence: -1, lastSequence: -1) == .outOfOrder)
        #expect(sequences.nextSequence == nil)
    }

    @Test("each of the last five batches is a duplicate with its original offset, the sixth is not known any more")
    func duplicates() {
        let sequences = written(7)
        for number in Int32(2)...6 {
            let verdict = sequences.check(epoch: 2, firstSequence: number * 10, lastSequence: number * 10 + 9)
            #expect(verdict == .duplicate(baseOffset: Int64(number) * 100, timestampMs: Int64(number)))
        }
        #expect(sequences.check(epoch: 2, firstSequence: 10, lastSequence: 19) == .outOfOrder)
    }

    @Test("a batch that begins like a known one but ends elsewhere is no duplicate")
    func partialOverlap() {
        #expect(written(3).check(epoch: 2, firstSequence: 20, lastSequence: 28) == .outOfOrder)
        #expect(written(3).check(epoch: 2, firstSequence: 10, lastSequence: 29) == .outOfOrder)
    }

    @Test("the next batch must follow the last one")
    func gap() {
        let sequences = written(3)
        #expect(sequences.nextSequence == 30)
        #expect(sequences.check(epoch: 2, firstSequence: 30, lastSequence: 30) == .append)
        #expect(sequences.check(epoch: 2, firstSequence: 31, lastSequence: 35) == .outOfOrder)
        #expect(sequences.check(epoch: 2, firstSequence: 29, lastSequence: 35) == .outOfOrder)
    }

    @Test("after sequence 2147483647 comes 0, also inside a batch")
    func wrap() {
        var sequences = ProducerSequences()
        sequences.record(
            epoch: 0, firstSequence: .max - 4, lastSequence: .max, baseOffset: 0, timestampMs: 0)
        #expect(sequences.check(epoch: 0, firstSequence: 0, lastSequence: 3) == .append)
        #expect(sequences.check(epoch: 0, firstSequence: 1, lastSequence: 3) == .outOfOrder)

        var across = ProducerSequences()
        across.record(epoch: 0, firstSequence: .max - 1, lastSequence: 2, baseOffset: 50, timestampMs: 0)
        #expect(across.nextSequence == 3)
        #expect(
            across.check(epoch: 0, firstSequence: .max - 1, lastSequence: 2)
                == .duplicate(baseOffset: 50, timestampMs: 0))
    }

    @Test("an older epoch is fenced, a newer one must begin at 0 and forgets what was before")
    func epochs() {
        var sequences = written(3)
        #expect(sequences.check(epoch: 1, firstSequence: 30, lastSequence: 39) == .fenced)
        #expect(sequences.check(epoch: 1, firstSequence: 0, lastSequence: 9) == .fenced)
        #expect(sequences.check(epoch: 3, firstSequence: 30, lastSequence: 39) == .outOfOrder)
        #expect(sequences.check(epoch: 3, firstSequence: 0, lastSequence: 9) == .append)
        sequences.record(epoch: 3, firstSequence: 0, lastSequence: 4, baseOffset: 900, timestampMs: 9)
        #expect(sequences.check(epoch: 3, firstSequence: 20, lastSequence: 29) == .outOfOrder)
        #expect(sequences.check(epoch: 2, firstSequence: 20, lastSequence: 29) == .fenced)
        #expect(sequences.nextSequence == 5)
    }

    @Test("an end of a transaction under a higher epoch fences the one before, and the next batch begins at 0")
    func raised() {
        var sequences = written(3)
        sequences.raise(to: 3)
        #expect(sequences.lastEpoch == 3)
        #expect(sequences.lastBatch == nil)
        #expect(sequences.nextSequence == nil)
        #expect(sequences.check(epoch: 2, firstSequence: 30, lastSequence: 39) == .fenced)
        #expect(sequences.check(epoch: 2, firstSequence: 20, lastSequence: 29) == .fenced)
        #expect(sequences.check(epoch: 3, firstSequence: 30, lastSequence: 39) == .outOfOrder)
        #expect(sequences.check(epoch: 3, firstSequence: 0, lastSequence: 9) == .append)
        #expect(sequences.check(epoch: 4, firstSequence: 1, lastSequence: 9) == .outOfOrder)
        #expect(ProducerSequences.decoded(sequences.encoded()) == sequences)
    }

    @Test("an end under the same epoch or an older one changes nothing")
    func notRaised() {
        var sequences = written(3)
        sequences.raise(to: 2)
        sequences.raise(to: 1)
        #expect(sequences == written(3))
        #expect(sequences.lastBatch?.lastSequence == 29)
    }

    @Test("once an epoch is known, also without a batch, a batch of it must begin at 0")
    func knownEpoch() {
        var sequences = ProducerSequences()
        sequences.raise(to: 0)
        #expect(sequences.check(epoch: 0, firstSequence: 5, lastSequence: 9) == .outOfOrder)
        #expect(sequences.check(epoch: 0, firstSequence: 0, lastSequence: 9) == .append)
        sequences.record(epoch: 0, firstSequence: 0, lastSequence: 9, baseOffset: 7, timestampMs: 1)
        #expect(sequences.nextSequence == 10)
    }

    @Test("the stored form reads back, and is refused at every cut, with more behind it and in another version")
    func stored() {
        for batches in [0, 1, 5, 9] {
            let sequences = written(batches)
            let bytes = sequences.encoded()
            #expect(ProducerSequences.decoded(bytes) == sequences)
            for cut in 0..<bytes.readableBytes { #expect(ProducerSequences.decoded(bytes.prefix(cut)) == nil) }
            var longer = bytes
            longer.writeInteger(UInt8(0))
            #expect(ProducerSequences.decoded(longer) == nil)
            var other = bytes
            other.setInteger(UInt8(2), at: 0)
            #expect(ProducerSequences.decoded(other) == nil)
        }
        var tooMany = written(5).encoded()
        tooMany.setInteger(UInt8(6), at: 3)
        tooMany.writeRepeatingByte(0, count: 24)
        #expect(ProducerSequences.decoded(tooMany) == nil)
    }
}
