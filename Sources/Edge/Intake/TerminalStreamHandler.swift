import NIOCore

/// The last handler of a stream connection: reads while the pump has room, closes a terminal that has fallen silent.
///
/// The channel's `autoRead` is off: a read is asked for after the bytes of the one before have been taken and there is room.
final class TerminalStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let configuration: StreamConfiguration
    private let identity: StreamIdentity
    private let surroundings: TerminalPump.Surroundings
    private let idleTimeout: TimeAmount
    private let hooks: Hooks
    private let isConnected: Bool
    private var pump: TerminalPump?
    private var context: ChannelHandlerContext?
    private var lastRead = NIODeadline.uptimeNanoseconds(0)
    private var idleTimer: Scheduled<Void>?
    private var isPaused = false
    private var isFinished = false

    /// What the owner of the connection wants to know.
    struct Hooks {
        /// The stream begins.
        var connected: () -> Void = {}
        /// Bytes arrived.
        var active: (NIODeadline) -> Void = { _ in }
        /// Reading stopped for want of room (true), or went on (false).
        var paused: (Bool) -> Void = { _ in }
        /// The connection is gone; what it brought may still wait.
        var closed: () -> Void = {}
        /// The connection is gone and all that it brought has been delivered or refused. Called once.
        var drained: () -> Void = {}
    }

    /// `isConnected`: the handler takes over a connection that another one has begun, and that may have ended since.
    init(
        _ configuration: StreamConfiguration, identity: StreamIdentity, surroundings: TerminalPump.Surroundings,
        idleTimeout: Duration, hooks: Hooks, isConnected: Bool = false
    ) {
        self.configuration = configuration
        self.identity = identity
        self.surroundings = surroundings
        self.idleTimeout = TimeAmount(idleTimeout)
        self.hooks = hooks
        self.isConnected = isConnected
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if isConnected || context.channel.isActive { start(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        start(context)
        context.fireChannelActive()
    }

    private func start(_ context: ChannelHandlerContext) {
        guard pump == nil else { return }
        let pump = TerminalPump(
            configuration, identity: identity, surroundings: surroundings, eventLoop: context.eventLoop)
        self.pump = pump
        pump.onProgress = { [weak self] in self?.progressed() }
        pump.onRefused = { [weak self] in self?.context?.close(promise: nil) }
        pump.onDrained = hooks.drained
        lastRead = context.eventLoop.now
        hooks.connected()
        armIdleTimer(context)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastRead = context.eventLoop.now
        hooks.active(lastRead)
        guard !isFinished else { return }
        pump?.received(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard let pump, !isFinished else { return }
        pump.push()
        if pump.hasRoom {
            context.read()
        } else if !isPaused {
            isPaused = true
            surroundings.tally.count { $0.pauses += 1 }
            hooks.paused(true)
        }
    }

    private func progressed() {
        guard isPaused, !isFinished, let context, let pump, pump.hasRoom else { return }
        isPaused = false
        // Whom nobody read was not silent.
        lastRead = context.eventLoop.now
        hooks.active(lastRead)
        hooks.paused(false)
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish()
        self.context = nil
    }

    /// An error of the socket ends the connection, not what it brought.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        idleTimer?.cancel()
        idleTimer = nil
        guard let pump else {
            hooks.drained()
            return
        }
        hooks.closed()
        isPaused = true
        pump.end()
    }

    private func armIdleTimer(_ context: ChannelHandlerContext) {
        idleTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: lastRead + idleTimeout) { [weak self] in
            guard let self, let context = self.context else { return }
            // A terminal that we do not read is not to blame for silence.
            if self.isPaused { self.lastRead = context.eventLoop.now }
            if self.lastRead + self.idleTimeout <= context.eventLoop.now {
                context.close(promise: nil)
            } else {
                self.armIdleTimer(context)
            }
        }
    }
}
