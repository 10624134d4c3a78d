import KafkaProtocol
import Testing

@testable import Ledger

/// Rules T5 and T6: which batches may join a transaction.
@Suite("Rules of transactional batches") struct TransactionProduceTests {
    private func initialised() throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        return state
    }

    private let first = RunOutcome.committed(baseOffset: 0, logStart: 0)

    @Test(
        "T5: a batch for a partition that was not added is 48, or 120 where the client knows that",
        arguments: [(TransactionUse.added, ErrorCode.invalidTxnState), (.addedOrAbortable, .transactionAbortable)])
    func notAdded(use: TransactionUse, code: ErrorCode) throws {
        var state = try initialised()
        #expect(try state.produce(run(stamps: [stamp(1, 0...9)], use)) == [.rejected(code)])
        try state.submit(add([place(1, 1)]))
        #expect(try state.produce(run(stamps: [stamp(1, 0...9)], use)) == [.rejected(code)])
        try state.submit(add([place(1, 0)]))
        #expect(try state.produce(run(stamps: [stamp(1, 0...9)], use)) == [first])
        try state.submit(end(.commit))
        #expect(try state.produce(run(stamps: [stamp(1, 10...19)], use)) == [.rejected(code)])
    }

    @Test("T5: in the second protocol the batch adds its partition and begins the transaction")
    func adds() throws {
        var state = try initialised()
        let outcomes = try state.produce(
            run(stamps: [stamp(1, 0...9)], .adds), run(1, 2, at: 100, stamps: [stamp(1, 0...9)], .adds), nowMs: 3_000)
        #expect(outcomes == [first, first])
        #expect(state.transactions.all["t"]?.partitions == [place(1, 0), place(1, 2)])
        #expect(state.transactions.all["t"]?.startedMs == 3_000)
        #expect(state.lastStable() == 0)
        #expect(state.lastStable(1, 2) == 0)
    }

    @Test("T5: a batch of a producer that has no transactional id is 49, of another epoch 47")
    func strangers() throws {
        var state = try initialised()
        let outcomes = try state.produce(
            run(stamps: [stamp(9, 0...9)], .adds), run(stamps: [stamp(1, epoch: 1, 0...9)], .adds),
            run(stamps: [stamp(9, 0...9)], .added))
        #expect(
            outcomes
                == [
                    .rejected(.invalidProducerIdMapping), .rejected(.invalidProducerEpoch),
                    .rejected(.invalidProducerIdMapping),
                ])
        #expect(state.transactions.ongoing.isEmpty)
        #expect(state.partition()?.producers.isEmpty == true)
    }

    @Test("T5: in the second protocol a producer that is unknown to the partition begins at 0, in the first anywhere")
    func firstSequence() throws {
        var state = try initialised()
        let late = try state.produce(run(stamps: [stamp(1, 5...9)], .adds))
        #expect(late == [.rejected(.outOfOrderSequenceNumber)])
        try state.submit(add([place(1, 0)]))
        #expect(try state.produce(run(stamps: [stamp(1, 5...9)], .added)) == [first])
        let next = try state.produce(run(stamps: [stamp(1, 10...19)], .adds))
        #expect(next == [.committed(baseOffset: 10, logStart: 0)])
    }

    @Test("T5: what a refused batch would have begun does not begin")
    func refusedBatch() throws {
        var state = try initialised()
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .adds))
        try state.submit(end(.commit, raising: true))
        let outcomes = try state.produce(
            run(stamps: [stamp(1, epoch: 1, 3...9)], .adds), run(stamps: [stamp(1, 10...19)], .adds))
        #expect(outcomes == [.rejected(.outOfOrderSequenceNumber), .rejected(.invalidProducerEpoch)])
        #expect(state.transactions.ongoing.isEmpty)
        #expect(state.lastStable() == 11)
    }

    @Test("T5: a batch may follow another of its transaction in one object, also across the two protocols")
    func inOneObject() throws {
        var state = try initialised()
        let outcomes = try state.produce(
            run(stamps: [stamp(1, 0...9)], .adds), run(at: 100, stamps: [stamp(1, 10...19)], .adds),
            run(at: 200, stamps: [stamp(1, 10...19)], .adds), run(at: 300, stamps: [stamp(1, 20...29)], .added))
        #expect(
            outcomes
                == [
                    first, .committed(baseOffset: 10, logStart: 0), .duplicate(baseOffset: 10, timestampMs: 2_000),
                    .committed(baseOffset: 20, logStart: 0),
                ])
        #expect(state.partition()?.open == [1: 0])
    }

    @Test("T6: a batch outside transactions of a producer with an open one here is 48")
    func notTransactional() throws {
        var state = try initialised()
        let outcomes = try state.produce(
            run(stamps: [stamp(1, 0...9)], .adds), run(at: 100, stamps: [stamp(1, 10...19)]),
            run(1, 1, at: 200, stamps: [stamp(1, 0...9)]))
        #expect(outcomes == [first, .rejected(.invalidTxnState), first])
        #expect(try state.produce(run(stamps: [stamp(1, 10...19)])) == [.rejected(.invalidTxnState)])
        try state.submit(end(.commit))
        let after = try state.produce(run(stamps: [stamp(1, 10...19)]))
        #expect(after == [.committed(baseOffset: 11, logStart: 0)])
    }

    @Test("a transactional run that is not exactly one stamped batch refuses its object")
    func shape() throws {
        let state = try initialised()
        for stamps in [[], [stamp(1, 0...4), stamp(1, 5...9, at: 5)]] as [[RunCommit.ProducerStamp]] {
            #expect(state.refusal(of: object("o", run(stamps: stamps, .adds)))?.errorCode == .invalidRequest)
        }
    }
}
