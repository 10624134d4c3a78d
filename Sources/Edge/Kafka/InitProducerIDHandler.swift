import KafkaListener
import KafkaProtocol
import NIOCore
import NIOPosix

/// Gives ids to idempotent producers (rule I5).
struct InitProducerIDHandler {
    let services: EdgeServices

    func handle(
        _ request: InitProducerIDRequest, _ header: RequestHeader, on connection: KafkaConnection
    ) -> EventLoopFuture<KafkaResponse?> {
        var refusal = InitProducerIDResponse()
        refusal.producerEpoch = -1
        if let id = request.transactionalID {
            refusal.errorCode = id.isEmpty ? .invalidRequest : .transactionalIdAuthorizationFailed
            let answer = refusal
            return connection.eventLoop.makeCompletedFuture { try KafkaResponse(answer, for: header) }
        }
        // A producer that lost its epoch asks for a new one (KIP-360). A new id serves it as well and needs no state.
        let ids = services.producerIDs
        let given = services.pool.runIfActive(eventLoop: connection.eventLoop) { try ids.next() }
        let denied = refusal
        return given.map { id in
            var response = InitProducerIDResponse()
            response.producerID = id
            return response
        }.flatMapErrorThrowing { _ in
            // The disk cannot take the next block of ids: retriable, and it heals with the disk.
            var response = denied
            response.errorCode = .coordinatorNotAvailable
            return response
        }.flatMapThrowing { try KafkaResponse($0, for: header) }
    }
}
