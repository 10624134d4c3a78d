import KafkaProtocol
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// A TCP server for the Kafka protocol: connections, frames, limits and the order of responses. What the requests mean is
/// the ``KafkaService``'s business.
///
/// - Limits: ``KafkaListenerConfiguration``; memory is bounded by its two byte budgets plus what responses a service makes.
/// - Errors: anything a client sends ends in a response or in a closed connection, counted in ``counters``.
public final class KafkaListener: Sendable {
    private enum State {
        case idle
        case starting
        case listening(any Channel)
        case stopped
    }

    private let shared: ListenerShared
    private let group: any EventLoopGroup
    private let ownGroup: MultiThreadedEventLoopGroup?
    private let state = Mutex(State.idle)

    /// - Parameter group: runs the connections; without it the listener makes its own, of at most four threads.
    public init(
        configuration: KafkaListenerConfiguration, service: any KafkaService, group: (any EventLoopGroup)? = nil,
        logger: Logger = Logger(label: "cairn.kafka")
    ) {
        self.shared = ListenerShared(configuration: configuration, service: service, logger: logger)
        let own = group == nil ? MultiThreadedEventLoopGroup(numberOfThreads: min(4, System.coreCount)) : nil
        self.ownGroup = own
        self.group = group ?? own ?? MultiThreadedEventLoopGroup.singleton
    }

    public var counters: KafkaListenerCounters {
        shared.counters.snapshot(requestBudget: shared.requestBudget, assemblyBudget: shared.assemblyBudget)
    }

    /// Where it listens: `nil` before ``start()`` and after ``shutdown()``.
    public var address: SocketAddress? {
        state.withLock { state in
            if case .listening(let channel) = state { channel.localAddress } else { nil }
        }
    }

    /// Binds and accepts; returns the address with the port that the system chose. Once in the life of a listener.
    @discardableResult
    public func start() async throws -> SocketAddress {
        let mayStart = state.withLock { state in
            guard case .idle = state else { return false }
            state = .starting
            return true
        }
        guard mayStart else { throw KafkaListenerError.startedTwice }
        let channel: any Channel
        do {
            channel = try await bootstrap().listen(host: shared.configuration.host, port: shared.configuration.port)
        } catch {
            state.withLock { $0 = .stopped }
            throw KafkaListenerError.cannotBind(
                host: shared.configuration.host, port: shared.configuration.port, reason: "\(error)")
        }
        let stopped = state.withLock { state in
            guard case .starting = state else { return true }
            state = .listening(channel)
            return false
        }
        guard !stopped, let address = channel.localAddress else {
            try? await channel.close()
            throw KafkaListenerError.stopped
        }
        return address
    }

    /// Stops accepting, answers what is in flight within `shutdownTimeout`, then closes every connection. Idempotent.
    public func shutdown() async {
        let before = state.withLock { state in
            defer { state = .stopped }
            return state
        }
        if case .listening(let channel) = before { try? await channel.close() }
        if case .stopped = before { return }
        let deadline = group.any().now + shared.configuration.shutdownTimeout
        shared.drainAll(until: deadline)
        await shared.allGone()
        try? await ownGroup?.shutdownGracefully()
    }

    private func bootstrap() -> ServerBootstrap {
        let configuration = shared.configuration
        let high = max(2, configuration.responseBytesPendingMax)
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Int32(clamping: configuration.backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            // One buffer is all that NIO then keeps for a connection, see ConnectionHandler.firstRead.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: ReadSizes(readBytesMax: configuration.readBytes))
            .childChannelOption(.writeBufferWaterMark, value: .init(low: high / 2, high: high))
            .childChannelInitializer { [shared] channel in Self.initialize(channel, shared: shared) }
    }

    /// Puts the connection's handler into `channel`, or fails when there is no room for one more. On the channel's event loop.
    static func initialize(_ channel: any Channel, shared: ListenerShared) -> EventLoopFuture<Void> {
        guard let id = shared.admitConnection() else {
            return channel.eventLoop.makeFailedFuture(KafkaListenerError.tooManyConnections)
        }
        return channel.eventLoop.makeCompletedFuture {
            let connection = KafkaConnection(
                id: id, peer: channel.remoteAddress, local: channel.localAddress, eventLoop: channel.eventLoop,
                closeFuture: channel.closeFuture, closer: { channel.close(promise: nil) })
            channel.closeFuture.whenComplete { _ in shared.connectionGone(id) }
            try channel.pipeline.syncOperations.addHandler(ConnectionHandler(shared: shared, connection: connection))
        }
    }
}

/// What goes wrong with a listener as a whole.
public enum KafkaListenerError: Error, Equatable {
    case cannotBind(host: String, port: Int, reason: String)
    case startedTwice
    /// `shutdown` came before `start` had finished.
    case stopped
    case tooManyConnections
}
