import KafkaProtocol
import NIOCore
import NIOPosix

/// The small Kafka client of Cairn's own commands (`tail`, `simulate`): one connection, answers in request order.
struct KafkaClient: Sendable {
    /// What a person is told when it does not work.
    enum Failure: Error, CustomStringConvertible {
        case cannotConnect(HostPort, String)
        case closed(HostPort)
        case timeout(HostPort, String)
        case unreadable(String)

        var description: String {
            switch self {
            case .cannotConnect(let address, let reason): "cannot connect to \(address): \(reason)"
            case .closed(let address): "\(address) closed the connection"
            case .timeout(let address, let what): "\(address) did not answer \(what) in time"
            case .unreadable(let reason): "cannot read the answer: \(reason)"
            }
        }
    }

    let address: HostPort
    private let channel: any Channel
    private let timeout: TimeAmount

    static func connect(
        to address: HostPort, group: any EventLoopGroup, timeout: TimeAmount = .seconds(30)
    ) async throws -> KafkaClient {
        do {
            let channel = try await ClientBootstrap(group: group)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(KafkaCallHandler(address: address))
                    }
                }
                .connect(host: address.host, port: address.port).get()
            return KafkaClient(address: address, channel: channel, timeout: timeout)
        } catch {
            throw Failure.cannotConnect(address, ConnectionTrouble.text(error))
        }
    }

    /// Sends `request` at `version` and waits for its answer.
    func send<Request: RequestMessage>(_ request: Request, version: Int16) async throws -> Request.Response {
        let chunks = try WireFrame.request(request, version: version, correlationID: 1, clientID: "cairn")
        let promise = channel.eventLoop.makePromise(of: ByteBuffer.self)
        let late = channel.eventLoop.scheduleTask(in: timeout) { [channel, address] in
            promise.fail(Failure.timeout(address, "\(Request.self)"))
            channel.close(promise: nil)
        }
        channel.writeAndFlush(KafkaCall(chunks: chunks, promise: promise), promise: nil)
        let frame = try await promise.futureResult.get()
        late.cancel()
        do {
            return try WireFrame.decodeResponse(to: Request.self, version: version, from: frame).response
        } catch {
            throw Failure.unreadable("\(error)")
        }
    }

    func close() async { try? await channel.close() }
}

/// One request on its way, and where its answer goes.
private struct KafkaCall: Sendable {
    let chunks: [ByteBuffer]
    let promise: EventLoopPromise<ByteBuffer>
}

private final class KafkaCallHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = KafkaCall
    typealias OutboundOut = ByteBuffer

    private let address: HostPort
    private var decoder = FrameDecoder(limitBytes: 64 << 20)
    private var waiting: [EventLoopPromise<ByteBuffer>] = []
    private var isOpen = true

    init(address: HostPort) { self.address = address }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        guard isOpen else {
            call.promise.fail(KafkaClient.Failure.closed(address))
            promise?.fail(KafkaClient.Failure.closed(address))
            return
        }
        waiting.append(call.promise)
        for chunk in call.chunks { context.write(wrapOutboundOut(chunk), promise: nil) }
        promise?.succeed()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        decoder.append(unwrapInboundIn(data))
        do {
            while !waiting.isEmpty, let frame = try decoder.next() { waiting.removeFirst().succeed(frame) }
        } catch {
            fail(with: error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(with: KafkaClient.Failure.closed(address))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(with: error)
        context.close(promise: nil)
    }

    private func fail(with error: any Error) {
        isOpen = false
        for promise in waiting { promise.fail(error) }
        waiting = []
    }
}
