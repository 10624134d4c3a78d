import KafkaListener
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// Settings of a socket that takes the bare bytes of receivers. Plain values.
public struct TCPListenerConfiguration: Sendable, Equatable {
    /// Where the terminal's name, the record key, comes from.
    public enum Identification: Sendable, Equatable {
        case fixed(String)
        /// The IP address; not the port, which changes with every connection.
        case peerAddress
        /// A first line `id NAME`, which is not part of the stream. Without one it is the IP address.
        case firstLine
    }
    public var name: String
    public var host: String
    public var port: Int
    public var identification: Identification
    public var stream: StreamConfiguration
    public var connectionsMax = 256
    public var idleTimeout: Duration = .seconds(60)
    public var shutdownLimit: Duration = .seconds(10)

    public init(
        name: String, host: String, port: Int, identification: Identification = .peerAddress,
        stream: StreamConfiguration
    ) {
        self.name = name
        self.host = host
        self.port = port
        self.identification = identification
        self.stream = stream
    }
}

/// Takes streams of RTCM 3, NMEA and UBX over plain TCP. Durability and back-pressure are those of ``NTRIPListener``.
public final class TCPListener: IntakeListener {
    private let configuration: TCPListenerConfiguration
    private let surroundings: TerminalPump.Surroundings
    private let group: any EventLoopGroup
    private let gate: ConnectionGate
    private let channel = Mutex<(any Channel)?>(nil)

    public init(
        _ configuration: TCPListenerConfiguration, sink: any TerminalSink, world: IntakeWorld,
        group: any EventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.group = group
        surroundings = TerminalPump.Surroundings(sink: sink, world: world, tally: IntakeTally(), logger: logger)
        gate = ConnectionGate(connectionsMax: configuration.connectionsMax)
    }

    public var name: String { configuration.name }
    public var address: SocketAddress? { channel.withLock { $0?.localAddress } }
    public var details: IntakeDetails { surroundings.tally.details }

    public var counters: IntakeCounters {
        var counters = surroundings.tally.counters
        counters.connectionsOpen = UInt64(gate.count)
        return counters
    }

    public func start() async throws {
        let bound = try await TCPBootstrap.server(group).childChannelInitializer { [self] channel in
            channel.eventLoop.makeCompletedFuture { try admit(channel) }
        }.listen(host: configuration.host, port: configuration.port)
        channel.withLock { $0 = bound }
    }

    public func shutdown() async {
        let bound = channel.withLock { channel in
            defer { channel = nil }
            return channel
        }
        try? await bound?.close().get()
        await gate.shutdown(within: configuration.shutdownLimit, on: group.any())
    }

    private func admit(_ channel: any Channel) throws {
        guard let ticket = gate.enter(close: { channel.close(promise: nil) }) else {
            surroundings.tally.count { $0.connectionsRefused += 1 }
            throw ChannelError.ioOnClosedChannel
        }
        surroundings.tally.count { $0.connectionsAccepted += 1 }
        let leave = once { [gate] in gate.leave(ticket) }
        let handler = IdentificationHandler(configuration, surroundings: surroundings, left: leave)
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}
