import KafkaProtocol
import Testing

@testable import Ledger

/// Rules I1 to I4: what a partition remembers of its producers.
@Suite("Rules of idempotent producers") struct ProducerRuleTests {
    private func written(_ batches: Int32, epoch: Int16 = 0) throws -> LedgerState {
        var state = try LedgerState.withTopic()
        for batch in 0..<batches {
            _ = try state.produce(run(stamps: [stamp(7, epoch: epoch, batch * 10...batch * 10 + 9)]))
        }
        return state
    }

    @Test("I1: each of the last five batches is answered with its first offset, the sixth is out of order")
    func fiveBatches() throws {
        var state = try written(6)
        for batch in 1...5 as ClosedRange<Int32> {
            let again = try state.produce(run(stamps: [stamp(7, batch * 10...batch * 10 + 9)]))
            #expect(again == [.duplicate(baseOffset: Int64(batch) * 10, timestampMs: 2_000)])
        }
        #expect(try state.produce(run(stamps: [stamp(7, 0...9)])) == [.rejected(.outOfOrderSequenceNumber)])
        #expect(state.watermarks() == [0, 60])
    }

    @Test("I2: a batch must begin where the last one ended, also if it overlaps a known one")
    func gaps() throws {
        var state = try written(2)
        for sequences in [21...30, 19...28, 10...18, 0...19] as [ClosedRange<Int32>] {
            let outcome = try state.produce(run(stamps: [stamp(7, sequences)]))
            #expect(outcome == [.rejected(.outOfOrderSequenceNumber)])
        }
        #expect(try state.produce(run(stamps: [stamp(7, 20...29)])) == [.committed(baseOffset: 20, logStart: 0)])
    }

    @Test("I3: an older epoch is fenced, a newer one begins at 0, and an unknown producer begins anywhere")
    func epochs() throws {
        var state = try written(1, epoch: 3)
        let runs = [
            run(stamps: [stamp(7, epoch: 2, 10...19)]), run(stamps: [stamp(7, epoch: 4, 10...19)]),
            run(stamps: [stamp(7, epoch: 4, 0...9)]), run(stamps: [stamp(8, epoch: 9, 500...509)]),
        ]
        #expect(
            try runs.map { try state.produce($0)[0] }
                == [
                    .rejected(.invalidProducerEpoch), .rejected(.outOfOrderSequenceNumber),
                    .committed(baseOffset: 10, logStart: 0), .committed(baseOffset: 20, logStart: 0),
                ])
    }

    @Test("I4: what is remembered survives a snapshot and ends with the producer's idle time")
    func memory() throws {
        var state = try LedgerState(decodingSnapshot: written(1).encodedSnapshot())
        #expect(try state.produce(run(stamps: [stamp(7, 0...9)])) == [.duplicate(baseOffset: 0, timestampMs: 2_000)])
        try state.submit(.expireProducers(idleSinceMs: 5_000, nowMs: 6_000))
        #expect(state.partition()?.producers.count == 1)
        try state.submit(.expireProducers(idleSinceMs: 5_001, nowMs: 6_000))
        #expect(state.partition()?.producers.isEmpty == true)
        #expect(try state.produce(run(stamps: [stamp(7, 30...39)])) == [.committed(baseOffset: 10, logStart: 0)])
    }

    @Test("I4: a producer with an open transaction is not forgotten, however long it idles")
    func openProducers() throws {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .adds))
        try state.submit(.expireProducers(idleSinceMs: .max, nowMs: 9_000))
        #expect(state.partition()?.producers.keys.sorted() == [1])
        try state.submit(end(.commit))
        try state.submit(.expireProducers(idleSinceMs: .max, nowMs: 9_000))
        #expect(state.partition()?.producers.isEmpty == true)
    }

    @Test("I2: batches of one object follow each other, and a refused one leaves no trace for the next")
    func inOneObject() throws {
        var state = try LedgerState.withTopic()
        let outcomes = try state.produce(
            run(stamps: [stamp(7, 0...9)]), run(at: 100, stamps: [stamp(7, 20...29)]),
            run(at: 200, stamps: [stamp(7, 10...14), stamp(7, 16...20, at: 5)]),
            run(at: 300, stamps: [stamp(7, 10...19)]))
        #expect(
            outcomes
                == [
                    .committed(baseOffset: 0, logStart: 0), .rejected(.outOfOrderSequenceNumber),
                    .rejected(.outOfOrderSequenceNumber), .committed(baseOffset: 10, logStart: 0),
                ])
    }
}
