public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// Settings for drawing the stream of one receiver that listens itself. Plain values.
public struct TCPConnectorConfiguration: Sendable, Equatable {
    public var name: String
    public var host: String
    public var port: Int
    /// The record key.
    public var terminalID: String
    public var stream: StreamConfiguration
    /// A receiver that sends nothing for so long is connected to anew.
    public var idleTimeout: Duration = .seconds(60)
    public var connectTimeout: Duration = .seconds(10)
    public var retryMax: Duration = .seconds(60)
    public var shutdownLimit: Duration = .seconds(10)

    public init(name: String, host: String, port: Int, terminalID: String? = nil, stream: StreamConfiguration) {
        self.name = name
        self.host = host
        self.port = port
        self.terminalID = terminalID ?? "\(host):\(port)"
        self.stream = stream
    }
}

/// Connects to a receiver, takes its stream, and connects again whenever that ends. The next connection is made after the
/// records of the one before are stored, so that they stay in order.
public final class TCPConnector: IntakeListener {
    private let configuration: TCPConnectorConfiguration
    private let surroundings: TerminalPump.Surroundings
    private let eventLoop: any EventLoop
    private let gate = ConnectionGate(connectionsMax: 1)
    private let state: Mutex<State>

    private struct State {
        var isRunning = false
        var delay: ReconnectDelay
        var retry: Scheduled<Void>?
        var channel: (any Channel)?
    }

    public init(
        _ configuration: TCPConnectorConfiguration, sink: any TerminalSink, world: IntakeWorld,
        group: any EventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        eventLoop = group.any()
        surroundings = TerminalPump.Surroundings(sink: sink, world: world, tally: IntakeTally(), logger: logger)
        state = Mutex(State(delay: ReconnectDelay(max: configuration.retryMax)))
    }

    public var name: String { configuration.name }
    /// Our end of the connection; nil while there is none.
    public var address: SocketAddress? { state.withLock { $0.channel?.localAddress } }
    public var details: IntakeDetails { surroundings.tally.details }

    public var counters: IntakeCounters {
        var counters = surroundings.tally.counters
        counters.connectionsOpen = UInt64(gate.count)
        return counters
    }

    /// Returns at once: a receiver that is not there yet is no error.
    public func start() async throws {
        let isFirst = state.withLock { state in
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if isFirst { eventLoop.execute { self.connect() } }
    }

    public func shutdown() async {
        let retry = state.withLock { state in
            state.isRunning = false
            return state.retry
        }
        retry?.cancel()
        await gate.shutdown(within: configuration.shutdownLimit, on: eventLoop)
    }

    private func connect() {
        guard state.withLock({ $0.isRunning }) else { return }
        TCPBootstrap.client(eventLoop)
            .connectTimeout(TimeAmount(configuration.connectTimeout))
            .channelInitializer { [self] channel in channel.eventLoop.makeCompletedFuture { try admit(channel) } }
            .connect(host: configuration.host, port: configuration.port)
            .whenComplete { [self] result in
                switch result {
                case .success(let channel): state.withLock { $0.channel = channel }
                case .failure: retry()
                }
            }
    }

    /// A channel that never became active leaves without having had a handler that could drain.
    private func admit(_ channel: any Channel) throws {
        let identity = StreamIdentity(
            key: configuration.terminalID, source: .tcp, peer: "\(configuration.host):\(configuration.port)",
            session: surroundings.world.makeSessionID())
        var hooks = TerminalStreamHandler.Hooks()
        var ticket: UInt64?
        hooks.connected = { [self] in
            ticket = gate.enter(close: { channel.close(promise: nil) })
            surroundings.tally.count { $0.connectionsAccepted += 1 }
            if ticket == nil { channel.close(promise: nil) }
        }
        hooks.active = { [self] _ in state.withLock { $0.delay.succeeded() } }
        hooks.drained = { [self] in
            guard let ticket else { return }
            gate.leave(ticket)
            state.withLock { $0.channel = nil }
            retry()
        }
        let handler = TerminalStreamHandler(
            configuration.stream, identity: identity, surroundings: surroundings,
            idleTimeout: configuration.idleTimeout, hooks: hooks)
        try channel.pipeline.syncOperations.addHandler(handler)
    }

    private func retry() {
        state.withLock { state in
            guard state.isRunning else { return }
            let delay = state.delay.failed(random: surroundings.world.random())
            state.retry = eventLoop.scheduleTask(in: TimeAmount(delay)) { self.connect() }
        }
    }
}
