import KafkaProtocol
import Synchronization

/// What clients are told of this node. The port may be known only when the listener has bound.
final class Advertised: Sendable {
    struct Endpoint: Sendable, Equatable {
        var host: String
        var port: Int32
    }

    let nodeID: Int32
    let clusterID: String
    let rack: String?
    private let endpoint: Mutex<Endpoint>

    init(_ configuration: CloudConfiguration) {
        nodeID = configuration.nodeID
        clusterID = configuration.clusterID
        rack = configuration.rack
        endpoint = Mutex(
            Endpoint(host: configuration.advertisedHost, port: Int32(clamping: configuration.advertisedPort)))
    }

    var current: Endpoint { endpoint.withLock { $0 } }

    /// This node as an answer names it beside a leader.
    var node: NodeEndpoint {
        let endpoint = current
        return NodeEndpoint(nodeID: nodeID, host: endpoint.host, port: endpoint.port, rack: rack)
    }

    func set(_ next: Endpoint) { endpoint.withLock { $0 = next } }
}
