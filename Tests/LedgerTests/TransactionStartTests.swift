import KafkaProtocol
import Testing

@testable import Ledger

/// Rules T1, T2 and T9: who may write under a transactional id, and what takes part.
@Suite("Rules of transactional ids") struct TransactionStartTests {
    private func begun(_ places: [TopicPartition] = [place(1, 0)], timeoutMs: Int32 = 60_000) throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise(timeoutMs: timeoutMs))
        try state.submit(add(places))
        return state
    }

    /// The id "t" stands at `epoch`, by one new instance after the other.
    private func aged(to epoch: Int16) throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        state.apply(
            .transactionInitialised(
                TransactionInitialised(
                    transactionalID: "t", producerID: 1, epoch: epoch, formerEpoch: -1, timeoutMs: 60_000,
                    nowMs: 1_000)))
        return state
    }

    @Test("T1: a new id gets a new producer id and epoch 0, a new instance of it the next epoch")
    func newInstances() throws {
        var state = try LedgerState.withTopic()
        try state.submit(.allocateProducerID(count: 10))
        #expect(try state.submit(initialise()) == accepted(11, 0))
        #expect(try state.submit(initialise()) == accepted(11, 1))
        #expect(try state.submit(initialise("u")) == accepted(12, 0))
        #expect(try state.submit(.allocateProducerID(count: 1)) == .producerIDs(13..<14))
    }

    @Test("T1: an empty id is an invalid request")
    func emptyID() {
        #expect(LedgerState().refusal(of: initialise(""))?.errorCode == .invalidRequest)
    }

    @Test("T1: the next instance aborts what is open and fences who opened it")
    func fencing() throws {
        var state = try begun()
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .added))
        #expect(try state.submit(initialise(nowMs: 2_000)) == accepted(1, 2))
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: 1, commits: false)])
        #expect(state.lastStable() == 11)
        let zombie = try state.produce(run(stamps: [stamp(1, 10...19)], .added))
        #expect(zombie == [.rejected(.invalidProducerEpoch)])
        #expect(try state.submit(add([place(1, 1)])) == rejected(.producerFenced))
        #expect(try state.submit(end(.commit)) == rejected(.producerFenced))
        #expect(state.transactions.all["t"]?.phase == .empty)
    }

    @Test("T1: a producer that names itself gets the next epoch, and again the same one when it repeats (KIP-360)")
    func ownEpoch() throws {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        #expect(try state.submit(initialise(as: 1, 0)) == accepted(1, 1))
        let again = try state.decide(initialise(as: 1, 0))
        #expect(again == LedgerDecision(answer: accepted(1, 1)))
        #expect(try state.submit(initialise(as: 1, 1)) == accepted(1, 2))
        #expect(try state.submit(initialise(as: 1, 0)) == rejected(.producerFenced))
        #expect(try state.submit(initialise(as: 2, 2)) == rejected(.producerFenced))
        #expect(try state.submit(initialise(as: 1, -1)) == rejected(.producerFenced))
    }

    @Test("T1: a repeated request after a new instance came is fenced")
    func ownEpochFenced() throws {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        try state.submit(initialise(as: 1, 0))
        try state.submit(initialise())
        #expect(try state.submit(initialise(as: 1, 0)) == rejected(.producerFenced))
        #expect(try state.submit(initialise(as: 1, 1)) == rejected(.producerFenced))
    }

    @Test("T1: a producer that names itself while its transaction is open aborts it, and may repeat that")
    func ownEpochOpen() throws {
        var state = try begun()
        #expect(try state.submit(initialise(as: 1, 0)) == accepted(1, 2))
        #expect(try state.decide(initialise(as: 1, 0)) == LedgerDecision(answer: accepted(1, 2)))
        #expect(state.markers().map(\.epoch) == [1])
    }

    @Test("T1: the last epoch but one is given, then comes a new producer id at epoch 0")
    func exhaustion() throws {
        var state = try aged(to: Int16.max - 2)
        #expect(try state.submit(initialise()) == accepted(1, Int16.max - 1))
        #expect(try state.submit(initialise()) == accepted(2, 0))
        #expect(try state.submit(end(.abort, as: 1, Int16.max - 1)) == rejected(.invalidProducerIdMapping))
        #expect(state.transactions.ofProducer(1) == nil)
        #expect(state.transactions.ofProducer(2)?.epoch == 0)
        #expect(try state.submit(initialise("u")) == accepted(3, 0))
    }

    @Test("T1: an open transaction at the last epoch is aborted under the epoch that was kept for that")
    func exhaustionOpen() throws {
        var state = try aged(to: Int16.max - 1)
        try state.submit(add(as: 1, Int16.max - 1, [place(1, 0)]))
        #expect(try state.submit(initialise()) == accepted(2, 0))
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: .max, commits: false)])
        let zombie = try state.produce(run(stamps: [stamp(1, epoch: Int16.max - 1, 0...9)], .adds))
        #expect(zombie == [.rejected(.invalidProducerEpoch)])
    }

    @Test(
        "T1: a producer at the last epoch that repeats its request gets the same new producer id",
        arguments: [false, true])
    func exhaustionRepeated(isOpen: Bool) throws {
        var state = try aged(to: Int16.max - 1)
        if isOpen { try state.submit(add(as: 1, Int16.max - 1, [place(1, 0)])) }
        let answer = try state.submit(initialise(as: 1, Int16.max - 1))
        #expect(try state.decide(initialise(as: 1, Int16.max - 1)) == LedgerDecision(answer: answer))
        let reloaded = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(try reloaded.decide(initialise(as: 1, Int16.max - 1)) == LedgerDecision(answer: answer))
        #expect(try state.submit(initialise(as: 1, 0)) == rejected(.producerFenced))
    }

    @Test("T2: a stranger is 49, another epoch 90, a partition that is not there 3, and then nothing is added")
    func addingErrors() throws {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        #expect(try state.submit(add(id: "u", [place(1, 0)])) == rejected(.invalidProducerIdMapping))
        #expect(try state.submit(add(as: 2, 0, [place(1, 0)])) == rejected(.invalidProducerIdMapping))
        #expect(try state.submit(add(as: 1, 1, [place(1, 0)])) == rejected(.producerFenced))
        #expect(try state.submit(add([place(1, 0), place(1, 3)])) == rejected(.unknownTopicOrPartition))
        #expect(try state.submit(add([place(2, 0)])) == rejected(.unknownTopicOrPartition))
        #expect(state.transactions.all["t"]?.isOngoing == false)
        #expect(state.transactions.ongoing.isEmpty)
    }

    @Test("T2: partitions and groups add up, and adding them again writes nothing")
    func adding() throws {
        var state = try begun()
        #expect(try state.submit(add([place(1, 0), place(1, 2)], group: "g")) == accepted(1, 0))
        #expect(state.transactions.all["t"]?.partitions == [place(1, 0), place(1, 2)])
        #expect(try state.decide(add([place(1, 2)], group: "g")) == LedgerDecision(answer: accepted(1, 0)))
        #expect(state.transactions.all["t"]?.facts("t").phase == .ongoing)
        #expect(state.transactions.ongoing == ["t"])
    }

    @Test("T9: an open transaction past its timeout is aborted, not before, and its producer is fenced")
    func timeout() throws {
        var state = try begun(timeoutMs: 500)
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .added))
        #expect(try state.decide(overdue(nowMs: 1_500)) == LedgerDecision(answer: .done))
        #expect(try state.submit(overdue(nowMs: 1_501)) == .done)
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: 1, commits: false)])
        #expect(state.lastStable() == 11)
        #expect(try state.submit(end(.commit)) == rejected(.producerFenced))
        #expect(try state.submit(end(.abort, raising: true)) == rejected(.producerFenced))
        #expect(try state.submit(initialise(as: 1, 0)) == rejected(.producerFenced))
        let zombie = try state.produce(run(stamps: [stamp(1, 10...19)], .adds))
        #expect(zombie == [.rejected(.invalidProducerEpoch)])
        #expect(try state.decide(overdue(nowMs: .max)) == LedgerDecision(answer: .done))
        #expect(try state.decide(overdue("nobody", nowMs: .max)) == LedgerDecision(answer: .done))
    }

    @Test("T9: the time of a transaction counts from its first partition, not from the last")
    func timeoutStart() throws {
        var state = try begun(timeoutMs: 500)
        try state.submit(add([place(1, 1)], nowMs: 1_400))
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .added), nowMs: 1_450)
        try state.submit(overdue(nowMs: 1_501))
        #expect(state.transactions.all["t"]?.phase == .aborted)
    }

    @Test("T9: at the last epoch a timeout gives a new producer id")
    func timeoutExhausted() throws {
        var state = try aged(to: Int16.max - 1)
        try state.submit(add(as: 1, Int16.max - 1, [place(1, 0)]))
        try state.submit(overdue(nowMs: 100_000))
        #expect(state.transactions.all["t"]?.producerID == 2)
        #expect(state.transactions.all["t"]?.epoch == 0)
        #expect(
            try state.submit(end(.abort, as: 1, Int16.max - 1, raising: true)) == rejected(.invalidProducerIdMapping))
    }

    @Test("T9: an id without an open transaction is forgotten after its time, one with an open transaction is not")
    func expiry() throws {
        var state = try begun()
        try state.submit(initialise("idle", nowMs: 1_000))
        try state.submit(initialise("busy", nowMs: 1_001))
        let sweep = LedgerCommand.expireTransactions(idleSinceMs: 1_001, nowMs: 9_000)
        try state.submit(sweep)
        #expect(state.transactions.all.keys.sorted() == ["busy", "t"])
        #expect(state.transactions.ofProducer(2) == nil)
        #expect(try state.decide(sweep) == LedgerDecision(answer: .done))
        #expect(try state.submit(end(.commit, "idle", as: 2)) == rejected(.invalidProducerIdMapping))
        #expect(try state.submit(initialise("idle", as: 2, 0)) == accepted(4, 0))
    }
}
