import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Metadata and DescribeCluster: one node, which leads everything.
struct MetadataHandler: Sendable {
    let view: LedgerView
    let advertised: Advertised
    let creator: TopicCreator
    let configuration: CloudConfiguration

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(MetadataRequest.self)
        let version = request.header.apiVersion
        if asked.wantsAllTopics(version: version) {
            return request.answer(response(view.topics().map { topic($0) }), on: loop)
        }
        let topics = (asked.topics ?? []).map { find($0, version) }
        let mayCreate = configuration.createsTopics && (version < 4 || asked.allowsAutoTopicCreation)
        let missing = topics.filter { $0.errorCode == .unknownTopicOrPartition }.compactMap(\.name)
        guard mayCreate, !missing.isEmpty else { return request.answer(response(topics), on: loop) }
        return creator.createMissing(Array(missing.prefix(Self.createdMax)), loop).map { _ in
            response(topics.map { $0.errorCode == .unknownTopicOrPartition ? again($0) : $0 })
        }.answer(request)
    }

    /// Topics that one request may create by naming them.
    private static let createdMax = 100

    func handleCluster(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(DescribeClusterRequest.self)
        var response = DescribeClusterResponse()
        response.endpointType = asked.endpointType
        response.clusterID = advertised.clusterID
        guard asked.endpointType == 1 else {
            response.errorCode = asked.endpointType == 2 ? .mismatchedEndpointType : .unsupportedEndpointType
            return request.answer(response, on: loop)
        }
        response.controllerID = advertised.nodeID
        var broker = DescribeClusterResponse.Broker()
        broker.brokerID = advertised.nodeID
        broker.host = advertised.current.host
        broker.port = advertised.current.port
        broker.rack = advertised.rack
        response.brokers = [broker]
        return request.answer(response, on: loop)
    }

    private func response(_ topics: [MetadataResponse.Topic]) -> MetadataResponse {
        let endpoint = advertised.current
        var response = MetadataResponse()
        response.brokers = [
            MetadataResponse.Broker(
                nodeID: advertised.nodeID, host: endpoint.host, port: endpoint.port, rack: advertised.rack)
        ]
        response.clusterID = advertised.clusterID
        response.controllerID = advertised.nodeID
        response.topics = topics
        return response
    }

    private func find(_ asked: MetadataRequest.Topic, _ version: Int16) -> MetadataResponse.Topic {
        if let name = asked.name {
            if let facts = view.topic(named: name) { return topic(facts) }
            return missing(name, TopicName.isValid(name) ? .unknownTopicOrPartition : .invalidTopicException)
        }
        if let facts = view.topic(id: asked.topicID) { return topic(facts) }
        var unknown = missing(version >= 12 ? nil : "", .unknownTopicId)
        unknown.topicID = asked.topicID
        return unknown
    }

    private func again(_ topic: MetadataResponse.Topic) -> MetadataResponse.Topic {
        topic.name.flatMap { view.topic(named: $0) }.map { self.topic($0) } ?? topic
    }

    private func missing(_ name: String?, _ code: ErrorCode) -> MetadataResponse.Topic {
        var topic = MetadataResponse.Topic()
        topic.name = name
        topic.errorCode = code
        return topic
    }

    private func topic(_ facts: TopicFacts) -> MetadataResponse.Topic {
        var topic = MetadataResponse.Topic()
        topic.name = facts.name
        topic.topicID = facts.id
        topic.isInternal = facts.name.hasPrefix("__")
        topic.partitions = (0..<facts.partitionCount).map { index in
            var partition = MetadataResponse.Partition()
            partition.index = index
            partition.leaderID = advertised.nodeID
            partition.leaderEpoch = Kafka.leaderEpoch
            partition.replicaNodes = [advertised.nodeID]
            partition.isrNodes = [advertised.nodeID]
            return partition
        }
        return topic
    }
}
