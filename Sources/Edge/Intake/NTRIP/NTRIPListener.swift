import GNSS
import KafkaListener
public import Logging
public import NIOCore
import NIOPosix
import Synchronization

/// An NTRIP caster for sources: base stations send, in version 1 (`SOURCE`) or 2 (`POST`), and their frames become records.
///
/// - Durability: NTRIP has no acknowledgements; what has been read is durable within the lane's commit window. A lane without room
///   stops the reading, so that the source's own socket fills.
/// - Rovers cannot draw streams from it; they are given the sourcetable.
public final class NTRIPListener: IntakeListener {
    private let caster: NTRIPCaster
    private let group: any EventLoopGroup
    private let gate: ConnectionGate
    private let logins = Atomic(0)
    private let channel = Mutex<(any Channel)?>(nil)

    public init(
        _ configuration: NTRIPConfiguration, authority: any MountpointAuthority, sink: any TerminalSink,
        world: IntakeWorld, group: any EventLoopGroup, logger: Logger
    ) {
        let surroundings = TerminalPump.Surroundings(sink: sink, world: world, tally: IntakeTally(), logger: logger)
        caster = NTRIPCaster(configuration: configuration, authority: authority, surroundings: surroundings)
        gate = ConnectionGate(connectionsMax: configuration.connectionsMax)
        self.group = group
    }

    public var name: String { caster.configuration.name }
    public var address: SocketAddress? { channel.withLock { $0?.localAddress } }
    public var details: IntakeDetails { caster.surroundings.tally.details }

    public var counters: IntakeCounters {
        var counters = caster.surroundings.tally.counters
        counters.connectionsOpen = UInt64(gate.count)
        return counters
    }

    public func start() async throws {
        let bound = try await TCPBootstrap.server(group).childChannelInitializer { [self] channel in
            channel.eventLoop.makeCompletedFuture { try admit(channel) }
        }.listen(host: caster.configuration.host, port: caster.configuration.port)
        channel.withLock { $0 = bound }
    }

    public func shutdown() async {
        let bound = channel.withLock { channel in
            defer { channel = nil }
            return channel
        }
        try? await bound?.close().get()
        await gate.shutdown(within: caster.configuration.shutdownLimit, on: group.any())
    }

    private func admit(_ channel: any Channel) throws {
        let tally = caster.surroundings.tally
        let isBelow = logins.add(1, ordering: .relaxed).newValue <= caster.configuration.loginsMax
        guard isBelow, let ticket = gate.enter(close: { channel.close(promise: nil) }) else {
            logins.subtract(1, ordering: .relaxed)
            tally.count { $0.connectionsRefused += 1 }
            throw ChannelError.ioOnClosedChannel
        }
        tally.count { $0.connectionsAccepted += 1 }
        let handler = NTRIPLoginHandler(
            caster, loginEnded: once { [self] in logins.subtract(1, ordering: .relaxed) },
            left: once { [self] in gate.leave(ticket) })
        try channel.pipeline.syncOperations.addHandler(handler)
    }
}

/// What all connections to a caster share.
final class NTRIPCaster: Sendable {
    let configuration: NTRIPConfiguration
    let authority: any MountpointAuthority
    let surroundings: TerminalPump.Surroundings
    let registry = SourceRegistry()

    init(
        configuration: NTRIPConfiguration, authority: any MountpointAuthority, surroundings: TerminalPump.Surroundings
    ) {
        self.configuration = configuration
        self.authority = authority
        self.surroundings = surroundings
    }

    /// The configured mountpoints and those that are sending now.
    func sourcetable() -> Sourcetable {
        let live = registry.descriptions
        let configured = authority.mountpoints
        let names = Set(configured.map(\.name))
        var streams = configured.map { entry($0.name, $0.description, live[$0.name]) }
        streams += live.keys.filter { !names.contains($0) }.sorted().map { entry($0, nil, live[$0]) }
        return Sourcetable(casters: configuration.casters, networks: configuration.networks, streams: streams)
    }

    /// `told` is what the source sent as its `STR`: `RTCM 3.3;1006(10),1077(1)`.
    private func entry(_ name: String, _ described: Sourcetable.Stream?, _ told: String?) -> Sourcetable.Stream {
        var stream = described ?? Sourcetable.Stream(mountpoint: name)
        stream.mountpoint = name
        if stream.identifier.isEmpty { stream.identifier = name }
        guard stream.format.isEmpty, let told else { return stream }
        let fields = told.prefix(512).split(separator: ";", omittingEmptySubsequences: false)
        stream.format = fields.first.map(String.init) ?? ""
        if fields.count > 1 { stream.formatDetails = String(fields[1]) }
        return stream
    }

    func streamHandler(
        _ context: ChannelHandlerContext, _ mountpoint: Mountpoint, _ lease: SourceLease, left: @escaping () -> Void
    ) -> TerminalStreamHandler {
        let identity = StreamIdentity(
            key: mountpoint.name, source: .ntrip, peer: peerText(context.remoteAddress),
            session: surroundings.world.makeSessionID())
        var hooks = TerminalStreamHandler.Hooks()
        hooks.active = { lease.active($0) }
        hooks.paused = { lease.entered($0 ? .paused : .reading) }
        hooks.closed = { lease.entered(.closed) }
        hooks.drained = { [registry] in
            registry.release(lease)
            left()
        }
        return TerminalStreamHandler(
            mountpoint.stream, identity: identity, surroundings: surroundings, idleTimeout: configuration.idleTimeout,
            hooks: hooks, isConnected: true)
    }
}

/// Address and port of the other end, as records say it.
func peerText(_ address: SocketAddress?) -> String {
    guard let address else { return "unknown" }
    guard let host = address.ipAddress, let port = address.port else { return "local" }
    return address.protocol == .inet6 ? "[\(host)]:\(port)" : "\(host):\(port)"
}

/// `body` for the first call, nothing for later ones. For one event loop.
func once(_ body: @escaping () -> Void) -> () -> Void {
    var isDone = false
    return {
        guard !isDone else { return }
        isDone = true
        body()
    }
}
