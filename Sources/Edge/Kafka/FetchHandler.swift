import KafkaListener
import KafkaProtocol
import NIOCore

/// Fetch without groups and without sessions: a gateway answers session id 0, which every client takes as "none" (F5).
struct FetchHandler {
    let services: EdgeServices

    func handle(
        _ request: FetchRequest, _ header: RequestHeader, on connection: KafkaConnection
    ) -> EventLoopFuture<KafkaResponse?> {
        if let code = Self.refusal(of: request, version: header.apiVersion) {
            var response = FetchResponse()
            response.errorCode = code
            let answer = response
            return connection.eventLoop.makeCompletedFuture { try KafkaResponse(answer, for: header) }
        }
        let state = EdgeConnection.of(connection, services)
        let poll = FetchPoll(
            plan: FetchPlan(request, version: header.apiVersion, services: services), header: header,
            services: services, connection: state, eventLoop: connection.eventLoop)
        state.begin(poll)
        return poll.promise.futureResult
    }

    /// A session that we never made, or an epoch that would continue one.
    private static func refusal(of request: FetchRequest, version: Int16) -> ErrorCode? {
        guard version >= 7 else { return nil }
        if request.sessionID != 0 { return .fetchSessionIdNotFound }
        return request.sessionEpoch > 0 || request.sessionEpoch < -1 ? .invalidFetchSessionEpoch : nil
    }
}
