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

    // Without topic ids: Produce 12, Fetch 12 and Metadata 9 name topics by name. Fetch is there because librdkafka sends the
    // message format before 0.11, with a CRC-32 of zlib for each message, to whoever has no Fetch 4.
    public let apis = [
        SupportedAPI(ProduceRequest.self, maxVersion: 12), SupportedAPI(FetchRequest.self, maxVersion: 12),
        SupportedAPI(MetadataRequest.self, maxVersion: 9), SupportedAPI(InitProducerIDRequest.self),
    ]

    public func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        if request.header.apiKey == .fetch { return fetch(request, on: connection) }
        return connection.eventLoop.makeCompletedFuture {
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

    /// There is never anything, which a consumer is told when its time is up.
    private func fetch(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        do {
            let message = try request.decode(FetchRequest.self)
            var response = FetchResponse()
            response.topics = message.topics.map { topic in
                var answer = FetchResponse.Topic()
                answer.name = topic.name
                answer.partitions = topic.partitions.map { partition in
                    var answer = FetchResponse.Partition()
                    answer.index = partition.index
                    answer.lastStableOffset = 0
                    answer.logStartOffset = 0
                    return answer
                }
                return answer
            }
            let encoded = try KafkaResponse(response, for: request.header)
            let wait = TimeAmount.milliseconds(Int64(max(0, min(message.maxWaitMs, 60_000))))
            return connection.eventLoop.scheduleTask(in: wait) { encoded }.futureResult
        } catch {
            return connection.eventLoop.makeFailedFuture(error)
        }
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
