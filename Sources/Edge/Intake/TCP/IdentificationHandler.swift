import NIOCore

/// Finds out which terminal a connection is, then passes its stream on.
final class IdentificationHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let configuration: TCPListenerConfiguration
    private let surroundings: TerminalPump.Surroundings
    private let left: () -> Void
    private var input = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var isIdentified = false

    /// A terminal that sends less than a first line waits no longer than this for its name.
    private static let firstLineTime = TimeAmount.seconds(2)

    init(
        _ configuration: TCPListenerConfiguration, surroundings: TerminalPump.Surroundings, left: @escaping () -> Void
    ) {
        self.configuration = configuration
        self.surroundings = surroundings
        self.left = left
    }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        switch configuration.identification {
        case .fixed(let name):
            identified(context, name)
        case .peerAddress:
            identified(context, peerName(context))
        case .firstLine:
            timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.firstLineTime) {
                self.identified(context, self.peerName(context))
            }
            context.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isIdentified else {
            context.fireChannelRead(data)
            return
        }
        var bytes = unwrapInboundIn(data)
        input.writeBuffer(&bytes)
        switch FirstLine(input.readableBytesView) {
        case .incomplete:
            break
        case .absent:
            identified(context, peerName(context))
        case .name(let name, let lengthBytes):
            input.moveReaderIndex(forwardBy: lengthBytes)
            identified(context, name)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if isIdentified {
            context.fireChannelReadComplete()
        } else {
            context.read()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // What came before the end without being a first line is data.
        if !isIdentified && input.readableBytes > 0 { identified(context, peerName(context)) }
        timer?.cancel()
        if !isIdentified { left() }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func peerName(_ context: ChannelHandlerContext) -> String {
        context.remoteAddress?.ipAddress ?? configuration.name
    }

    private func identified(_ context: ChannelHandlerContext, _ name: String) {
        guard !isIdentified else { return }
        timer?.cancel()
        isIdentified = true
        let identity = StreamIdentity(
            key: name, source: .tcp, peer: peerText(context.remoteAddress),
            session: surroundings.world.makeSessionID())
        var hooks = TerminalStreamHandler.Hooks()
        hooks.drained = left
        let handler = TerminalStreamHandler(
            configuration.stream, identity: identity, surroundings: surroundings,
            idleTimeout: configuration.idleTimeout, hooks: hooks, isConnected: true)
        do {
            try context.pipeline.syncOperations.addHandler(handler, position: .after(self))
        } catch {
            left()
            context.close(promise: nil)
            return
        }
        guard input.readableBytes > 0 else { return }
        context.fireChannelRead(wrapInboundOut(input))
        context.fireChannelReadComplete()
        input = ByteBuffer()
    }
}

/// The line `id NAME` that may precede a stream.
enum FirstLine: Equatable {
    case incomplete
    case absent
    /// `lengthBytes` counts the line with its end.
    case name(String, lengthBytes: Int)

    private static let lineBytesMax = 132
    private static let prefix = Array("id ".utf8)

    init(_ bytes: ByteBufferView) {
        guard zip(bytes, Self.prefix).allSatisfy({ $0 == $1 }) else {
            self = .absent
            return
        }
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            self = bytes.count < Self.lineBytesMax ? .incomplete : .absent
            return
        }
        var name = bytes[..<end].dropFirst(Self.prefix.count)
        if name.last == UInt8(ascii: "\r") { name = name.dropLast() }
        let isName = !name.isEmpty && name.count <= 128 && name.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        let lengthBytes = bytes.distance(from: bytes.startIndex, to: end) + 1
        self = isName ? .name(String(decoding: name, as: UTF8.self), lengthBytes: lengthBytes) : .absent
    }
}
