import KafkaProtocol
import Testing

@testable import Ledger

/// Rules T3, T4, T7, T8 and T10: how transactions end, and who sees what of them.
@Suite("Rules of ended transactions") struct TransactionEndTests {
    /// "t" (producer 1, epoch 0) has ten records in partition 0 and has added partition 1.
    private func written() throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        try state.submit(add([place(1, 0), place(1, 1)]))
        _ = try state.produce(run(stamps: [stamp(1, 0...9)], .added))
        return state
    }

    private func initialised() throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        return state
    }

    // MARK: First protocol

    @Test("T3: an end repeated is answered again, the opposite of it is 48", arguments: [End.commit, .abort])
    func repeated(way: End) throws {
        var state = try written()
        let opposite = way == .commit ? End.abort : .commit
        #expect(try state.submit(end(way)) == accepted(1, 0))
        #expect(try state.decide(end(way)) == LedgerDecision(answer: accepted(1, 0)))
        #expect(try state.submit(end(opposite)) == rejected(.invalidTxnState))
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: 0, commits: way == .commit)])
        try state.submit(add([place(1, 0)]))
        #expect(try state.submit(end(opposite)) == accepted(1, 0))
    }

    @Test("T3: a transaction that never began cannot end", arguments: [End.commit, .abort])
    func empty(way: End) throws {
        var state = try initialised()
        #expect(try state.submit(end(way)) == rejected(.invalidTxnState))
    }

    @Test("T3: another epoch is 90, another producer or an unknown id 49", arguments: [false, true])
    func strangers(raising: Bool) throws {
        var state = try written()
        #expect(try state.submit(end(.commit, as: 1, 1, raising: raising)) == rejected(.producerFenced))
        #expect(try state.submit(end(.commit, as: 1, -1, raising: raising)) == rejected(.producerFenced))
        #expect(try state.submit(end(.commit, as: 2, raising: raising)) == rejected(.invalidProducerIdMapping))
        #expect(try state.submit(end(.commit, "u", raising: raising)) == rejected(.invalidProducerIdMapping))
        #expect(state.markers().isEmpty)
    }

    // MARK: Second protocol

    @Test("T4: every end raises the epoch, markers carry the raised one, and a repeat is known by the one before")
    func raising() throws {
        var state = try written()
        #expect(try state.submit(end(.commit, raising: true)) == accepted(1, 1))
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: 1, commits: true)])
        #expect(try state.decide(end(.commit, raising: true)) == LedgerDecision(answer: accepted(1, 1)))
        #expect(try state.submit(end(.abort, raising: true)) == rejected(.invalidTxnState))
        let reloaded = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(try reloaded.decide(end(.commit, raising: true)) == LedgerDecision(answer: accepted(1, 1)))
    }

    @Test("T4: nothing can be committed but something open; aborting nothing raises the epoch")
    func emptyRaising() throws {
        var state = try initialised()
        #expect(try state.submit(end(.commit, raising: true)) == rejected(.invalidTxnState))
        #expect(try state.submit(end(.abort, raising: true)) == accepted(1, 1))
        #expect(try state.submit(end(.abort, raising: true)) == accepted(1, 1))
        #expect(try state.submit(end(.abort, as: 1, 1, raising: true)) == accepted(1, 2))
        #expect(try state.submit(end(.commit, as: 1, 2, raising: true)) == rejected(.invalidTxnState))
        #expect(try state.submit(end(.abort, as: 1, 0, raising: true)) == rejected(.producerFenced))
        #expect(state.watermarks() == [0, 0])
    }

    @Test("T4: an end repeated after the next transaction began does not end that one")
    func lateRepeat() throws {
        var state = try written()
        try state.submit(end(.commit, raising: true))
        _ = try state.produce(run(stamps: [stamp(1, epoch: 1, 0...9)], .adds))
        for way in [End.commit, .abort] {
            #expect(try state.submit(end(way, raising: true)) == rejected(.invalidTxnState))
        }
        #expect(state.transactions.all["t"]?.isOngoing == true)
    }

    @Test("T4: nobody repeats an end as producer -1")
    func repeatedByNobody() throws {
        var state = try written()
        try state.submit(end(.commit, raising: true))
        #expect(try state.submit(end(.commit, as: -1, 0, raising: true)) == rejected(.invalidProducerIdMapping))
    }

    @Test("T4: the end of the last epoch gives a new producer id, also to who repeats it")
    func exhausted() throws {
        var state = try LedgerState.withTopic()
        let last = Int16.max - 1
        let record = TransactionInitialised(
            transactionalID: "t", producerID: 1, epoch: last, timeoutMs: 60_000, nowMs: 1_000)
        state.apply(.transactionInitialised(record))
        _ = try state.produce(run(stamps: [stamp(1, epoch: last, 0...9)], .adds))
        #expect(try state.submit(end(.commit, as: 1, last, raising: true)) == accepted(2, 0))
        #expect(try state.submit(end(.commit, as: 1, last, raising: true)) == accepted(2, 0))
        #expect(try state.submit(end(.abort, as: 1, last, raising: true)) == rejected(.invalidTxnState))
        #expect(state.markers().map(\.epoch) == [.max])
        #expect(state.nextProducerID == 3)
        #expect(try state.produce(run(stamps: [stamp(2, 0...9)], .adds)) == [.committed(baseOffset: 11, logStart: 0)])
        #expect(state.transactions.all["t"]?.isOngoing == true)
    }

    @Test("T4: after the raised epoch every partition of the transaction begins at sequence 0 again")
    func sequencesBeginAnew() throws {
        var state = try written()
        try state.submit(end(.abort, raising: true))
        let outcomes = try state.produce(
            run(stamps: [stamp(1, epoch: 1, 10...19)], .adds), run(1, 1, stamps: [stamp(1, epoch: 1, 1...9)], .adds),
            run(stamps: [stamp(1, 0...9)], .adds), run(stamps: [stamp(1, epoch: 1, 0...9)], .adds),
            run(1, 1, at: 100, stamps: [stamp(1, epoch: 1, 0...9)], .adds))
        #expect(
            outcomes
                == [
                    .rejected(.outOfOrderSequenceNumber), .rejected(.outOfOrderSequenceNumber),
                    .rejected(.invalidProducerEpoch), .committed(baseOffset: 11, logStart: 0),
                    .committed(baseOffset: 1, logStart: 0),
                ])
    }

    // MARK: Markers and what is seen

    @Test("T7: a marker takes one offset in every partition of the transaction, and no object")
    func markers() throws {
        var state = try written()
        try state.submit(end(.abort, nowMs: 4_000))
        #expect([0, 1, 2].map { state.watermarks(1, $0) } == [[0, 11], [0, 1], [0, 0]])
        let extent = state.shown()[1]
        #expect(extent.source == .marker(TransactionMarker(producerID: 1, epoch: 0, commits: false)))
        #expect([extent.baseOffset, extent.lastOffset] == [10, 10])
        #expect([extent.minTimestampMs, extent.maxTimestampMs, extent.committedMs] == [4_000, 4_000, 4_000])
        #expect(state.partition()?.sizeBytes == 100 + Int64(TransactionMarker.batchBytes))
        #expect(try state.produce(run()) == [.committed(baseOffset: 11, logStart: 0)])
    }

    @Test("T8: the last stable offset waits for the first open transaction, then goes on to the next or the end")
    func lastStable() throws {
        var state = try written()
        try state.submit(initialise("u"))
        _ = try state.produce(run(), run(at: 100, stamps: [stamp(2, 0...9)], .adds), run(at: 200))
        #expect(state.lastStable() == 0)
        try state.submit(end(.commit))
        #expect(state.lastStable() == 20)
        try state.submit(end(.abort, "u", as: 2))
        #expect(state.lastStable() == 42)
        #expect(state.partition()?.facts.lastStableOffset == 42)
    }

    @Test("T8: the last stable offset is never below the log start")
    func lastStableAfterDeletion() throws {
        var state = try written()
        try state.submit(advance(1, 0, to: 4))
        #expect(state.lastStable() == 4)
        try state.submit(advance(1, 0, to: 10))
        #expect(state.lastStable() == 10)
        _ = try state.produce(run())
        #expect(state.lastStable() == 10)
        try state.submit(end(.commit))
        #expect(state.lastStable() == 21)
    }

    @Test("T8: aborted transactions are those that reach into the range, by their first offset")
    func abortedRanges() throws {
        var state = try written()  // 0...9, open
        try state.submit(initialise("u"))
        _ = try state.produce(run(stamps: [stamp(2, 0...9)], .adds))  // 10...19
        try state.submit(end(.abort, "u", as: 2))  // 20
        _ = try state.produce(run())  // 21...30
        try state.submit(end(.abort))  // 31
        try state.submit(add([place(1, 0)]))
        try state.submit(end(.abort))  // 32: no records, no entry
        func firsts(_ offsets: Range<Int64>) -> [Int64]? { state.partition()?.aborted(in: offsets).map(\.firstOffset) }
        #expect(firsts(0..<100) == [0, 10])
        #expect(firsts(0..<10) == [0])
        #expect(firsts(0..<11) == [0, 10])
        #expect(firsts(20..<21) == [0, 10])
        #expect(firsts(21..<22) == [0])
        #expect(firsts(31..<32) == [0])
        #expect(firsts(32..<100) == [])
        #expect(state.partition(1, 1)?.aborted.isEmpty == true)
    }

    @Test("T8: aborted transactions before the log start are forgotten")
    func abortedPruned() throws {
        var state = try written()
        try state.submit(end(.abort))
        try state.submit(advance(1, 0, to: 10))
        #expect(state.partition()?.aborted.count == 1)
        try state.submit(advance(1, 0, to: 11))
        #expect(state.partition()?.aborted.isEmpty == true)
    }

    @Test("a topic deleted inside a transaction takes its part along, and the transaction still ends")
    func deletedTopic() throws {
        var state = try written()
        try state.submit(create("other", 2))
        _ = try state.produce(run(2, 0, stamps: [stamp(1, 0...9)], .adds))
        try state.submit(addOffset(topic: 1, 5, addsGroup: true))
        try state.submit(addOffset(topic: 2, 6, addsGroup: true))
        try state.submit(.deleteTopic(DeleteTopic(topic: .id(topicID(1)), nowMs: 1)))
        #expect(try state.submit(end(.commit)) == accepted(1, 0))
        #expect(state.watermarks(2, 0) == [0, 11])
        #expect(state.groups.all["g"]?.mapValues(\.offset) == [place(2, 0): 6])
        #expect(
            state.encodedSnapshot() == (try LedgerState(decodingSnapshot: state.encodedSnapshot())).encodedSnapshot())
    }

    // MARK: Offsets

    @Test("T10: offsets wait for the end, and a commit makes those of all groups true at once")
    func offsetsCommit() throws {
        var state = try initialised()
        let early = try state.submit(addOffset(5, addsGroup: false))
        #expect(early == .errorCodes([.invalidTxnState]))
        try state.submit(add(group: "g"))
        #expect(try state.submit(addOffset(5, addsGroup: false)) == .errorCodes([.none]))
        #expect(try state.submit(addOffset(7, addsGroup: false)) == .errorCodes([.none]))
        #expect(try state.submit(addOffset(group: "h", at: 1, 3, addsGroup: true)) == .errorCodes([.none]))
        #expect(state.groups.all.isEmpty)
        #expect(state.transactions.all["t"]?.groups["g"]?.mapValues(\.offset) == [place(1, 0): 7])
        try state.submit(end(.commit, nowMs: 8_000))
        #expect(state.groups.all["g"]?[place(1, 0)]?.offset == 7)
        #expect(state.groups.all["h"]?[place(1, 1)]?.offset == 3)
        #expect(state.groups.all["h"]?[place(1, 1)]?.committedMs == 8_000)
        #expect(state.transactions.all["t"]?.groups.isEmpty == true)
    }

    @Test("T10: an abort, a timeout and a new instance drop the offsets that waited", arguments: 0..<3)
    func offsetsAbort(way: Int) throws {
        var state = try initialised()
        try state.submit(.commitGroupOffsets(CommitGroupOffsets(group: "g", items: [item(0, 1)], nowMs: 1)))
        try state.submit(addOffset(5, addsGroup: true))
        try state.submit([end(.abort), overdue(nowMs: 1_000_000), initialise()][way])
        #expect(state.groups.all["g"]?[place(1, 0)]?.offset == 1)
        #expect(state.transactions.all["t"]?.groups.isEmpty == true)
    }

    @Test("T10: offsets of a stranger are 49, of another epoch 47, and each item may fail alone")
    func offsetErrors() throws {
        var state = try initialised()
        let wrongProducer = try state.submit(addOffset(as: 2, 5, addsGroup: true))
        #expect(wrongProducer == .errorCodes([.invalidProducerIdMapping]))
        #expect(
            try state.submit(addOffset(as: 1, epoch: 1, 5, addsGroup: true)) == .errorCodes([.invalidProducerEpoch]))
        let mixed = CommitTransactionOffsets(
            transactionalID: "t", producerID: 1, epoch: 0, group: "g", items: [item(0, 5), item(9, 5), item(1, -1)],
            addsGroup: true, nowMs: 1)
        let codes = try state.submit(.commitTransactionOffsets(mixed))
        #expect(codes == .errorCodes([.none, .unknownTopicOrPartition, .invalidCommitOffsetSize]))
        try state.submit(end(.commit))
        #expect(state.groups.all["g"]?.mapValues(\.offset) == [place(1, 0): 5])
    }

    @Test("T10: a transaction has a limit of groups, however they join")
    func groupLimit() throws {
        var state = try initialised()
        for number in 0..<LedgerLimits.keysPerCommandMax {
            try state.submit(addOffset(group: "g\(number)", 5, addsGroup: true))
        }
        #expect(try state.submit(addOffset(group: "g7", 6, addsGroup: true)) == .errorCodes([.none]))
        #expect(state.refusal(of: addOffset(group: "more", 5, addsGroup: true))?.errorCode == .invalidRequest)
        #expect(state.refusal(of: add(group: "more"))?.errorCode == .invalidRequest)
    }

    private func item(_ partition: Int32, _ offset: Int64) -> CommitGroupOffsets.Item {
        CommitGroupOffsets.Item(topicID: topicID(1), partition: partition, offset: offset)
    }

    // MARK: Markers of an administrator

    @Test("WriteMarkers ends what a producer has open in single partitions, once, and not under an older epoch")
    func writeMarkers() throws {
        var state = try written()
        _ = try state.produce(run(1, 1, stamps: [stamp(1, 0...9)], .added))
        func markers(_ epoch: Int16, _ places: [TopicPartition]) -> LedgerCommand {
            .writeMarkers(WriteMarkers(producerID: 1, epoch: epoch, commits: false, partitions: places, nowMs: 2_000))
        }
        #expect(try state.submit(markers(-1, [place(1, 0)])) == .errorCodes([.invalidProducerEpoch]))
        let codes = try state.submit(markers(0, [place(1, 0), place(1, 0), place(1, 2), place(1, 3)]))
        #expect(codes == .errorCodes([.none, .none, .none, .unknownTopicOrPartition]))
        #expect(state.markers() == [TransactionMarker(producerID: 1, epoch: 0, commits: false)])
        #expect([state.lastStable(), state.lastStable(1, 1), state.lastStable(1, 2)] == [11, 0, 0])
        #expect(try state.decide(markers(0, [place(1, 0)])) == LedgerDecision(answer: .errorCodes([.none])))
        try state.submit(end(.commit))
        #expect(state.partition()?.aborted == [AbortedRange(producerID: 1, firstOffset: 0, lastOffset: 10)])
        #expect(state.partition(1, 1)?.aborted.isEmpty == true)
    }
}
