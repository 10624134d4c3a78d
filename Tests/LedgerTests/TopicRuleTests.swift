import KafkaProtocol
import Testing

@testable import Ledger

@Suite struct TopicRuleTests {
    @Test func aTopicIsFoundByNameAndByIdOnceCreated() throws {
        let state = try LedgerState.withTopic()
        #expect(state.topics.facts(named: "gnss")?.id == topicID(1))
        #expect(state.topics.facts(id: topicID(1))?.partitionCount == 3)
        #expect(state.watermarks(1, 2) == [0, 0])
        #expect(state.watermarks(1, 3) == nil)
    }

    @Test func aNameOrIdInUseIsRefused() throws {
        let state = try LedgerState.withTopic()
        #expect(state.refusal(of: create("gnss", 2)) == .topicExists(name: "gnss", id: topicID(1)))
        #expect(state.refusal(of: create("other", 1)) == .invalidTopicID(topicID(1)))
        let zero = CreateTopic(name: "zero", id: .zero, partitionCount: 1, nowMs: 0)
        #expect(state.refusal(of: .createTopic(zero)) == .invalidTopicID(.zero))
    }

    @Test func namesThatDifferOnlyInDotAndUnderscoreCollide() throws {
        var state = LedgerState()
        try state.submit(create("site.pier", 1))
        #expect(
            state.refusal(of: create("site_pier", 2)) == .topicNameCollides(name: "site_pier", with: "site.pier"))
        #expect(state.topics.facts(named: "site_pier") == nil)
    }

    @Test(arguments: ["", ".", "..", "a b", "ü", String(repeating: "a", count: 250), "a/b"])
    func aNameKafkaWouldRefuseIsRefused(name: String) {
        #expect(LedgerState().refusal(of: create(name, 1)) == .invalidTopicName(name))
    }

    @Test(arguments: [0, -1, LedgerLimits.partitionsPerTopicMax + 1])
    func aPartitionCountOutOfRangeIsRefused(count: Int32) {
        let refusal = LedgerState().refusal(of: create("a", 1, partitions: count))
        #expect(refusal?.errorCode == .invalidPartitions)
    }

    @Test func validateOnlyChecksEverythingAndChangesNothing() throws {
        let state = try LedgerState.withTopic()
        let good = CreateTopic(name: "new", id: topicID(2), partitionCount: 1, validateOnly: true, nowMs: 0)
        #expect(try state.decide(.createTopic(good)).records.isEmpty)
        let bad = CreateTopic(name: "gnss", id: topicID(2), partitionCount: 1, validateOnly: true, nowMs: 0)
        #expect(state.refusal(of: .createTopic(bad))?.errorCode == .topicAlreadyExists)
    }

    @Test func partitionsOnlyGrow() throws {
        var state = try LedgerState.withTopic()
        let fewer = CreatePartitions(topic: .name("gnss"), partitionCount: 3, nowMs: 0)
        #expect(state.refusal(of: .createPartitions(fewer))?.errorCode == .invalidPartitions)
        try state.submit(object("o1", run(1, 2)))
        try state.submit(.createPartitions(CreatePartitions(topic: .name("gnss"), partitionCount: 5, nowMs: 0)))
        #expect(state.watermarks(1, 4) == [0, 0])
        #expect(state.watermarks(1, 2) == [0, 10])
    }

    @Test func configsAreReplacedAsAWhole() throws {
        var state = try LedgerState.withTopic()
        try state.submit(
            .setTopicConfigs(SetTopicConfigs(topic: .name("gnss"), configs: ["a": "1", "b": "2"], nowMs: 0)))
        try state.submit(.setTopicConfigs(SetTopicConfigs(topic: .id(topicID(1)), configs: ["b": "3"], nowMs: 0)))
        #expect(state.topics.facts(named: "gnss")?.configs == ["b": "3"])
    }

    @Test func aDeletedTopicTakesItsOffsetsAndExtentsAlong() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0)))
        let offset = CommitGroupOffsets(
            group: "g", items: [.init(topicID: topicID(1), partition: 0, offset: 3)], nowMs: 0)
        try state.submit(.commitGroupOffsets(offset))
        try state.submit(.deleteTopic(DeleteTopic(topic: .name("gnss"), nowMs: 7_000)))
        #expect(state.topics.facts(named: "gnss") == nil)
        #expect(state.groups.all["g"] == [:])
        #expect(state.objects.facts("o1")?.state == .unreferenced(sinceMs: 7_000))
        #expect(
            state.refusal(of: .deleteTopic(DeleteTopic(topic: .name("gnss"), nowMs: 0)))?.errorCode
                == .unknownTopicOrPartition)
    }

    @Test func theSameNameAfterDeletionIsANewTopicFromOffsetZero() throws {
        var state = try LedgerState.withTopic()
        try state.submit(object("o1", run(1, 0)))
        try state.submit(.deleteTopic(DeleteTopic(topic: .id(topicID(1)), nowMs: 1)))
        try state.submit(create("gnss", 2))
        #expect(state.watermarks(2, 0) == [0, 0])
        #expect(try state.submit(object("o2", run(1, 0))) == .runs([.rejected(.unknownTopicOrPartition)]))
    }

    @Test func aHugeDeletedTopicIsReleasedBitByBit() throws {
        var state = try LedgerState.withTopic()
        let extents = LedgerState.condemnedPerRecord + 100
        for number in 0..<extents { try state.submit(object("o\(number)", run(1, 0))) }
        try state.submit(.deleteTopic(DeleteTopic(topic: .name("gnss"), nowMs: 7_000)))
        #expect(state.objects.unreferencedSince.count == LedgerState.condemnedPerRecord)
        try state.submit(.allocateProducerID(count: 1))
        #expect(state.objects.unreferencedSince.count == extents)
        #expect(state.condemned.isEmpty)
        #expect(Set(state.objects.unreferencedSince.values) == [7_000])
    }
}
