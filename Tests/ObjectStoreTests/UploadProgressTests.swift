import AsyncHTTPClient
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import ObjectStore

@Suite("Upload progress")
struct UploadProgressTests {
    private let limits = UploadProgress.Limits(beginning: .seconds(10), piece: .seconds(30), reply: .seconds(20))
    private func at(_ seconds: UInt64) -> NIODeadline { .uptimeNanoseconds(seconds * 1_000_000_000) }

    @Test("each stage has its own limit, and waiting for the pace has none")
    func transcript() {
        var progress = UploadProgress(limits: limits, hasBody: true, now: at(0))
        #expect(!progress.isStuck(at: at(9)) && progress.isStuck(at: at(10)))
        progress.asked(at: at(5))
        #expect(!progress.isStuck(at: at(99_999)))
        progress.offered(at: at(100))
        #expect(!progress.isStuck(at: at(129)) && progress.isStuck(at: at(130)))
        progress.asked(at: at(129))
        progress.offered(at: at(129))
        #expect(!progress.isStuck(at: at(158)))
        progress.bodyDone(at: at(158))
        #expect(!progress.isStuck(at: at(177)) && progress.isStuck(at: at(178)))
    }

    @Test("a request without a body has only to be answered")
    func noBody() {
        let progress = UploadProgress(limits: limits, hasBody: false, now: at(0))
        #expect(!progress.isStuck(at: at(19)) && progress.isStuck(at: at(20)))
    }

    @Test("a connection that stalls half-way is left after the progress timeout, not before and not much later")
    func halfOpen() async throws {
        let server = StallingServer(readsBytes: 300_000)
        let port = try await server.start()
        var configuration = stubSettings
        configuration.endpoint = "http://127.0.0.1:\(port)"
        configuration.progressTimeout = .seconds(1)
        configuration.attemptTimeout = .seconds(600)
        configuration.slowestBytesPerSecond = 1
        let client = S3Store.makeHTTPClient(configuration)
        let store = try S3Store(configuration: configuration, httpClient: client, wallClockMs: { 1_369_353_600_000 })
        let clock = ContinuousClock()
        let began = clock.now
        let kind = await kind { () async throws(ObjectStoreError) in
            try await store.put("k", ByteBuffer(repeating: 1, count: 30 << 20), ifAbsent: true)
        }
        let took = began.duration(to: clock.now)
        #expect(kind == .timeout || kind == .unavailable)  // TCP_USER_TIMEOUT of the kernel may be first
        #expect(took >= .seconds(1) && took < .seconds(10), "\(took)")
        #expect(server.received >= 300_000)
        try await client.shutdown()
        await server.stop()
    }

    @Test("an upload that gets on, however slowly, is not cut off by a total time")
    func slow() async throws {
        var behaviour = S3Stub.Behaviour()
        behaviour.readsSlowly = true
        var settings = stubSettings
        settings.attemptTimeout = .milliseconds(400)
        settings.progressTimeout = .seconds(5)
        settings.slowestBytesPerSecond = 100 << 20
        try await withStub(behaviour, settings: settings) { stub, store async throws in
            let clock = ContinuousClock()
            let began = clock.now
            let pace = CountingPace(pause: .milliseconds(20))
            _ = try await store.put("slow", bytes(2 << 20), ifAbsent: true, pace: pace)
            #expect(began.duration(to: clock.now) > .milliseconds(500))
            #expect(stub.objects["slow"] == bytes(2 << 20))
            #expect(pace.admitted == 2 << 20 && pace.isDone)
        }
    }

    @Test("a pace that stops ends the upload at its next piece, with nothing stored")
    func stopped() async throws {
        try await withStub { stub, store async throws in
            let pace = CountingPace(pause: .zero, stopsAfter: 500_000)
            let kind = await kind { () async throws(ObjectStoreError) in
                try await store.put("k", bytes(2 << 20), ifAbsent: true, pace: pace)
            }
            #expect(kind == .cancelled)
            #expect(stub.objects.isEmpty)
            #expect(pace.admitted <= 500_000)
        }
    }

    @Test("a store without pieces asks for all of them before it begins")
    func wholeFirst() async throws {
        let memory = MemoryStore()
        let stopping = CountingPace(pause: .zero, stopsAfter: 100)
        #expect(
            await kind { () async throws(ObjectStoreError) in
                try await memory.put("k", bytes(200), ifAbsent: true, pace: stopping)
            } == .cancelled)
        #expect(memory.contents.isEmpty)
        let pace = CountingPace(pause: .zero)
        _ = try await memory.put("k", bytes(200), ifAbsent: true, pace: pace)
        #expect(pace.admitted == 200 && pace.isDone)
    }

    @Test(
        "Retry-After in seconds and as a date, bounded; a date counts from the reply's own clock",
        arguments: [
            ("17", nil, 17), ("0", nil, 0), ("99999999999999999999999", nil, 3600), ("86400", nil, 3600),
            ("-1", nil, nil),
            ("soon", nil, nil), ("Fri, 24 May 2013 00:01:00 GMT", "Fri, 24 May 2013 00:00:00 GMT", 60),
            ("Fri, 24 May 2013 00:01:00 GMT", nil, nil),
            ("Thu, 23 May 2013 00:01:00 GMT", "Fri, 24 May 2013 00:00:00 GMT", nil),
            ("Sat, 24 May 2014 00:01:00 GMT", "Fri, 24 May 2013 00:00:00 GMT", 3600),
        ] as [(String, String?, Int?)])
    func retryAfter(text: String, date: String?, seconds: Int?) {
        #expect(RetryAfter.parse(text, date: date) == seconds.map { .seconds($0) })
    }
}

/// Counts what it admits, in pieces of at most 64 KiB with a pause before each.
final class CountingPace: UploadPace {
    private let pause: Duration
    private let stopsAfter: Int
    private let state = Mutex((admitted: 0, isDone: false))

    init(pause: Duration, stopsAfter: Int = .max, linkBytesPerSecond: Double? = nil) {
        self.linkBytesPerSecond = linkBytesPerSecond
        self.pause = pause
        self.stopsAfter = stopsAfter
    }

    var admitted: Int { state.withLock { $0.admitted } }
    var isDone: Bool { state.withLock { $0.isDone } }
    let linkBytesPerSecond: Double?

    func admit(_ bytesMax: Int) async throws(UploadStopped) -> Int {
        if pause > .zero { try? await Task.sleep(for: pause) }
        let bytes = min(bytesMax, 64 << 10)
        let isOver = state.withLock { state in
            if state.admitted + bytes > stopsAfter { return true }
            state.admitted += bytes
            return false
        }
        if isOver { throw UploadStopped() }
        return bytes
    }

    func bodyDone() { state.withLock { $0.isDone = true } }
}

/// Takes so many bytes of a connection and then nothing more, for ever: the far end of a half-open connection.
final class StallingServer: Sendable {
    private let readsBytes: Int
    private let taken = Atomic<Int>(0)
    private let channel = Mutex<(any Channel)?>(nil)

    init(readsBytes: Int) { self.readsBytes = readsBytes }

    var received: Int { taken.load(ordering: .relaxed) }

    func start() async throws -> Int {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelOption(.socketOption(.so_rcvbuf), value: 64 << 10)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Taker(server: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        channel.withLock { $0 = server }
        return server.localAddress?.port ?? 0
    }

    func stop() async { try? await channel.withLock { $0 }?.close() }

    private final class Taker: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        let server: StallingServer
        init(server: StallingServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let total = server.taken.add(unwrapInboundIn(data).readableBytes, ordering: .relaxed).newValue
            if total >= server.readsBytes { _ = context.channel.setOption(.autoRead, value: false) }
        }
    }
}
