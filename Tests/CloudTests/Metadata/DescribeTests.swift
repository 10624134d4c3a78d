import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud

@Suite("Descriptions of topics, logs and settings", .timeLimit(.minutes(1)))
struct DescribeTests {
    @Test("DescribeTopicPartitions gives topics a page at a time, and errors by topic")
    func topicPartitions() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("a", partitions: 3)
            try await world.createTopic("b", partitions: 2)
            var request = DescribeTopicPartitionsRequest()
            request.responsePartitionLimit = 4
            let first = try await world.ask(request)
            #expect(first.topics.map(\.name) == ["a", "b"])
            #expect(first.topics.map { $0.partitions.map(\.index) } == [[0, 1, 2], [0]])
            #expect(first.topics[0].partitions[0].leaderID == 1)
            #expect(first.topics[0].partitions[0].eligibleLeaderReplicas == [], "Java does not look for null")
            #expect(first.topics[0].topicAuthorizedOperations == 3_576)
            request.cursor = first.nextCursor
            let second = try await world.ask(request)
            #expect(second.topics.map { $0.partitions.map(\.index) } == [[1]])
            #expect(second.nextCursor == nil)

            request.cursor = nil
            request.topics = [.init(name: "no"), .init(name: "b"), .init(name: "not allowed")]
            let named = try await world.ask(request)
            #expect(named.topics.map(\.errorCode) == [.none, .unknownTopicOrPartition, .invalidTopicException])
            request.cursor = TopicPartitionCursor(topicName: "b", partitionIndex: -1)
            #expect(try await world.ask(request).topics.map(\.errorCode) == Array(repeating: .invalidRequest, count: 3))
        }
    }

    @Test("C5: DescribeLogDirs tells what each partition takes", arguments: DescribeLogDirsRequest.versions)
    func logDirs(version: Int16) async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 2)
            try await world.createTopic("u")
            let batch = Batches.make(["one", "two"])
            try await world.produce(batch, partition: 1)
            try await world.produce(batch, partition: 1)
            var request = DescribeLogDirsRequest()
            request.topics = nil
            let answer = try await world.ask(request, version: version)
            #expect(answer.errorCode == .none)
            let dir = try #require(answer.results.first)
            #expect(answer.results.count == 1 && dir.errorCode == .none && dir.logDirectory.hasPrefix("/"))
            #expect(dir.topics.map(\.name) == ["t", "u"])
            #expect(dir.topics[0].partitions.map(\.sizeBytes) == [0, Int64(2 * batch.readableBytes)])
            #expect(dir.totalBytes == -1 && dir.usableBytes == -1)

            var topic = DescribeLogDirsRequest.Topic()
            topic.name = "t"
            topic.partitions = [1, 7]
            var missing = DescribeLogDirsRequest.Topic()
            missing.name = "none"
            missing.partitions = [0]
            request.topics = [topic, missing]
            let named = try await world.ask(request, version: version)
            #expect(named.results.first?.topics.map(\.name) == ["t"])
            #expect(named.results.first?.topics.first?.partitions.map(\.index) == [1])
        }
    }

    @Test("ListConfigResources names topics and the node; version 0 asks for client metrics only")
    func configResources() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            func list(_ types: [Int8], version: Int16 = 1) async throws -> ListConfigResourcesResponse {
                var request = ListConfigResourcesRequest()
                request.resourceTypes = types
                return try await world.ask(request, version: version)
            }
            let all = try await list([])
            #expect(all.resources.map { "\($0.type) \($0.name)" } == ["2 t", "4 1", "8 1"])
            #expect(try await list([2]).resources.map(\.name) == ["t"])
            #expect(try await list([16, 32]).resources.isEmpty)
            let unknown = try await list([2, 3])
            #expect(unknown.errorCode == .unsupportedVersion && unknown.resources.isEmpty)
            let old = try await list([], version: 0)
            #expect(old.errorCode == .none && old.resources.isEmpty)
        }
    }

    @Test("P8: NOT_LEADER_OR_FOLLOWER says who leads and where that node listens", arguments: [Int16(9), 10, 13])
    func currentLeader(version: Int16) async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            world.broker.advertise(host: "broker.example", port: 1_234)
            // Another run of this node: what this one commits is refused.
            _ = try await world.ledger.registerNode(1, nowMs: 1)
            let request = world.produceRequest([(0, Batches.make(["x"])), (9, Batches.make(["x"]))])
            let answer = try await world.ask(request, version: version)
            let partitions = try #require(answer.topics.first?.partitions)
            #expect(partitions.map(\.errorCode) == [.notLeaderOrFollower, .unknownTopicOrPartition])
            guard version >= 10 else {
                #expect(answer.nodeEndpoints.isEmpty)
                return
            }
            #expect(
                partitions.map(\.currentLeader) == [LeaderIDAndEpoch(leaderID: 1, leaderEpoch: 0), LeaderIDAndEpoch()])
            #expect(answer.nodeEndpoints == [NodeEndpoint(nodeID: 1, host: "broker.example", port: 1_234)])
        }
    }
}
