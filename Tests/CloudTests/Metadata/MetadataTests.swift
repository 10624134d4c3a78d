import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud

@Suite("Metadata and topics", .timeLimit(.minutes(1)))
struct MetadataTests {
    private static func metadata(
        _ world: BrokerWorld, _ names: [String]?, version: Int16 = 12, creates: Bool = true
    ) async throws -> MetadataResponse {
        var request = MetadataRequest()
        request.topics = names.map { $0.map { MetadataRequest.Topic(name: $0) } }
        request.allowsAutoTopicCreation = creates
        return try await world.ask(request, version: version)
    }

    @Test("every version names this node, the cluster and all topics", arguments: MetadataRequest.versions)
    func everyVersion(version: Int16) async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 2)
            world.broker.advertise(host: "broker.example", port: 1_234)
            let answer = try await Self.metadata(world, version == 0 ? [] : nil, version: version)
            #expect(answer.brokers.map(\.host) == ["broker.example"])
            #expect(answer.brokers.map(\.port) == [1_234])
            #expect(answer.topics.map(\.name) == ["t"])
            #expect(answer.topics.first?.partitions.map(\.leaderID) == [1, 1])
            if version >= 2 { #expect(answer.clusterID == "cairn") }
            if version >= 1 { #expect(answer.controllerID == 1) }
        }
    }

    @Test("a topic is created when somebody names it, if both sides want that")
    func autoCreate() async throws {
        let configuration = BrokerWorld.settings { $0.partitionsDefault = 3 }
        try await BrokerWorld.run(configuration) { world in
            let refused = try await Self.metadata(world, ["new"], creates: false)
            #expect(refused.topics.map(\.errorCode) == [.unknownTopicOrPartition])
            let created = try await Self.metadata(world, ["new", "bad name"])
            #expect(created.topics.map(\.errorCode) == [.none, .invalidTopicException])
            #expect(created.topics.first?.partitions.count == 3)
            let none = try await Self.metadata(world, [])
            #expect(none.topics.isEmpty)
            #expect(world.ledger.view.topics().map(\.name) == ["new"])
        }
        try await BrokerWorld.run(BrokerWorld.settings { $0.createsTopics = false }) { world in
            let refused = try await Self.metadata(world, ["new"])
            #expect(refused.topics.map(\.errorCode) == [.unknownTopicOrPartition])
        }
    }

    @Test("topics are found by id")
    func byID() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let id = try #require(world.ledger.view.topic(named: "t")?.id)
            var request = MetadataRequest()
            request.topics = [.init(topicID: id, name: nil), .init(topicID: KafkaUUID(high: 1, low: 2), name: nil)]
            let answer = try await world.ask(request, version: 12)
            #expect(answer.topics.map(\.errorCode) == [.none, .unknownTopicId])
            #expect(answer.topics.map(\.name) == ["t", nil])
        }
    }

    @Test("creating topics is checked as Kafka does, and validateOnly writes nothing")
    func createTopics() async throws {
        try await BrokerWorld.run { world in
            func create(
                _ name: String, partitions: Int32 = 1, replication: Int16 = 1,
                configs: [CreateTopicsRequest.Config] = [], assignments: [CreateTopicsRequest.Assignment] = [],
                validates: Bool = false
            ) async throws -> CreateTopicsResponse.Topic? {
                var request = CreateTopicsRequest()
                var topic = CreateTopicsRequest.Topic()
                topic.name = name
                topic.partitionCount = partitions
                topic.replicationFactor = replication
                topic.configs = configs
                topic.assignments = assignments
                request.topics = [topic]
                request.validatesOnly = validates
                return try await world.ask(request).topics.first
            }
            #expect(try await create("v", validates: true)?.errorCode == ErrorCode.none)
            #expect(world.ledger.view.topics().isEmpty)
            let good = try await create(
                "t", partitions: 2, replication: 3, configs: [.init(name: "retention.ms", value: "5")])
            #expect(good?.errorCode == ErrorCode.none)
            #expect(good?.partitionCount == 2)
            #expect(good?.replicationFactor == 3)
            #expect(good?.topicID == world.ledger.view.topic(named: "t")?.id)
            #expect(good?.configs?.first { $0.name == "retention.ms" }?.source == 1)
            #expect(try await create("t")?.errorCode == .topicAlreadyExists)
            #expect(try await create("a b")?.errorCode == .invalidTopicException)
            #expect(try await create("x", partitions: 0)?.errorCode == .invalidPartitions)
            #expect(try await create("x", replication: 0)?.errorCode == .invalidReplicationFactor)
            #expect(try await create("x", replication: 4)?.errorCode == .invalidReplicationFactor)
            for config in [
                ("nonsense", "1"), ("retention.ms", "soon"), ("cleanup.policy", "compact,shrink"), ("cairn.ack", "wal"),
            ] {
                let answer = try await create("x", configs: [.init(name: config.0, value: config.1)])
                #expect(answer?.errorCode == .invalidConfig, "\(config)")
                #expect(answer?.errorMessage?.isEmpty == false)
            }
            var assignment = CreateTopicsRequest.Assignment()
            assignment.brokerIDs = [1]
            #expect(try await create("x", assignments: [assignment])?.errorCode == .invalidRequest)
            let assigned = try await create("y", partitions: -1, replication: -1, assignments: [assignment])
            #expect(assigned?.errorCode == ErrorCode.none)
        }
    }

    @Test("topics are deleted by name and by id, and grow but do not shrink")
    func deleteAndGrow() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("a")
            try await world.createTopic("b")
            var grow = CreatePartitionsRequest()
            var topic = CreatePartitionsRequest.Topic()
            topic.name = "a"
            topic.partitionCount = 4
            topic.assignments = nil
            grow.topics = [topic]
            #expect(try await world.ask(grow).results.map(\.errorCode) == [.none])
            #expect(world.ledger.view.topic(named: "a")?.partitionCount == 4)
            #expect(try await world.ask(grow).results.map(\.errorCode) == [.invalidPartitions])
            var delete = DeleteTopicsRequest()
            let id = try #require(world.ledger.view.topic(named: "b")?.id)
            delete.topics = [.init(name: "a"), .init(name: nil, topicID: id), .init(name: "none")]
            let answer = try await world.ask(delete, version: 6)
            #expect(answer.topics.map(\.errorCode) == [.none, .none, .unknownTopicOrPartition])
            #expect(answer.topics.map(\.name) == ["a", "b", "none"])
            #expect(world.ledger.view.topics().isEmpty)
        }
    }

    @Test("configs of a topic are its own and the defaults; a broker has none")
    func describeConfigs() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", configs: ["retention.ms": "77"])
            var request = DescribeConfigsRequest()
            var topic = DescribeConfigsRequest.Resource()
            topic.type = 2
            topic.name = "t"
            topic.keys = nil
            var one = topic
            one.keys = ["retention.ms"]
            var missing = topic
            missing.name = "none"
            var broker = DescribeConfigsRequest.Resource()
            broker.type = 4
            broker.name = "1"
            broker.keys = nil
            request.resources = [topic, one, missing, broker]
            let results = try await world.ask(request).results
            #expect(results.map(\.errorCode) == [.none, .none, .unknownTopicOrPartition, .none])
            #expect(results[0].configs.count > 20)
            #expect(results[1].configs.map(\.value) == ["77"])
            #expect(results[1].configs.map(\.source) == [1])
            #expect(results[3].configs.isEmpty)
        }
    }

    @Test("the cluster has one node")
    func describeCluster() async throws {
        try await BrokerWorld.run { world in
            let answer = try await world.ask(DescribeClusterRequest())
            #expect(answer.errorCode == ErrorCode.none)
            #expect(answer.brokers.map(\.brokerID) == [1])
            #expect(answer.controllerID == 1)
        }
    }

    @Test("a body that does not parse fails the request, at every version of every API")
    func garbage() async throws {
        try await BrokerWorld.run { world in
            for api in world.broker.apis {
                for version in api.minVersion...api.maxVersion {
                    try await world.callGarbage(api.key, version)
                }
            }
        }
    }
}
