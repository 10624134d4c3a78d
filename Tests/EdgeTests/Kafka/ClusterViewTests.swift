import KafkaProtocol
import NIOCore
import Testing
import WriteAheadLog

@testable import Edge

@Suite struct ClusterViewTests {
    static func metadata(_ names: [String]?, create: Bool = true) -> MetadataRequest {
        var request = MetadataRequest()
        request.topics = names.map { $0.map { .init(name: $0) } }
        request.allowsAutoTopicCreation = create
        return request
    }

    @Test("a topic asked for is made and described at once", arguments: [Int16(1), 4, 8, 9, 12, 13])
    func creates(version: Int16) async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            let answer = try await client.ask(Self.metadata(["t"]), version: version)
            let topic = try #require(answer.topics.first)
            #expect(topic.errorCode == .none && topic.name == "t")
            #expect(topic.partitions.map(\.index) == [0, 1])
            #expect(topic.partitions.allSatisfy { $0.leaderID == 1 && $0.isrNodes == [1] && $0.replicaNodes == [1] })
            if version >= 10 { #expect(topic.topicID == gateway.gateway.topics.topic(named: "t")?.id) }
            #expect(answer.controllerID == 1)
            #expect(answer.brokers.map(\.host) == ["127.0.0.1"])
            #expect(answer.brokers.map { Int($0.port) } == [gateway.gateway.kafkaAddress?.port])
            if version >= 2 { #expect(answer.clusterID == gateway.gateway.identity.incarnation) }
        }
    }

    @Test("null asks for all topics and an empty list for none; version 0 says all with an empty list")
    func allTopics() async throws {
        let gateway = try GatewayUnderTest { $0.topics = [TopicSettings(name: "a"), TopicSettings(name: "b")] }
        try await GatewayUnderTest.run(gateway) { client in
            let all = try await client.ask(Self.metadata(nil), version: 9)
            #expect(all.topics.map(\.name) == ["a", "b"])
            let none = try await client.ask(Self.metadata([]), version: 9)
            #expect(none.topics.isEmpty)
            let old = try await client.ask(Self.metadata([]), version: 0)
            #expect(old.topics.map(\.name) == ["a", "b"])
        }
    }

    @Test("topics that may not be made are refused with Kafka's codes")
    func refusals() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.topicsMax = 1 }
        try await GatewayUnderTest.run(gateway) { client in
            let asked = try await client.ask(Self.metadata(["bad name", "t"], create: false), version: 9)
            #expect(asked.topics.map(\.errorCode) == [.invalidTopicException, .unknownTopicOrPartition])
            let made = try await client.ask(Self.metadata(["t", "u"]), version: 9)
            #expect(made.topics.map(\.errorCode) == [ErrorCode.none, .unknownTopicOrPartition])
            var byID = MetadataRequest()
            byID.topics = [.init(topicID: KafkaUUID(high: 1, low: 1), name: nil)]
            let unknown = try await client.ask(byID, version: 12)
            #expect(unknown.topics.map(\.errorCode) == [.unknownTopicId])
        }
    }

    @Test("configured names and addresses are what clients are told")
    func advertised() async throws {
        let gateway = try GatewayUnderTest {
            $0.kafka.advertisedHost = "gateway.site"
            $0.kafka.advertisedPort = 9999
            $0.kafka.nodeID = 42
            $0.kafka.clusterID = "site-7"
        }
        try await GatewayUnderTest.run(gateway) { client in
            let cluster = try await client.ask(DescribeClusterRequest(), version: 1)
            #expect(cluster.brokers.map(\.host) == ["gateway.site"])
            #expect(cluster.brokers.map(\.port) == [9999])
            #expect(cluster.brokers.map(\.brokerID) == [42])
            #expect(cluster.clusterID == "site-7")
            var controllers = DescribeClusterRequest()
            controllers.endpointType = 2
            #expect(try await client.ask(controllers, version: 1).errorCode == .mismatchedEndpointType)
        }
    }
}
