import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud
@testable import GroupCoordination

@Suite("G7: deleting offsets of a group", .timeLimit(.minutes(1)))
struct OffsetDeleteTests {
    private static func delete(
        _ world: BrokerWorld, group: String = "g", _ topics: [(String, [Int32])]
    ) async throws -> OffsetDeleteResponse {
        var request = OffsetDeleteRequest()
        request.groupID = group
        request.topics = topics.map { name, indexes in
            var topic = OffsetDeleteRequest.Topic()
            topic.name = name
            topic.partitionIndexes = indexes
            return topic
        }
        return try await world.ask(request)
    }

    private static func commit(_ world: BrokerWorld, _ topic: String) async throws {
        let id = try #require(world.ledger.view.topic(named: topic)?.id)
        let command = CommitGroupOffsets(group: "g", items: [.init(topicID: id, partition: 0, offset: 5)], nowMs: 1)
        #expect(try await world.ledger.commitGroupOffsets(command) == [.none])
    }

    private static func offset(_ world: BrokerWorld, _ topic: String) -> Int64? {
        world.ledger.view.topic(named: topic).flatMap { world.ledger.view.groupOffset("g", $0.id, 0)?.offset }
    }

    /// Joins as one member that reads `topics`.
    private static func join(
        _ world: BrokerWorld, _ metadata: ByteBuffer, type: String = "consumer"
    ) async throws {
        var request = JoinGroupRequest()
        request.groupID = "g"
        request.sessionTimeoutMs = 10_000
        request.rebalanceTimeoutMs = 10_000
        request.protocolType = type
        request.protocols = [.init(name: "range", metadata: metadata)]
        request.memberID = try await world.ask(request).memberID
        #expect(try await world.ask(request).errorCode == .none)
    }

    private static func subscription(_ topics: [String]) -> ByteBuffer {
        var bytes = ByteBuffer(integer: Int16(1))
        bytes.writeInteger(Int32(topics.count))
        for topic in topics {
            bytes.writeInteger(Int16(topic.utf8.count))
            bytes.writeString(topic)
        }
        bytes.writeInteger(Int32(-1))
        return bytes
    }

    @Test(
        "offsets of a group without members are forgotten; what is not there is told, and no error where nothing was committed"
    )
    func empty() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 2)
            try await world.createTopic("u")
            try await Self.commit(world, "t")
            try await Self.commit(world, "u")
            let answer = try await Self.delete(world, [("t", [0, 1, 9]), ("none", [0])])
            #expect(answer.errorCode == .none)
            #expect(
                answer.topics.map { $0.partitions.map(\.errorCode) }
                    == [[.none, .none, .unknownTopicOrPartition], [.unknownTopicOrPartition]])
            #expect(Self.offset(world, "t") == nil)
            #expect(Self.offset(world, "u") == 5)
            #expect(try await Self.delete(world, group: "other", [("t", [0])]).errorCode == .groupIdNotFound)
            #expect(try await Self.delete(world, group: "", [("t", [0])]).errorCode == .invalidGroupId)
        }
    }

    @Test("what a member reads is kept: GROUP_SUBSCRIBED_TO_TOPIC; other topics of the group are not")
    func subscribed() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.createTopic("u")
            try await Self.commit(world, "t")
            try await Self.commit(world, "u")
            try await Self.join(world, Self.subscription(["t"]))
            let answer = try await Self.delete(world, [("t", [0]), ("u", [0])])
            #expect(answer.errorCode == .none)
            #expect(answer.topics.map { $0.partitions.map(\.errorCode) } == [[.groupSubscribedToTopic], [.none]])
            #expect(Self.offset(world, "t") == 5)
            #expect(Self.offset(world, "u") == nil)
        }
    }

    @Test("a subscription that cannot be read may be of any topic; members that are no consumers keep all")
    func unreadable() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await Self.commit(world, "t")
            try await Self.join(world, ByteBuffer(string: "topics"))
            let answer = try await Self.delete(world, [("t", [0])])
            #expect(answer.topics.map { $0.partitions.map(\.errorCode) } == [[.groupSubscribedToTopic]])
        }
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await Self.commit(world, "t")
            try await Self.join(world, Self.subscription(["u"]), type: "connect")
            #expect(try await Self.delete(world, [("t", [0])]).errorCode == .nonEmptyGroup)
            #expect(Self.offset(world, "t") == 5)
        }
    }

    @Test("subscriptions cut anywhere are no subscriptions")
    func cut() {
        let whole = Self.subscription(["t", "topic-2"])
        #expect(ConsumerSubscription.topics(whole) == ["t", "topic-2"])
        for length in 0..<whole.readableBytes - 4 {
            #expect(ConsumerSubscription.topics(whole.getSlice(at: 0, length: length)!) == nil)
        }
        #expect(ConsumerSubscription.topics(ByteBuffer(bytes: [0, 0, 0x7f, 0xff, 0xff, 0xff])) == nil)
    }
}
