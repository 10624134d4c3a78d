import GroupCoordination
import KafkaListener
import KafkaProtocol
import NIOCore

/// Coordinators as a gateway has them: itself for groups, none for transactions.
struct EdgeCoordinator: CoordinatorDirectory {
    static let noTransactions = "transactions are served by the cloud"
    let configuration: EdgeKafkaConfiguration

    /// A transactional id gets TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which is final in every client; a producer that waited would
    /// only hold data.
    func coordinator(
        _ kind: CoordinatorKind, seenFrom connection: KafkaConnection
    ) -> Result<CoordinatorAddress, CoordinatorRefusal> {
        switch kind {
        case .group:
            let address = EdgeAddress(configuration, seenFrom: connection)
            return .success(
                CoordinatorAddress(nodeID: configuration.nodeID, host: address.host, port: address.port))
        case .transaction:
            return .failure(
                CoordinatorRefusal(
                    code: .transactionalIdAuthorizationFailed, message: Self.noTransactions))
        }
    }
}

/// Where a client is told to connect: the configured address, else the one it reached us at.
struct EdgeAddress {
    let host: String
    let port: Int32

    init(_ configuration: EdgeKafkaConfiguration, seenFrom connection: KafkaConnection) {
        host = configuration.advertisedHost ?? connection.local?.ipAddress ?? "127.0.0.1"
        port = Int32(clamping: configuration.advertisedPort ?? connection.local?.port ?? 9092)
    }
}
