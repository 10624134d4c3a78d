public import KafkaProtocol
public import NIOCore

extension KafkaRequest {
    /// The answer as a finished future. One that cannot be encoded closes the connection: that is our error, not the peer's.
    public func answer<Message: WireMessage>(
        _ message: Message, on loop: any EventLoop, whenDone: (@Sendable () -> Void)? = nil
    ) -> EventLoopFuture<KafkaResponse?> {
        do {
            return loop.makeSucceededFuture(try response(message, whenDone: whenDone))
        } catch {
            whenDone?()
            return loop.makeFailedFuture(error)
        }
    }

    public func response<Message: WireMessage>(
        _ message: Message, whenDone: (@Sendable () -> Void)? = nil
    ) throws(WireError) -> KafkaResponse {
        KafkaResponse(chunks: try WireFrame.response(message, for: header), whenDone: whenDone)
    }
}

extension EventLoopFuture where Value: WireMessage {
    /// The same for an answer that comes later.
    public func answer(_ request: KafkaRequest) -> EventLoopFuture<KafkaResponse?> {
        flatMapThrowing { try request.response($0) }
    }
}
