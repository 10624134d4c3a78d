import KafkaListener
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// Settings of a socket that takes datagrams of terminals. Plain values.
public struct UDPListenerConfiguration: Sendable, Equatable {
    public var name: String
    public var host: String
    public var port: Int
    /// The record key of everything that arrives here; nil: the sender's IP address.
    public var terminalID: String?
    public var stream: StreamConfiguration
    /// Senders (address and port) that are framed apart from each other; the one silent for longest makes room for a new one.
    public var sourcesMax = 1024
    /// Bytes of all senders together that may wait to become durable; above it datagrams are dropped and counted.
    public var inFlightBytesMax = 8 << 20
    public var shutdownLimit: Duration = .seconds(10)

    public init(name: String, host: String, port: Int, terminalID: String? = nil, stream: StreamConfiguration) {
        self.name = name
        self.host = host
        self.port = port
        self.terminalID = terminalID
        self.stream = stream
    }
}

/// Takes datagrams, each an arbitrary slice of its sender's stream of RTCM 3, NMEA and UBX.
///
/// - Durability: within the lane's commit window. There is no back-pressure in UDP: what finds no room is dropped and counted in
///   ``IntakeDetails/datagramsDropped`` and ``IntakeCounters/recordsRefused``.
public final class UDPListener: IntakeListener {
    private let configuration: UDPListenerConfiguration
    private let surroundings: TerminalPump.Surroundings
    private let group: any EventLoopGroup
    private let gate = ConnectionGate(connectionsMax: 1)
    private let channel = Mutex<(any Channel)?>(nil)

    public init(
        _ configuration: UDPListenerConfiguration, sink: any TerminalSink, world: IntakeWorld,
        group: any EventLoopGroup, logger: Logger
    ) {
        self.configuration = configuration
        self.group = group
        surroundings = TerminalPump.Surroundings(sink: sink, world: world, tally: IntakeTally(), logger: logger)
    }

    public var name: String { configuration.name }
    public var address: SocketAddress? { channel.withLock { $0?.localAddress } }
    public var details: IntakeDetails { surroundings.tally.details }
    /// A sender counts as a connection.
    public var counters: IntakeCounters { surroundings.tally.counters }

    public func start() async throws {
        let bound = try await DatagramBootstrap(group: group)
            .channelOption(ChannelOptions.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 65_536))
            .channelInitializer { [self] channel in channel.eventLoop.makeCompletedFuture { try admit(channel) } }
            .listen(host: configuration.host, port: configuration.port)
        channel.withLock { $0 = bound }
    }

    public func shutdown() async {
        channel.withLock { $0 = nil }
        await gate.shutdown(within: configuration.shutdownLimit, on: group.any())
    }

    private func admit(_ channel: any Channel) throws {
        guard let ticket = gate.enter(close: { channel.close(promise: nil) }) else {
            throw ChannelError.ioOnClosedChannel
        }
        let handler = DatagramHandler(
            configuration, surroundings: surroundings, drained: { [gate] in gate.leave(ticket) })
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}
