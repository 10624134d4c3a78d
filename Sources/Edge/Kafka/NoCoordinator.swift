import KafkaProtocol

/// FindCoordinator on a gateway: there is none, and the answer says where to go.
enum NoCoordinator {
    static let groups = "consumer groups are served by the cloud; a gateway serves readers that choose their partitions"
    static let transactions = "transactions are served by the cloud"

    /// Groups get COORDINATOR_NOT_AVAILABLE, which clients retry: the answer may change with a release. A transactional id gets
    /// TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which is final in every client; a producer that waited would only hold data.
    static func answer(_ request: FindCoordinatorRequest) -> FindCoordinatorResponse {
        let isTransaction = request.keyType == 1
        var response = FindCoordinatorResponse()
        response.errorCode = isTransaction ? .transactionalIdAuthorizationFailed : .coordinatorNotAvailable
        response.errorMessage = isTransaction ? transactions : groups
        response.nodeID = -1
        response.port = -1
        response.coordinators = request.coordinatorKeys.map { key in
            var coordinator = FindCoordinatorResponse.Coordinator()
            coordinator.key = key
            coordinator.nodeID = -1
            coordinator.port = -1
            coordinator.errorCode = response.errorCode
            coordinator.errorMessage = response.errorMessage
            return coordinator
        }
        return response
    }
}
