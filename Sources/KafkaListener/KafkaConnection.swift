public import NIOCore

/// One client connection as a service sees it: who it is, where its work runs, and a place for the service's own state.
///
/// The mutable properties belong to ``eventLoop``; touching them from elsewhere traps (a broken invariant, not an input).
public final class KafkaConnection: Sendable {
    /// Unique within one listener, counted from 1.
    public let id: UInt64
    /// The peer's address where the transport has one.
    public let peer: SocketAddress?
    /// Our own address as the peer reached it: what to tell a client that asks where we are.
    public let local: SocketAddress?
    public let eventLoop: any EventLoop
    /// Completes when the connection is gone. What belongs to one request of many uses ``whenClosed(_:)``, which can be taken
    /// back.
    public let closeFuture: EventLoopFuture<Void>
    /// The order in which its requests take effect, where the service does not do that by itself.
    public let order: RequestOrder

    private let facts: NIOLoopBoundBox<Facts>
    private let closer: @Sendable () -> Void

    private struct Facts {
        var clientID: String?
        var softwareName: String?
        var softwareVersion: String?
        var scratch: (any Sendable)?
        var isClosed = false
        var lastToken: CloseToken = 0
        var waiting: [CloseToken: @Sendable () -> Void] = [:]
    }

    public typealias CloseToken = UInt64

    /// - Parameter closer: closes the channel; may be called from any thread.
    public init(
        id: UInt64, peer: SocketAddress?, local: SocketAddress? = nil, eventLoop: any EventLoop,
        closeFuture: EventLoopFuture<Void>, closer: @escaping @Sendable () -> Void
    ) {
        self.id = id
        self.peer = peer
        self.local = local
        self.eventLoop = eventLoop
        self.closeFuture = closeFuture
        self.order = RequestOrder(eventLoop: eventLoop)
        self.facts = .makeBoxSendingValue(Facts(), eventLoop: eventLoop)
        self.closer = closer
        closeFuture.hop(to: eventLoop).whenComplete { [weak self] _ in self?.closed() }
    }

    /// The client id of the newest request, `nil` before the first.
    public internal(set) var clientID: String? {
        get { facts.value.clientID }
        set { facts.value.clientID = newValue }
    }

    /// What the client calls itself in ApiVersions 3 and later, for example `apache-kafka-java`.
    public internal(set) var softwareName: String? {
        get { facts.value.softwareName }
        set { facts.value.softwareName = newValue }
    }

    public internal(set) var softwareVersion: String? {
        get { facts.value.softwareVersion }
        set { facts.value.softwareVersion = newValue }
    }

    /// Whatever the service wants to remember about this connection.
    public var scratch: (any Sendable)? {
        get { facts.value.scratch }
        set { facts.value.scratch = newValue }
    }

    /// Calls `action` on the event loop once the connection is gone, so that nothing more is done for it; at once where it is
    /// gone already. A request that ends before takes its action back with ``forget(_:)``.
    public func whenClosed(_ action: @escaping @Sendable () -> Void) -> CloseToken {
        facts.value.lastToken += 1
        let token = facts.value.lastToken
        if facts.value.isClosed { action() } else { facts.value.waiting[token] = action }
        return token
    }

    /// Harmless after the action was called.
    public func forget(_ token: CloseToken) { facts.value.waiting[token] = nil }

    /// No response will be written any more. Idempotent.
    func closed() {
        guard !facts.value.isClosed else { return }
        facts.value.isClosed = true
        let waiting = facts.value.waiting.sorted { $0.key < $1.key }
        facts.value.waiting = [:]
        for (_, action) in waiting { action() }
    }

    /// Closes the connection without answering what is in flight.
    public func close() { closer() }
}
