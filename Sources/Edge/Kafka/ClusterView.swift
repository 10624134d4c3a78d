import KafkaListener
import KafkaProtocol
import NIOCore

/// The gateway as a cluster of one node, seen from one connection.
struct ClusterView {
    let services: EdgeServices
    let connection: KafkaConnection

    /// The leader epoch of every partition. A gateway's log never diverges from another's, so it never changes (L4).
    static let leaderEpoch: Int32 = 0

    /// Rule C6, but a topic that is made by the question is there in the answer: nothing has to be waited for.
    func metadata(_ request: MetadataRequest, version: Int16) -> MetadataResponse {
        var response = MetadataResponse()
        response.brokers = [.init(nodeID: nodeID, host: address.host, port: address.port)]
        response.clusterID = services.clusterID
        response.controllerID = nodeID
        if request.wantsAllTopics(version: version) {
            response.topics = services.topics.all().map(describe)
        } else {
            response.topics = (request.topics ?? []).map { find($0, mayCreate: request.allowsAutoTopicCreation) }
        }
        return response
    }

    func cluster(_ request: DescribeClusterRequest) -> DescribeClusterResponse {
        var response = DescribeClusterResponse()
        guard request.endpointType == 1 else {
            response.errorCode = request.endpointType == 2 ? .mismatchedEndpointType : .unsupportedEndpointType
            response.errorMessage = "this listener serves brokers"
            return response
        }
        var broker = DescribeClusterResponse.Broker()
        broker.brokerID = nodeID
        broker.host = address.host
        broker.port = address.port
        response.brokers = [broker]
        response.clusterID = services.clusterID
        response.controllerID = nodeID
        return response
    }

    private var nodeID: Int32 { services.configuration.nodeID }
    private var address: EdgeAddress { EdgeAddress(services.configuration, seenFrom: connection) }

    private func find(_ asked: MetadataRequest.Topic, mayCreate: Bool) -> MetadataResponse.Topic {
        guard let name = asked.name else {
            if let known = services.topics.topic(id: asked.topicID) { return describe(known) }
            return refuse(asked, .unknownTopicId)
        }
        if let known = services.topics.topic(named: name) { return describe(known) }
        guard TopicName.isValid(name) else { return refuse(asked, .invalidTopicException) }
        guard mayCreate else { return refuse(asked, .unknownTopicOrPartition) }
        do {
            return describe(try services.topics.findOrCreate(name))
        } catch {
            return refuse(asked, error.code)
        }
    }

    private func refuse(_ asked: MetadataRequest.Topic, _ code: ErrorCode) -> MetadataResponse.Topic {
        var topic = MetadataResponse.Topic()
        topic.errorCode = code
        topic.name = asked.name
        topic.topicID = asked.topicID
        return topic
    }

    private func describe(_ known: LocalTopic) -> MetadataResponse.Topic {
        var topic = MetadataResponse.Topic()
        topic.name = known.name
        topic.topicID = known.id
        topic.partitions = (0..<known.partitionCount).map { index in
            var partition = MetadataResponse.Partition()
            partition.index = index
            partition.leaderID = nodeID
            partition.leaderEpoch = Self.leaderEpoch
            partition.replicaNodes = [nodeID]
            partition.isrNodes = [nodeID]
            return partition
        }
        return topic
    }
}

extension LocalTopics.Refusal {
    /// A topic too many reads like one that may not be made.
    var code: ErrorCode {
        switch self {
        case .nameInvalid: .invalidTopicException
        case .unknown, .tooMany: .unknownTopicOrPartition
        }
    }
}
