import KafkaProtocol
import Testing

@testable import Ledger

@Suite struct HousekeepingTests {
    @Test func theLogStartNeverMovesBackNorBeyondTheHighWatermark() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0)))
        #expect(try state.submit(advance(1, 0, to: 4)) == .logStarts([.logStart(4)]))
        #expect(try state.submit(advance(1, 0, to: 2)) == .logStarts([.logStart(4)]))
        #expect(try state.submit(advance(1, 0, to: 11)) == .logStarts([.rejected(.offsetOutOfRange)]))
        #expect(try state.submit(advance(1, 7, to: 1)) == .logStarts([.rejected(.unknownTopicOrPartition)]))
        #expect(state.watermarks(1, 0) == [4, 10])
    }

    @Test func anExtentIsDroppedOnlyWhenItsLastOffsetIsBehind() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0)))
        try state.submit(object("o2", run(1, 0)))
        try state.submit(advance(1, 0, to: 9))
        #expect(state.objects.facts("o1")?.state == .live)
        try state.submit(advance(1, 0, to: 10, nowMs: 42))
        #expect(state.objects.facts("o1")?.state == .unreferenced(sinceMs: 42))
        #expect(state.objects.facts("o2")?.state == .live)
        #expect(state.topics.partition(topicID(1), 0)?.sizeBytes == 100)
        try state.submit(advance(1, 0, to: 20))
        #expect(state.topics.partition(topicID(1), 0)?.facts.extentCount == 0)
        #expect(try state.submit(object("o3", run(1, 0))) == .runs([.committed(baseOffset: 20, logStart: 20)]))
    }

    @Test func anObjectGoesFromLiveToTombstoneInOrder() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0), run(1, 1, at: 100)))
        let mark = LedgerCommand.markObjectsDeleting(keys: ["o1", "orphan"], nowMs: 50)
        try state.submit(advance(1, 0, to: 10, nowMs: 10))
        #expect(try state.submit(mark) == .objects(ObjectMarks(marked: ["orphan"], refused: ["o1"])))
        try state.submit(advance(1, 1, to: 10, nowMs: 20))
        #expect(state.objects.unreferenced(since: 19, limit: 5).isEmpty)
        #expect(state.objects.unreferenced(since: 20, limit: 5).map(\.key) == ["o1"])
        #expect(try state.submit(mark) == .objects(ObjectMarks(marked: ["o1", "orphan"])))
        #expect(state.objects.unreferenced(since: .max, limit: 5).isEmpty)
        #expect(state.objects.deleting(limit: 5).map(\.key) == ["o1", "orphan"])
        let forget = LedgerCommand.forgetObjects(keys: ["o1", "never"], nowMs: 60)
        #expect(try state.submit(forget) == .objects(ObjectMarks(marked: ["o1"], refused: ["never"])))
        #expect(state.objects.deleting(limit: 5).map(\.key) == ["orphan"])
        #expect(state.objects.facts("o1")?.state == .tombstone(sinceMs: 60))
        #expect(state.objects.facts("o1")?.sizeBytes == 10_000)
    }

    @Test func tombstonesEndByAgeButNotBeforeTheirBytesAreDeleted() throws {
        var state = LedgerState()
        try state.submit(.markObjectsDeleting(keys: ["a", "b"], nowMs: 0))
        try state.submit(.forgetObjects(keys: ["a"], nowMs: 1_000))
        try state.submit(.expireProducers(idleSinceMs: 0, nowMs: 1_000 + ObjectTable.tombstoneAgeMsMax))
        #expect(state.objects.tombstones.count == 2)
        try state.submit(.expireProducers(idleSinceMs: 0, nowMs: 1_001 + ObjectTable.tombstoneAgeMsMax))
        #expect(state.objects.tombstones.keys.sorted() == ["b"])
    }

    @Test func anObjectOfRejectedRunsOnlyIsUnreferencedFromTheStart() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", nowMs: 77, run(8, 0)))
        #expect(state.objects.unreferenced(since: 77, limit: 1).map(\.key) == ["o1"])
    }

    @Test func groupOffsetsAreKeptPerPartition() throws {
        var state = try LedgerState.withTopic()
        let items: [CommitGroupOffsets.Item] = [
            .init(topicID: topicID(1), partition: 0, offset: 5, leaderEpoch: 0, metadata: "m"),
            .init(topicID: topicID(1), partition: 9, offset: 5),
            .init(topicID: topicID(1), partition: 1, offset: 5, metadata: String(repeating: "m", count: 4_097)),
            .init(topicID: topicID(1), partition: 2, offset: -1),
        ]
        let answer = try state.submit(.commitGroupOffsets(CommitGroupOffsets(group: "g", items: items, nowMs: 3)))
        #expect(
            answer
                == .errorCodes([.none, .unknownTopicOrPartition, .offsetMetadataTooLarge, .invalidCommitOffsetSize]))
        #expect(
            state.groups.all["g"] == [
                place(1, 0): GroupOffset(offset: 5, leaderEpoch: 0, metadata: "m", committedMs: 3)
            ])
        try state.submit(.deleteGroupOffsets(group: "g", partitions: [place(1, 0), place(1, 1)]))
        #expect(state.groups.all["g"] == [:])
        try state.submit(.deleteGroup(group: "g"))
        #expect(state.refusal(of: .deleteGroup(group: "g")) == .unknownGroup("g"))
    }

    @Test func retentionByTimeTrustsTheCommitWhereTimestampsCannotBe() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("old", nowMs: 10_000, run(1, 0, maxMs: 1_000)))
        try state.submit(object("future", nowMs: 20_000, run(1, 0, maxMs: 999_999_999)))
        try state.submit(object("unknown", nowMs: 30_000, run(1, 0, minMs: -1, maxMs: -1)))
        func start(_ olderThanMs: Int64?, _ bytes: Int64? = nil) -> Int64? {
            state.topics.partition(topicID(1), 0)
                .map { state.logStartAfterRetention($0, olderThanMs: olderThanMs, sizeBytesMax: bytes) }
        }
        #expect(start(1_000) == 0)
        #expect(start(1_001) == 10)
        #expect(start(20_001) == 20)
        #expect(start(30_001) == 30)
        #expect(start(nil, 300) == 0)
        #expect(start(nil, 299) == 10)
        #expect(start(nil, 0) == 30)
        #expect(start(nil, nil) == 0)
    }
}
