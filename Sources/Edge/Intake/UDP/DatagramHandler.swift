import Logging
import NIOCore

/// Takes datagrams, keeps a stream for each source address, and drops what there is no room for: UDP cannot be slowed down.
final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private final class Source {
        let pump: TerminalPump
        /// What of the common limit this source uses.
        var heldBytes = 0

        init(_ pump: TerminalPump) { self.pump = pump }
    }

    private let configuration: UDPListenerConfiguration
    private let surroundings: TerminalPump.Surroundings
    private let drained: () -> Void
    private var sources: RecencyTable<SocketAddress, Source>
    /// Sources that were put out of the table, or all at the end, whose records are still being stored.
    private var drainingCount = 0
    private var heldBytes = 0
    private var touched: [Source] = []
    private var isEnded = false

    private static let drainingMax = 64

    init(
        _ configuration: UDPListenerConfiguration, surroundings: TerminalPump.Surroundings,
        drained: @escaping () -> Void
    ) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.drained = once(drained)
        sources = RecencyTable(countMax: configuration.sourcesMax)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let datagram = unwrapInboundIn(data)
        let bytes = datagram.data
        guard bytes.readableBytes > 0 else { return }
        guard heldBytes + bytes.readableBytes <= configuration.inFlightBytesMax,
            let source = source(datagram.remoteAddress, context.eventLoop), source.pump.hasRoom
        else {
            surroundings.tally.detail {
                $0.datagramsDropped += 1
                $0.bytesDropped += UInt64(bytes.readableBytes)
            }
            surroundings.tally.count { $0.recordsRefused += 1 }
            return
        }
        source.pump.received(bytes)
        settle(source)
        touched.append(source)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        for source in touched { source.pump.push() }
        touched.removeAll(keepingCapacity: true)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isEnded = true
        channelReadComplete(context: context)
        for source in sources.values { retire(source) }
        sources = RecencyTable(countMax: configuration.sourcesMax)
        if drainingCount == 0 { drained() }
        context.fireChannelInactive()
    }

    /// A datagram that cannot be read, or an ICMP answer to nothing we sent, concerns nobody.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}

    /// The stream of an address; a new one takes the place of the one that has been silent the longest. Nil if that cannot be.
    private func source(_ address: SocketAddress, _ eventLoop: any EventLoop) -> Source? {
        if let source = sources.use(address) { return source }
        if sources.isFull {
            guard drainingCount < Self.drainingMax, let oldest = sources.oldestKey, let source = sources.remove(oldest)
            else { return nil }
            retire(source)
        }
        let source = Source(pump(address, eventLoop))
        source.pump.onProgress = { [weak self, weak source] in
            if let source { self?.settle(source) }
        }
        sources.insert(address, source)
        surroundings.tally.count { $0.connectionsAccepted += 1 }
        return source
    }

    private func pump(_ address: SocketAddress, _ eventLoop: any EventLoop) -> TerminalPump {
        let identity = StreamIdentity(
            key: configuration.terminalID ?? address.ipAddress ?? configuration.name, source: .udp,
            peer: peerText(address), session: surroundings.world.makeSessionID())
        return TerminalPump(
            configuration.stream, identity: identity, surroundings: surroundings, eventLoop: eventLoop)
    }

    private func retire(_ source: Source) {
        drainingCount += 1
        source.pump.onDrained = {
            self.settle(source)
            self.drainingCount -= 1
            if self.isEnded && self.drainingCount == 0 { self.drained() }
        }
        source.pump.end()
    }

    private func settle(_ source: Source) {
        let now = source.pump.heldBytes
        heldBytes += now - source.heldBytes
        source.heldBytes = now
    }
}
