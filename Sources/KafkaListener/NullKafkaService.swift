import KafkaProtocol
public import NIOCore
import Synchronization

/// A benchmark peer: takes everything a producer sends, checks and stores nothing, and answers at once.
///
/// What a gateway or a broker costs is told by comparing it with this one on the same machine in the same minute. It knows
/// every topic anybody asks for, with `partitionCount` partitions, and answers all produces with offset 0.
public final class NullKafkaService: KafkaService {
    private let partitionCount: Int32
    private let lastProducerID = Atomic<Int64>(0)

    public init(partitionCount: Int32 = 4) {
        self.partitionCount = max(1, partitionCount)
    }

    // Without topic ids: Produce 12 and Metadata 9 name topics by name.
    public let apis = [
        SupportedAPI(ProduceRequest.self, maxVersion: 12), SupportedAPI(MetadataRequest.self, maxVersion: 9),
        SupportedAPI(InitProducerIDRequest.self),
    ]

    public func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        connection.eventLoop.makeCompletedFuture {
            switch request.header.apiKey {
            case .produce: try produce(request)
            case .metadata: try metadata(request, on: connection)
            default: try initProducerID(request)
            }
        }
    }

    private func produce(_ request: KafkaRequest) throws(WireError) -> KafkaResponse? {
        let message = try request.decode(ProduceRequest.self)
        guard message.acks != 0 else { return nil }
        var response = ProduceResponse()
        response.topics = message.topics.map { topic in
            var answer = ProduceResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { partition in
                var answer = ProduceResponse.Partition()
                answer.index = partition.index
                return answer
            }
            return answer
        }
        return try KafkaResponse(response, for: request.header)
    }

    private func metadata(_ request: KafkaRequest, on connection: KafkaConnection) throws(WireError) -> KafkaResponse? {
        let message = try request.decode(MetadataRequest.self)
        var response = MetadataResponse()
        response.brokers = [
            .init(
                nodeID: 1, host: connection.local?.ipAddress ?? "127.0.0.1",
                port: Int32(connection.local?.port ?? 9092))
        ]
        response.controllerID = 1
        response.clusterID = "null"
        response.topics = (message.topics ?? []).map { asked in
            var topic = MetadataResponse.Topic()
            topic.name = asked.name
            topic.partitions = (0..<partitionCount).map { index in
                var partition = MetadataResponse.Partition()
                partition.index = index
                partition.leaderID = 1
                partition.leaderEpoch = 0
                partition.replicaNodes = [1]
                partition.isrNodes = [1]
                return partition
            }
            return topic
        }
        return try KafkaResponse(response, for: request.header)
    }

    private func initProducerID(_ request: KafkaRequest) throws(WireError) -> KafkaResponse? {
        _ = try request.decode(InitProducerIDRequest.self)
        var response = InitProducerIDResponse()
        response.producerID = lastProducerID.add(1, ordering: .relaxed).newValue
        return try KafkaResponse(response, for: request.header)
    }
}
