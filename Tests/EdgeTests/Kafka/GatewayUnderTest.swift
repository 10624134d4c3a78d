import KafkaListener
import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import WriteAheadLog

@testable import Edge

/// A gateway on a directory of its own, with small segments and a clock that the test sets.
struct GatewayUnderTest {
    static let lanes = ["critical", "standard", "bulk"].map { name in
        LaneSettings(
            name: name, commitWindow: .milliseconds(1), uplinkInterval: .seconds(1), quotaBytes: 8 << 20,
            segmentBytes: 1 << 20, retentionBytes: 1 << 20)
    }

    let directory: TemporaryDirectory
    let gateway: EdgeGateway
    let clock: FixedClock

    init(
        _ directory: TemporaryDirectory? = nil, lanes: [LaneSettings] = Self.lanes, routes: [(String, String)] = [],
        sources: [(String, String)] = [],
        change: (inout EdgeConfiguration) -> Void = { _ in }
    ) throws {
        let directory = try directory ?? TemporaryDirectory()
        let router = try LaneRouter(
            lanes: lanes, routes: routes.map { LaneRoute(try TopicPattern($0.0), lane: $0.1) },
            sources: sources.map { SourceRoute(try SourcePattern($0.0), lane: $0.1) },
            fallback: lanes.contains { $0.name == "standard" } ? "standard" : lanes[0].name)
        var configuration = EdgeConfiguration(
            root: directory.path, router: router, kafkaListener: KafkaListenerConfiguration(port: 0))
        configuration.engine = .pwrite
        configuration.kafka.defaultPartitions = 2
        change(&configuration)
        self.directory = directory
        clock = FixedClock(keeping: directory)
        gateway = try EdgeGateway(configuration, clock: clock, random: 7)
    }

    func start() async throws -> TestClient {
        try await gateway.start()
        return try await connect()
    }

    func connect() async throws -> TestClient {
        guard let address = gateway.kafkaAddress else { throw ChannelError.alreadyClosed }
        return try await TestClient.connect(to: address)
    }

    /// Runs `body` against a started gateway and shuts it down, also after an error.
    static func run(
        _ gateway: GatewayUnderTest, _ body: (TestClient) async throws -> Void
    ) async throws {
        do {
            let client = try await gateway.start()
            try await body(client)
            await client.close()
        } catch {
            await gateway.gateway.shutdown()
            throw error
        }
        await gateway.gateway.shutdown()
    }
}

final class FixedClock: WallClock {
    /// So that the directory lives as long as the gateway that reads this clock.
    private let directory: TemporaryDirectory
    let reading = NIOLockedValueBox(WallReading(wallMs: 1_700_000_000_000, monotonicNs: 1, quality: .gnss))

    init(keeping directory: TemporaryDirectory) {
        self.directory = directory
    }

    func read() -> WallReading { reading.withLockedValue { $0 } }
}

/// One Kafka connection of a test: requests go out when asked, responses are matched in order.
final class TestClient: Sendable {
    private let channel: any Channel
    private let inbox: Inbox

    private init(channel: any Channel, inbox: Inbox) {
        self.channel = channel
        self.inbox = inbox
    }

    static func connect(to address: SocketAddress) async throws -> TestClient {
        let inbox = Inbox()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(inbox) }
            }
            .connect(to: address).get()
        return TestClient(channel: channel, inbox: inbox)
    }

    /// Sends without waiting; the response is the next one that ``receive(_:version:)`` has not taken.
    func send(_ message: some RequestMessage, version: Int16) async throws {
        for chunk in try WireFrame.request(message, version: version, correlationID: 1, clientID: "test") {
            channel.write(chunk, promise: nil)
        }
        channel.flush()
    }

    /// Bytes as they are.
    func sendRaw(_ bytes: ByteBuffer) async throws { try await channel.writeAndFlush(bytes) }

    func receive<Message: RequestMessage>(_ type: Message.Type, version: Int16) async throws -> Message.Response {
        let frame = try await inbox.next(on: channel.eventLoop)
        return try WireFrame.decodeResponse(to: type, version: version, from: frame).response
    }

    func ask<Message: RequestMessage>(_ message: Message, version: Int16) async throws -> Message.Response {
        try await send(message, version: version)
        return try await receive(Message.self, version: version)
    }

    var closed: EventLoopFuture<Void> { channel.closeFuture }

    func close() async { try? await channel.close() }
}

/// Responses that have arrived, and who waits for one.
final class Inbox: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private struct State {
        var bytes = ByteBuffer()
        var frames: [ByteBuffer] = []
        var waiters: [EventLoopPromise<ByteBuffer>] = []
        var isClosed = false
    }

    private let state = NIOLockedValueBox(State())

    func next(on eventLoop: any EventLoop) async throws -> ByteBuffer {
        let promise = eventLoop.makePromise(of: ByteBuffer.self)
        state.withLockedValue { $0.waiters.append(promise) }
        serve()
        return try await promise.futureResult.get()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let read = unwrapInboundIn(data)
        state.withLockedValue { state in
            state.bytes.writeImmutableBuffer(read)
            while let length = state.bytes.getInteger(at: state.bytes.readerIndex, as: Int32.self),
                state.bytes.readableBytes >= 4 + Int(length)
            {
                state.bytes.moveReaderIndex(forwardBy: 4)
                if let frame = state.bytes.readSlice(length: Int(length)) { state.frames.append(frame) }
            }
        }
        serve()
    }

    func channelInactive(context: ChannelHandlerContext) {
        state.withLockedValue { $0.isClosed = true }
        serve()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func serve() {
        let (served, failed) = state.withLockedValue { state in
            let count = min(state.frames.count, state.waiters.count)
            let served = zip(state.waiters, state.frames).prefix(count).map { ($0, $1) }
            state.waiters.removeFirst(count)
            state.frames.removeFirst(count)
            guard state.isClosed else { return (served, [EventLoopPromise<ByteBuffer>]()) }
            defer { state.waiters = [] }
            return (served, state.waiters)
        }
        for (promise, frame) in served { promise.succeed(frame) }
        for promise in failed { promise.fail(ChannelError.eof) }
    }
}

/// Batches and requests that tests send.
enum Sample {
    static func batch(
        _ values: [String], key: String? = nil, timestampsMs: [Int64]? = nil, producerID: Int64 = -1,
        epoch: Int16 = -1, sequence: Int32 = -1
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(producerID: producerID, producerEpoch: epoch, baseSequence: sequence)
        for (index, value) in values.enumerated() {
            builder.append(
                timestampMs: timestampsMs?[index] ?? 1000, key: key.map { ByteBuffer(string: $0) },
                value: ByteBuffer(string: value))
        }
        return builder.finish()
    }

    static func produce(_ parts: [(topic: String, partition: Int32, records: ByteBuffer?)], acks: Int16 = -1)
        -> ProduceRequest
    {
        var request = ProduceRequest()
        request.acks = acks
        request.timeoutMs = 1000
        request.topics = parts.map { part in
            var topic = ProduceRequest.Topic()
            topic.name = part.topic
            topic.partitions = [.init(index: part.partition, records: part.records)]
            return topic
        }
        return request
    }

    static func fetch(
        _ topic: String, partition: Int32 = 0, offset: Int64, waitMs: Int32 = 0, bytesMin: Int32 = 1,
        bytesMax: Int32 = 1 << 20, partitionBytesMax: Int32 = 1 << 20
    ) -> FetchRequest {
        var request = FetchRequest()
        request.maxWaitMs = waitMs
        request.minBytes = bytesMin
        request.maxBytes = bytesMax
        var asked = FetchRequest.Topic()
        asked.name = topic
        var part = FetchRequest.Partition()
        part.index = partition
        part.fetchOffset = offset
        part.maxBytes = partitionBytesMax
        asked.partitions = [part]
        request.topics = [asked]
        return request
    }

    /// Values of all records in `bytes`, with their offsets.
    static func records(_ bytes: ByteBuffer?) throws -> [(offset: Int64, value: String)] {
        var rest = bytes ?? ByteBuffer()
        var all: [(Int64, String)] = []
        while rest.readableBytes > 0 {
            let header = try RecordBatchHeader(reading: rest, at: rest.readerIndex)
            let batch = rest.readSlice(length: header.totalSizeBytes) ?? ByteBuffer()
            _ = try RecordBatch.validateOne(batch)
            var reader = try RecordBatchReader(batch)
            for record in try reader.readAll() {
                all.append(
                    (header.baseOffset + Int64(record.offsetDelta), String(buffer: record.value ?? ByteBuffer())))
            }
        }
        return all
    }
}
