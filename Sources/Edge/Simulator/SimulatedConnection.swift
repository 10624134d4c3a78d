import NIOCore
import NIOPosix

/// One connection of a simulated terminal, logged in.
struct SimulatedConnection: Sendable {
    enum Failure: Error, Equatable {
        /// The caster's first line was another than a success.
        case refused(String)
        case closed
    }
    private let channel: any Channel
    private let isChunked: Bool
    private static let chunkBytesMax = 1024
    private static let loginTimeout = TimeAmount.seconds(10)

    static func open(
        _ configuration: TerminalSimulator.Configuration, _ terminal: TerminalSimulator.Terminal,
        on group: any EventLoopGroup
    ) async throws -> SimulatedConnection {
        let loggedIn = group.any().makePromise(of: Void.self)
        let isRaw = configuration.transport == .tcp
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group)
                .connectTimeout(loginTimeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = LoginReplyHandler(loggedIn, isRaw: isRaw)
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .connect(host: configuration.host, port: configuration.port).get()
        } catch {
            loggedIn.fail(error)
            throw error
        }
        do {
            if !isRaw {
                try await channel.writeAndFlush(ByteBuffer(string: login(configuration, terminal))).get()
                let timeout = channel.eventLoop.scheduleTask(in: loginTimeout) { channel.close(promise: nil) }
                defer { timeout.cancel() }
                try await loggedIn.futureResult.get()
            }
        } catch {
            channel.close(promise: nil)
            throw error
        }
        return SimulatedConnection(channel: channel, isChunked: configuration.transport == .ntripVersion2)
    }

    func send(_ bytes: ByteBuffer) async throws {
        guard isChunked else {
            try await channel.writeAndFlush(bytes).get()
            return
        }
        var rest = bytes
        var coded = ByteBuffer()
        while let piece = rest.readSlice(length: min(rest.readableBytes, Self.chunkBytesMax)), piece.readableBytes > 0 {
            coded.writeString(String(piece.readableBytes, radix: 16) + "\r\n")
            coded.writeImmutableBuffer(piece)
            coded.writeString("\r\n")
        }
        try await channel.writeAndFlush(coded).get()
    }

    /// Ends the stream in good order: the other side reads to its end.
    func finish() async throws {
        if isChunked { try await channel.writeAndFlush(ByteBuffer(string: "0\r\n\r\n")).get() }
        try await channel.close().get()
    }

    func close() {
        channel.close(promise: nil)
    }

    private static func login(
        _ configuration: TerminalSimulator.Configuration, _ terminal: TerminalSimulator.Terminal
    ) -> String {
        guard configuration.transport == .ntripVersion2 else {
            return "SOURCE \(terminal.password) /\(terminal.name)\r\nSource-Agent: NTRIP CairnSimulator/1.0\r\n"
                + "STR: RTCM 3.3;1005(10),1077(1),1087(1),1097(1),1127(1),1230(10)\r\n\r\n"
        }
        let credentials = Base64.encode(Array("\(terminal.user):\(terminal.password)".utf8))
        return "POST /\(terminal.name) HTTP/1.1\r\nHost: \(configuration.host):\(configuration.port)\r\n"
            + "Ntrip-Version: Ntrip/2.0\r\nUser-Agent: NTRIP CairnSimulator/1.0\r\nAuthorization: Basic \(credentials)\r\n"
            + "Ntrip-STR: RTCM 3.3\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    }
}

/// Waits for the first line of the caster's answer; what comes after it says nothing to a source.
private final class LoginReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var loggedIn: EventLoopPromise<Void>?
    private var input = ByteBuffer()
    private static let lineBytesMax = 512

    init(_ loggedIn: EventLoopPromise<Void>, isRaw: Bool) {
        if isRaw { loggedIn.succeed() } else { self.loggedIn = loggedIn }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let loggedIn else { return }
        var bytes = unwrapInboundIn(data)
        input.writeBuffer(&bytes)
        let text = String(decoding: input.readableBytesView.prefix(Self.lineBytesMax), as: UTF8.self)
        guard let line = text.split(whereSeparator: \.isNewline).first, text.contains(where: \.isNewline) else {
            if input.readableBytes > Self.lineBytesMax { context.close(promise: nil) }
            return
        }
        self.loggedIn = nil
        if line.hasPrefix("ICY 200") || line.hasPrefix("OK") || line.hasPrefix("HTTP/1.1 200") {
            loggedIn.succeed()
        } else {
            loggedIn.fail(SimulatedConnection.Failure.refused(String(line)))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        loggedIn?.fail(SimulatedConnection.Failure.closed)
        loggedIn = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
