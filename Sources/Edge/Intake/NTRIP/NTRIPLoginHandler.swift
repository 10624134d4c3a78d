import Logging
import NIOCore

/// The first handler of a connection to the caster: reads the head, answers it, and makes way for the stream.
final class NTRIPLoginHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case head, claiming, streaming, closing
    }
    private let caster: NTRIPCaster
    /// Called once, when the connection is logged in or gone.
    private let loginEnded: () -> Void
    /// Called once, when the connection holds nothing any more.
    private let left: () -> Void
    private var phase = Phase.head
    private var input = ByteBuffer()
    private var lease: SourceLease?
    private var timer: Scheduled<Void>?
    private var discardedBytes = 0

    private static let lingerTime = TimeAmount.seconds(2)
    private static let lingerBytesMax = 256 * 1024

    init(_ caster: NTRIPCaster, loginEnded: @escaping () -> Void = {}, left: @escaping () -> Void = {}) {
        self.caster = caster
        self.loginEnded = loginEnded
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
        guard timer == nil else { return }
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: TimeAmount(caster.configuration.loginTimeout)) {
            channel.close(promise: nil)
        }
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch phase {
        case .head, .claiming:
            input.writeBuffer(&bytes)
        case .streaming:
            context.fireChannelRead(data)
        case .closing:
            discardedBytes += bytes.readableBytes
            if discardedBytes > Self.lingerBytesMax { context.close(promise: nil) }
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch phase {
        case .head: readHead(context)
        case .claiming: break
        case .streaming: context.fireChannelReadComplete()
        case .closing: context.read()
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        if phase != .streaming {
            if let lease { caster.registry.release(lease) }
            phase = .closing
            loginEnded()
            left()
        }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    // MARK: Head

    private func readHead(_ context: ChannelHandlerContext) {
        guard let length = NTRIPRequest.headLength(input.readableBytesView) else {
            if input.readableBytes >= caster.configuration.headBytesMax {
                refuse(context, .headTooLarge)
            } else {
                context.read()
            }
            return
        }
        guard length <= caster.configuration.headBytesMax, let head = input.readSlice(length: length) else {
            refuse(context, .headTooLarge)
            return
        }
        do throws(NTRIPRequest.Problem) {
            answer(context, try NTRIPRequest(head: head.readableBytesView))
        } catch {
            switch error {
            case .malformed: refuse(context, .badRequest)
            case .method(let name): refuse(context, .notImplemented("Method \(name) is not supported."))
            case .coding(let name): refuse(context, .notImplemented("Transfer coding \(name) is not supported."))
            }
        }
    }

    private func answer(_ context: ChannelHandlerContext, _ request: NTRIPRequest) {
        switch request {
        case .get(let path, let isVersion2):
            let table = NTRIPReply.sourcetable(caster.sourcetable(), isVersion2: isVersion2)
            let isTable = path.isEmpty || !isVersion2
            close(context, after: isTable ? table : .notImplemented("This caster takes streams in and gives none out."))
        case .source(nil, _, _):
            refuse(context, .missingMountpoint)
        case .source(let mountpoint?, let password, let description):
            let login = SourceLogin(mountpoint: mountpoint, user: nil, password: password)
            decide(context, login, .init(isVersion2: false, isChunked: false, description: description))
        case .post(let mountpoint, let credentials, let isChunked, let description):
            let login = SourceLogin(mountpoint: mountpoint, user: credentials?.user, password: credentials?.password)
            decide(context, login, .init(isVersion2: true, isChunked: isChunked, description: description))
        }
    }

    private struct Offer {
        var isVersion2: Bool
        var isChunked: Bool
        var description: String
    }

    private func decide(_ context: ChannelHandlerContext, _ login: SourceLogin, _ offer: Offer) {
        guard NTRIPRequest.isMountpoint(login.mountpoint) else {
            rejectLogin(context, login, .unknownMountpoint(isVersion2: offer.isVersion2))
            return
        }
        switch caster.authority.decide(login) {
        case .accepted(let mountpoint):
            claim(context, mountpoint, offer)
        case .badPassword:
            rejectLogin(context, login, .badPassword(isVersion2: offer.isVersion2, mountpoint: login.mountpoint))
        case .unknownMountpoint:
            rejectLogin(context, login, .unknownMountpoint(isVersion2: offer.isVersion2))
        case .unavailable:
            hangUp(context)
        }
    }

    private func rejectLogin(_ context: ChannelHandlerContext, _ login: SourceLogin, _ reply: NTRIPReply) {
        caster.surroundings.tally.detail { $0.loginsRejected += 1 }
        say(.info, "a source was refused", context, login.mountpoint)
        refuse(context, reply)
    }

    private func say(
        _ level: Logger.Level, _ message: Logger.Message, _ context: ChannelHandlerContext, _ mountpoint: String,
        _ more: Logger.Metadata = [:]
    ) {
        let metadata: Logger.Metadata = [
            "mountpoint": "\(mountpoint.prefix(100))", "peer": "\(peerText(context.remoteAddress))",
            "listener": "\(caster.configuration.name)",
        ]
        caster.surroundings.logger.log(level: level, message, metadata: metadata.merging(more) { own, _ in own })
    }

    // MARK: Claim and stream

    private func claim(_ context: ChannelHandlerContext, _ mountpoint: Mountpoint, _ offer: Offer) {
        let channel = context.channel
        let lease = SourceLease(
            mountpoint: mountpoint.name, description: offer.description, peer: peerText(context.remoteAddress),
            now: context.eventLoop.now, close: { channel.close(promise: nil) })
        let granted = context.eventLoop.makePromise(of: Void.self)
        phase = .claiming
        self.lease = lease
        granted.futureResult.assumeIsolated().whenSuccess { [self] in
            guard case .claiming = phase, context.channel.isActive else { return }
            stream(context, mountpoint, offer, lease)
        }
        let silence = TimeAmount(caster.configuration.takeoverSilence)
        switch caster.registry.claim(lease, silence: silence, now: context.eventLoop.now, granted: granted) {
        case .granted:
            break
        case .takeover(let peer, let silence):
            caster.surroundings.tally.count { $0.takeovers += 1 }
            say(
                .notice, "a source takes the mountpoint of one that has fallen silent", context, mountpoint.name,
                ["former": "\(peer)", "silent": "\(silence.nanoseconds / 1_000_000_000) s"])
        case .taken:
            say(.info, "a source was refused: the mountpoint has one that sends", context, mountpoint.name)
            self.lease = nil
            granted.fail(ChannelError.ioOnClosedChannel)
            refuse(context, .mountpointTaken(isVersion2: offer.isVersion2))
        case .unavailable:
            self.lease = nil
            granted.fail(ChannelError.ioOnClosedChannel)
            hangUp(context)
        }
    }

    private func stream(
        _ context: ChannelHandlerContext, _ mountpoint: Mountpoint, _ offer: Offer, _ lease: SourceLease
    ) {
        timer?.cancel()
        phase = .streaming
        loginEnded()
        send(context, .sourceAccepted(isVersion2: offer.isVersion2))
        let handler = caster.streamHandler(context, mountpoint, lease, left: left)
        do {
            let pipeline = context.pipeline.syncOperations
            try pipeline.addHandler(handler, position: .after(self))
            if offer.isChunked { try pipeline.addHandler(ChunkedBodyHandler(), position: .after(self)) }
        } catch {
            // The pipeline is being taken down: nothing can be read any more.
            caster.registry.release(lease)
            left()
            context.close(promise: nil)
            return
        }
        if input.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(input))
            context.fireChannelReadComplete()
        }
        input = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }

    // MARK: Endings

    private func refuse(_ context: ChannelHandlerContext, _ reply: NTRIPReply) {
        caster.surroundings.tally.count { $0.connectionsRefused += 1 }
        close(context, after: reply)
    }

    private func send(_ context: ChannelHandlerContext, _ reply: NTRIPReply) {
        let text = reply.text(nowMs: caster.surroundings.world.nowMs())
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    /// Sends the reply, then the end of our stream, and reads on for a while: closing on unread bytes would make the other
    /// system throw the reply away.
    private func close(_ context: ChannelHandlerContext, after reply: NTRIPReply) {
        phase = .closing
        send(context, reply)
        timer?.cancel()
        let channel = context.channel
        timer = context.eventLoop.scheduleTask(in: Self.lingerTime) { channel.close(promise: nil) }
        channel.close(mode: .output).whenFailure { _ in channel.close(promise: nil) }
        context.read()
    }

    private func hangUp(_ context: ChannelHandlerContext) {
        caster.surroundings.tally.count { $0.connectionsRefused += 1 }
        phase = .closing
        context.close(promise: nil)
    }
}
