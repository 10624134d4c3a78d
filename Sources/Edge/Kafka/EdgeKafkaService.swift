import GroupCoordination
public import KafkaListener
import KafkaProtocol
public import NIOCore

/// The gateway as a Kafka broker of one node: producers on the site write into the lanes, readers on the site read back what
/// is still on disk, also in an outage.
///
/// - Durability: a positive answer to a produce leaves after fdatasync, whatever `acks` says; acks=0 gets no answer.
/// - Groups are the site's own, and so are their offsets: they count in the lanes' logs.
/// - No transactions: those are the cloud's. Who asks for their coordinator is told so.
public final class EdgeKafkaService: KafkaService {
    private let services: EdgeServices

    init(_ services: EdgeServices) {
        self.services = services
    }

    public let apis =
        [
            SupportedAPI(ProduceRequest.self), SupportedAPI(FetchRequest.self), SupportedAPI(ListOffsetsRequest.self),
            SupportedAPI(MetadataRequest.self), SupportedAPI(InitProducerIDRequest.self),
            SupportedAPI(DescribeClusterRequest.self),
        ] + GroupHandlers.apis

    public func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        do {
            switch request.header.apiKey {
            case .produce:
                return ProduceHandler(services: services)
                    .handle(try request.decode(ProduceRequest.self), request.header, on: connection)
            case .fetch:
                return FetchHandler(services: services)
                    .handle(try request.decode(FetchRequest.self), request.header, on: connection)
            case .listOffsets:
                return ListOffsetsHandler(services: services)
                    .handle(try request.decode(ListOffsetsRequest.self), request.header, on: connection)
            case .initProducerID:
                return InitProducerIDHandler(services: services)
                    .handle(try request.decode(InitProducerIDRequest.self), request.header, on: connection)
            case .metadata:
                let answer = ClusterView(services: services, connection: connection)
                    .metadata(try request.decode(MetadataRequest.self), version: request.header.apiVersion)
                return finished(try KafkaResponse(answer, for: request.header), connection)
            case .describeCluster:
                let answer = ClusterView(services: services, connection: connection)
                    .cluster(try request.decode(DescribeClusterRequest.self))
                return finished(try KafkaResponse(answer, for: request.header), connection)
            default:
                if let answer = try services.groups.handle(request, on: connection) { return answer }
                throw WireError.versionUnsupported(
                    api: request.header.apiKey.rawValue, version: request.header.apiVersion)
            }
        } catch {
            return connection.eventLoop.makeFailedFuture(error)
        }
    }

    private func finished(_ response: KafkaResponse, _ connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?> {
        connection.eventLoop.makeSucceededFuture(response)
    }
}
