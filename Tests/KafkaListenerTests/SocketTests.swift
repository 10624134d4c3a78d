import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing

@testable import KafkaListener

@Suite struct SocketTests {
    /// Connects, sends `bytes`, and collects what comes until `frames` responses are there or the peer closes.
    static func exchange(_ bytes: ByteBuffer, with address: SocketAddress, frames: Int) async throws -> [ByteBuffer] {
        let (streams, continuation) = AsyncStream.makeStream(of: ByteBuffer.self)
        let collector = Collector(frames: frames, done: continuation)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(collector) }
            }
            .connect(to: address).get()
        try await channel.writeAndFlush(bytes)
        var stream = ByteBuffer()
        for await collected in streams { stream = collected }
        try? await channel.close()
        return Wire.contents(of: stream)
    }

    @Test("real sockets carry large pipelined requests and their responses in order")
    func roundTrip() async throws {
        let listener = KafkaListener(
            configuration: KafkaListenerConfiguration(port: 0), service: ScriptedService(answersAtOnce: true))
        let address = try await listener.start()
        #expect(listener.address == address)
        var stream = ByteBuffer()
        for correlation in 0..<20 {
            stream.writeImmutableBuffer(ConnectionTests.produce(Int32(correlation), bytes: 1 + correlation * 50_000))
        }
        let answers = try await Self.exchange(stream, with: address, frames: 20)
        #expect(answers.map { $0.getInteger(at: $0.readerIndex, as: Int32.self) } == (0..<20).map { Int32($0) })
        #expect(listener.counters.requestBytes > 9_000_000)
        await listener.shutdown()
        #expect(listener.counters.connectionsOpen == 0)
        #expect(listener.counters.bytesInFlight == 0)
        #expect(listener.counters.bytesInAssembly == 0)
    }

    @Test("shutdown answers what is in flight before it closes")
    func gracefulShutdown() async throws {
        let service = ScriptedService()
        let listener = KafkaListener(configuration: KafkaListenerConfiguration(port: 0), service: service)
        let address = try await listener.start()
        async let answers = Self.exchange(ConnectionTests.produce(7), with: address, frames: 2)
        while service.correlations.isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        async let down: Void = listener.shutdown()
        service.answer(7)
        #expect(try await answers.count == 1, "the peer closed after the first")
        await down
        await listener.shutdown()
        // The port may belong to another test's listener by now: what counts is that nobody answers for this service.
        let late = try? await Self.exchange(ConnectionTests.produce(8), with: address, frames: 1)
        #expect(late?.isEmpty ?? true)
        #expect(service.correlations == [7])
    }

    @Test("a port in use is an error with its number")
    func portInUse() async throws {
        let first = KafkaListener(configuration: KafkaListenerConfiguration(port: 0), service: ScriptedService())
        let port = try #require(try await first.start().port)
        let second = KafkaListener(configuration: KafkaListenerConfiguration(port: port), service: ScriptedService())
        do {
            try await second.start()
            Issue.record("bound twice")
        } catch KafkaListenerError.cannotBind(_, let refused, _) {
            #expect(refused == port)
        }
        await second.shutdown()
        await first.shutdown()
    }
}

/// Collects bytes until enough frames are there or the connection ends.
final class Collector: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    let frames: Int
    private let done: AsyncStream<ByteBuffer>.Continuation
    private let stream = NIOLockedValueBox(ByteBuffer())

    init(frames: Int, done: AsyncStream<ByteBuffer>.Continuation) {
        self.frames = frames
        self.done = done
    }

    private func finish() {
        done.yield(stream.withLockedValue { $0 })
        done.finish()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let stream = stream.withLockedValue { stream in
            stream.writeImmutableBuffer(unwrapInboundIn(data))
            return stream
        }
        if Wire.contents(of: stream).count >= frames { finish() }
    }

    func channelInactive(context: ChannelHandlerContext) { finish() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
