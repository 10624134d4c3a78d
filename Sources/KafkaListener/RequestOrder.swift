public import NIOCore

/// Lets the requests of one connection take effect in the order in which they came, though some need work on another thread first.
///
/// `@unchecked Sendable`: everything is touched on the connection's event loop only.
public final class RequestOrder: @unchecked Sendable {
    private let eventLoop: any EventLoop
    /// Done when every request so far has taken effect; nil where that is so.
    private var last: EventLoopFuture<Void>?

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// No earlier request is still to take effect.
    public var isFree: Bool {
        eventLoop.preconditionInEventLoop()
        return last == nil
    }

    /// Calls `step` on the event loop when `work` has ended and every earlier step has been taken; at once if that is so already.
    public func take<Value: Sendable>(
        after work: EventLoopFuture<Value>, _ step: @escaping @Sendable (Result<Value, any Error>) -> Void
    ) {
        eventLoop.preconditionInEventLoop()
        let done = eventLoop.makePromise(of: Void.self)
        let turn = last ?? eventLoop.makeSucceededVoidFuture()
        last = done.futureResult
        turn.whenComplete { _ in
            work.hop(to: self.eventLoop).whenComplete { result in
                if self.last === done.futureResult { self.last = nil }
                step(result)
                done.succeed()
            }
        }
    }
}
