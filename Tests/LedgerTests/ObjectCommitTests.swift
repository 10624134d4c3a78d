import KafkaProtocol
import Testing

@testable import Ledger

@Suite struct ObjectCommitTests {
    @Test func offsetsAreDenseAndHighWatermarksOnlyGrow() throws {
        var state = try LedgerState.withTopic()
        let first = try state.submit(object("o1", run(1, 0), run(1, 1, at: 100), run(1, 0, at: 200, records: 5)))
        #expect(
            first
                == .runs([
                    .committed(baseOffset: 0, logStart: 0), .committed(baseOffset: 0, logStart: 0),
                    .committed(baseOffset: 10, logStart: 0),
                ]))
        #expect(try state.submit(object("o2", run(1, 0))) == .runs([.committed(baseOffset: 15, logStart: 0)]))
        #expect(state.watermarks(1, 0) == [0, 25])
        #expect(state.watermarks(1, 1) == [0, 10])
    }

    @Test func aRetryUnderTheSameKeyGetsTheStoredAnswerAndChangesNothing() throws {
        var state = try LedgerState.withTopic()
        let command = object("o1", run(1, 0), run(9, 0, at: 100))
        let answer = try state.submit(command)
        let retry = try state.decide(command)
        #expect(retry.answer == answer)
        #expect(retry.records.isEmpty)
        #expect(state.watermarks(1, 0) == [0, 10])
    }

    @Test func anUnknownTopicOrPartitionIsRejectedAndTheOtherRunsGoOn() throws {
        var state = try LedgerState.withTopic()
        let answer = try state.submit(
            object("o1", run(8, 0), run(1, 3, at: 100), run(1, -1, at: 200), run(1, 0, at: 300)))
        let unknown = RunOutcome.rejected(.unknownTopicOrPartition)
        #expect(answer == .runs([unknown, unknown, unknown, .committed(baseOffset: 0, logStart: 0)]))
    }

    @Test func aTombstonedKeyIsRefusedForEver() throws {
        var state = try LedgerState.withTopic()
        try state.submit(.markObjectsDeleting(keys: ["late"], nowMs: 1))
        #expect(state.refusal(of: object("late", run())) == .tombstoned(key: "late"))
        try state.submit(.forgetObjects(keys: ["late"], nowMs: 2))
        #expect(state.refusal(of: object("late", run())) == .tombstoned(key: "late"))
    }

    @Test func aNodeOfAnOlderEpochIsFenced() throws {
        var state = try LedgerState.withTopic()
        #expect(try state.submit(.registerNode(nodeID: 1, nowMs: 0)) == .nodeEpoch(1))
        #expect(try state.submit(.registerNode(nodeID: 1, nowMs: 0)) == .nodeEpoch(2))
        #expect(
            state.refusal(of: object("o", node: 1, epoch: 1, run()))
                == .nodeFenced(nodeID: 1, epoch: 1, currentEpoch: 2))
        try state.submit(object("o", node: 1, epoch: 7, run()))
        #expect(state.refusal(of: object("p", node: 1, epoch: 6, run()))?.errorCode == .notLeaderOrFollower)
        #expect(try state.submit(.registerNode(nodeID: 1, nowMs: 0)) == .nodeEpoch(8))
    }

    @Test func aRetryOfAFencedNodesOwnCommitStillGetsItsAnswer() throws {
        var state = try LedgerState.withTopic()
        let command = object("o", node: 1, epoch: 1, run())
        let answer = try state.submit(command)
        try state.submit(.registerNode(nodeID: 1, nowMs: 0))
        #expect(try state.submit(command) == answer)
    }

    @Test func aBatchSentTwiceIsADuplicateWithItsFirstOffset() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0)))
        try state.submit(object("o2", run(1, 0, maxMs: 7_777, stamps: [stamp(5, 0...9)])))
        let again = try state.submit(object("o3", run(1, 0, stamps: [stamp(5, 0...9)])))
        #expect(again == .runs([.duplicate(baseOffset: 10, timestampMs: 7_777)]))
        #expect(state.watermarks(1, 0) == [0, 20])
    }

    @Test func aDuplicateInTheSameObjectIsSeen() throws {
        var state = try LedgerState.withTopic()
        let answer = try state.submit(
            object(
                "o1", run(1, 0, stamps: [stamp(5, 0...9)]), run(1, 0, at: 100, stamps: [stamp(5, 0...9)]),
                run(1, 0, at: 200, stamps: [stamp(5, 10...19)]), run(1, 1, at: 300, stamps: [stamp(5, 0...9)])))
        #expect(
            answer
                == .runs([
                    .committed(baseOffset: 0, logStart: 0), .duplicate(baseOffset: 0, timestampMs: 2_000),
                    .committed(baseOffset: 10, logStart: 0), .committed(baseOffset: 0, logStart: 0),
                ]))
    }

    @Test func aGapInSequencesIsOutOfOrder() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0, stamps: [stamp(5, 0...9)])))
        let answer = try state.submit(
            object(
                "o2", run(1, 0, stamps: [stamp(5, 11...20)]), run(1, 0, at: 100, stamps: [stamp(5, 10...19)]),
                run(1, 0, at: 200, stamps: [stamp(5, 20...29)])))
        #expect(
            answer
                == .runs([
                    .rejected(.outOfOrderSequenceNumber), .committed(baseOffset: 10, logStart: 0),
                    .committed(baseOffset: 20, logStart: 0),
                ]))
    }

    @Test func aSequenceWrapsToZeroAfterTheLargest() throws {
        var state = try LedgerState.withTopic()
        let last = Int32.max
        try state.submit(object("o1", run(1, 0, stamps: [stamp(5, (last - 9)...last)])))
        let answer = try state.submit(object("o2", run(1, 0, stamps: [stamp(5, 0...9)])))
        #expect(answer == .runs([.committed(baseOffset: 10, logStart: 0)]))
    }

    @Test func aZombieProducerIsFencedByANewerEpoch() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0, stamps: [stamp(5, epoch: 1, 0...9)])))
        let answer = try state.submit(object("o2", run(1, 0, stamps: [stamp(5, epoch: 0, 10...19)])))
        #expect(answer == .runs([.rejected(.invalidProducerEpoch)]))
    }

    @Test func aRunOfSeveralBatchesRemembersEachAtItsOwnOffset() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0, stamps: [stamp(5, 0...4), stamp(5, 5...9, at: 5)])))
        let again = try state.submit(object("o2", run(1, 0, records: 5, stamps: [stamp(5, 5...9)])))
        #expect(again == .runs([.duplicate(baseOffset: 5, timestampMs: 2_000)]))
    }

    @Test(
        arguments: [
            run(bytes: 0), run(at: -1), run(at: 9_950), run(bytes: .max), run(at: .max), run(records: 0),
            run(records: .max), run(stamps: [stamp(-1, 0...1)]), run(stamps: [stamp(1, -5...1)]),
            run(stamps: [stamp(1, 0...1, at: 10)]),
        ])
    func aRunOutsideItsObjectOrItsLimitsRefusesTheObject(bad: RunCommit) throws {
        let state = try LedgerState.withTopic()
        #expect(state.refusal(of: object("o1", run(1, 1), bad))?.errorCode == .invalidRequest)
    }

    @Test func anAnswerTooOldIsForgottenButTheCommitIsNotDoneTwice() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", nowMs: 0, run(1, 0)))
        try state.submit(object("o2", nowMs: StoredAnswers.ageMsMax + 1, run(1, 0)))
        #expect(state.refusal(of: object("o1", run(1, 0))) == .answerForgotten(key: "o1"))
        #expect(state.watermarks(1, 0) == [0, 20])
    }

    @Test func contiguousRunsOfAnObjectShareAnExtent() throws {
        var state = try LedgerState.withTopic()
        try state.submit(
            object(
                "o1", run(1, 0, minMs: 5, maxMs: 9), run(1, 0, at: 100, minMs: 1, maxMs: 20), run(1, 0, at: 300)))
        let extents = state.extents(topicID(1), 0, from: 0, maxBytes: .max, maxCount: 10)
        #expect(extents.map(\.position) == [0, 300])
        #expect(extents.map(\.lengthBytes) == [200, 100])
        #expect(extents.map(\.baseOffset) == [0, 20])
        #expect(extents.map(\.lastOffset) == [19, 29])
        #expect(extents[0].minTimestampMs == 1)
        #expect(extents[0].maxTimestampMs == 20)
        #expect(state.objects.facts("o1")?.extentCount == 2)
    }

    @Test func producerIDsAreGivenOnce() throws {
        var state = LedgerState()
        #expect(try state.submit(.allocateProducerID(count: 10)) == .producerIDs(1..<11))
        #expect(try state.submit(.allocateProducerID(count: 1)) == .producerIDs(11..<12))
        #expect(state.refusal(of: .allocateProducerID(count: 0))?.errorCode == .invalidRequest)
    }

    @Test func producersIdleTooLongAreForgotten() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", nowMs: 1_000, run(1, 0, stamps: [stamp(5, 0...9)])))
        try state.submit(object("o2", nowMs: 2_000, run(1, 0, stamps: [stamp(6, 0...9)])))
        try state.submit(.expireProducers(idleSinceMs: 1_500, nowMs: 3_000))
        #expect(state.topics.partition(topicID(1), 0)?.producers.keys.sorted() == [6])
    }

    @Test func tooManyProducersOfAPartitionLoseTheIdlest() throws {
        var partition = PartitionState()
        for id in 0...PartitionState.producersMax {
            partition.note(run(stamps: [stamp(Int64(id), 0...0)]), baseOffset: 0, nowMs: Int64(id))
        }
        #expect(partition.producers.count == PartitionState.producersMax + 1 - PartitionState.producersMax / 10)
        #expect(partition.producers.keys.min() == Int64(PartitionState.producersMax / 10))
    }
}
