import KafkaProtocol
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import KafkaListener

/// One connection on an embedded channel: bytes in, bytes out, no threads.
final class Line {
    let channel = EmbeddedChannel()
    let shared: ListenerShared
    let service: ScriptedService

    init(
        _ service: ScriptedService = ScriptedService(), shared: ListenerShared? = nil,
        change: (inout KafkaListenerConfiguration) -> Void = { _ in }
    ) throws {
        var configuration = KafkaListenerConfiguration()
        change(&configuration)
        self.service = service
        self.shared =
            shared ?? ListenerShared(configuration: configuration, service: service, logger: Logger(label: "test"))
        try KafkaListener.initialize(channel, shared: self.shared).wait()
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    func receive(_ bytes: ByteBuffer) throws {
        try channel.writeInbound(bytes)
        channel.embeddedEventLoop.run()
    }

    /// Everything that was sent since the last call.
    func sent() throws -> ByteBuffer {
        channel.embeddedEventLoop.run()
        var all = ByteBuffer()
        while let chunk = try channel.readOutbound(as: ByteBuffer.self) { all.writeImmutableBuffer(chunk) }
        return all
    }

    var counters: KafkaListenerCounters {
        shared.counters.snapshot(requestBudget: shared.requestBudget, assemblyBudget: shared.assemblyBudget)
    }
}

@Suite struct ConnectionTests {
    static func metadata(_ correlation: Int32) -> ByteBuffer {
        Wire.request(key: 3, version: 1, correlation: correlation)
    }

    static func produce(_ correlation: Int32, bytes: Int = 10) -> ByteBuffer {
        Wire.request(key: 0, version: 7, correlation: correlation, body: [UInt8](repeating: 7, count: bytes))
    }

    @Test("requests are answered whether they come byte by byte or in a clump", arguments: [1, 3, 13, 1000])
    func anyReads(readBytes: Int) throws {
        let line = try Line(ScriptedService(answersAtOnce: true))
        var stream = ByteBuffer()
        for correlation in 1...5 { stream.writeImmutableBuffer(Self.metadata(Int32(correlation))) }
        while stream.readableBytes > 0 {
            try line.receive(stream.readSlice(length: min(readBytes, stream.readableBytes)) ?? ByteBuffer())
        }
        #expect(Wire.correlations(of: try line.sent()) == [1, 2, 3, 4, 5])
        #expect(line.counters.requests == 5)
        #expect(line.counters.bytesInFlight == 0)
        #expect(line.counters.bytesInAssembly == 0)
    }

    @Test("the service sees the header and exactly the body")
    func requestContent() throws {
        let line = try Line()
        try line.receive(Wire.request(key: 0, version: 7, correlation: 9, client: "rover-7", body: [1, 2, 3]))
        let request = try #require(line.service.calls.withLockedValue { $0.first?.request })
        #expect(request.header.apiKey == .produce)
        #expect(request.header.apiVersion == 7)
        #expect(request.header.clientID == "rover-7")
        #expect(request.body == ByteBuffer(bytes: [1, 2, 3]))
        line.service.answer(9)
    }

    @Test("produce requests overlap and their responses leave in request order")
    func order() throws {
        let line = try Line()
        for correlation in 1...4 { try line.receive(Self.produce(Int32(correlation))) }
        #expect(line.service.correlations == [1, 2, 3, 4])
        line.service.answer(3)
        line.service.answer(2)
        #expect(try line.sent().readableBytes == 0)
        line.service.answer(1)
        #expect(Wire.correlations(of: try line.sent()) == [1, 2, 3])
        line.service.answer(4)
        #expect(Wire.correlations(of: try line.sent()) == [4])
    }

    @Test("other requests wait until they are alone")
    func exclusive() throws {
        let line = try Line()
        try line.receive(Self.produce(1))
        try line.receive(Self.metadata(2))
        try line.receive(Self.produce(3))
        #expect(line.service.correlations == [1])
        line.service.answer(1)
        #expect(line.service.correlations == [1, 2])
        line.service.answer(2)
        #expect(line.service.correlations == [1, 2, 3])
        line.service.answer(3)
        #expect(Wire.correlations(of: try line.sent()) == [1, 2, 3])
    }

    @Test("a request without a response holds up nobody")
    func noResponse() throws {
        let line = try Line()
        try line.receive(Self.produce(1))
        try line.receive(Self.produce(2))
        line.service.answer(2)
        line.service.answer(1, with: .some(nil))
        #expect(Wire.correlations(of: try line.sent()) == [2])
        #expect(line.counters.bytesInFlight == 0)
    }

    @Test("a failed request closes the connection and answers nothing more")
    func failure() throws {
        let line = try Line()
        try line.receive(Self.produce(1))
        try line.receive(Self.produce(2))
        line.service.fail(1)
        line.service.answer(2)
        #expect(try line.sent().readableBytes == 0)
        #expect(!line.channel.isActive)
        #expect(line.counters.requestsFailed == 1)
        #expect(line.counters.bytesInFlight == 0)
        #expect(line.counters.connectionsOpen == 0)
    }

    @Test(
        "what is no request closes the connection",
        arguments: [
            Wire.request(key: 99, version: 0, correlation: 1), Wire.request(key: 0, version: 2, correlation: 1),
            Wire.request(key: 0, version: 9, correlation: 1), Wire.request(key: 1, version: -1, correlation: 1),
            Wire.frame(ByteBuffer(bytes: [0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff])),
            ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"), ByteBuffer(bytes: [0xff, 0xff, 0xff, 0xff]),
            ByteBuffer(bytes: [0, 0, 0, 1, 0]),
        ])
    func refused(bytes: ByteBuffer) throws {
        let line = try Line()
        try line.receive(bytes)
        #expect(!line.channel.isActive)
        #expect(line.counters.protocolErrors == 1)
        #expect(line.service.correlations == [])
        #expect(line.counters.bytesInFlight == 0)
    }

    @Test("a frame above the limit is refused at its length field")
    func tooLarge() throws {
        let line = try Line { $0.frameBytesMax = 100 }
        try line.receive(ByteBuffer(integer: Int32(101)))
        #expect(!line.channel.isActive)
        #expect(line.counters.framesTooLarge == 1)
    }

    @Test("reading stops at the connection's limit of requests and goes on after an answer")
    func requestLimit() throws {
        let line = try Line { $0.requestsInFlightMax = 2 }
        let reads = ReadCounter()
        try line.channel.pipeline.syncOperations.addHandler(reads, position: .first)
        for correlation in 1...4 { try line.receive(Self.produce(Int32(correlation))) }
        #expect(line.service.correlations == [1, 2])
        reads.count = 0
        line.channel.pipeline.read()
        #expect(reads.count == 0)
        line.service.answer(1)
        #expect(line.service.correlations == [1, 2, 3])
        #expect(reads.count == 0, "the fourth still waits")
        line.service.answer(2)
        line.service.answer(3)
        #expect(reads.count == 1)
        #expect(line.service.correlations == [1, 2, 3, 4])
        line.service.answer(4)
    }

    @Test("the shared budget stops one connection while another holds it, and nothing is lost")
    func sharedBudget() throws {
        let first = try Line {
            $0.inFlightBytesMax = 1000
            $0.assemblyBytesMax = 1000
        }
        let second = try Line(first.service, shared: first.shared)
        try first.receive(Self.produce(1, bytes: 700))
        try second.receive(Self.produce(2, bytes: 700))
        #expect(first.service.correlations == [1])
        #expect(first.counters.budgetWaits == 1)
        first.service.answer(1)
        first.channel.embeddedEventLoop.run()
        second.channel.embeddedEventLoop.run()
        #expect(first.service.correlations == [1, 2])
        first.service.answer(2)
        #expect(Wire.correlations(of: try second.sent()) == [2])
        #expect(first.counters.bytesInFlight == 0)
    }

    @Test("a connection that closes while it waits for the budget gives nothing and takes nothing")
    func closeWhileWaiting() throws {
        let first = try Line {
            $0.inFlightBytesMax = 1000
            $0.assemblyBytesMax = 1000
        }
        let second = try Line(first.service, shared: first.shared)
        try first.receive(Self.produce(1, bytes: 700))
        try second.receive(Self.produce(2, bytes: 700))
        try second.channel.close().wait()
        first.service.answer(1)
        first.channel.embeddedEventLoop.run()
        second.channel.embeddedEventLoop.run()
        #expect(first.service.correlations == [1])
        #expect(first.counters.bytesInFlight == 0)
        #expect(first.counters.connectionsOpen == 1)
    }

    @Test("a closed connection keeps the bytes of its running request until the service lets go")
    func bytesOfRunningRequest() throws {
        let line = try Line()
        try line.receive(Self.produce(1, bytes: 500))
        try line.receive(Self.metadata(2))
        try line.channel.close().wait()
        let charged = 500 + KafkaListenerConfiguration.requestOverheadBytes
        #expect((charged..<charged + 100).contains(Int(line.counters.bytesInFlight)))
        line.service.answer(1)
        line.channel.embeddedEventLoop.run()
        #expect(line.counters.bytesInFlight == 0)
        #expect(line.service.correlations == [1])
    }

    @Test("the service is told when a connection closes, and gets none of the requests that it still had")
    func closing() throws {
        let line = try Line()
        for correlation in 1...4 as ClosedRange<Int32> {
            try line.receive(Wire.request(key: 1, version: 4, correlation: correlation))
        }
        #expect(line.service.correlations == [1], "a fetch is alone in the service")
        let connection = try #require(line.service.calls.withLockedValue { $0.first?.connection })
        let told = Atomic<Int>(0)
        let service = line.service
        _ = connection.whenClosed {
            told.add(1, ordering: .relaxed)
            service.answer(1, with: .some(nil))  // as a fetch does that ends itself
        }
        let forgotten = connection.whenClosed { told.add(100, ordering: .relaxed) }
        connection.forget(forgotten)
        #expect(told.load(ordering: .relaxed) == 0)
        try line.channel.close().wait()
        line.channel.embeddedEventLoop.run()
        #expect(told.load(ordering: .relaxed) == 1)
        #expect(line.service.correlations == [1])
        #expect(line.counters.bytesInFlight == 0)
        _ = connection.whenClosed { told.add(10, ordering: .relaxed) }
        #expect(told.load(ordering: .relaxed) == 11, "told at once when it has gone already")
    }

    @Test("hundreds of small produces of one connection are in the service at once, and the bytes bound them")
    func smallProduces() throws {
        let line = try Line()
        for correlation in 1...600 as ClosedRange<Int32> { try line.receive(Self.produce(correlation)) }
        #expect(line.service.correlations.count == 600)
        let bounded = try Line { $0.requestBytesInFlightMax = 100_000 }
        for correlation in 1...600 as ClosedRange<Int32> { try bounded.receive(Self.produce(correlation)) }
        #expect((300..<380).contains(bounded.service.correlations.count), "each counts 256 bytes besides its own")
    }

    @Test("a client that takes no responses is handed no further requests")
    func writability() throws {
        let line = try Line()
        try line.receive(Self.metadata(1))
        line.channel.isWritable = false
        line.channel.pipeline.fireChannelWritabilityChanged()
        line.service.answer(1)
        try line.receive(Self.metadata(2))
        #expect(line.service.correlations == [1])
        line.channel.isWritable = true
        line.channel.pipeline.fireChannelWritabilityChanged()
        #expect(line.service.correlations == [1, 2])
        line.service.answer(2)
        #expect(Wire.correlations(of: try line.sent()) == [1, 2])
    }

    @Test("a frame that does not end in time closes the connection")
    func slowFrame() throws {
        let line = try Line { $0.frameTimeout = .seconds(10) }
        try line.receive(Self.metadata(1).getSlice(at: 0, length: 6)!)
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(9))
        #expect(line.channel.isActive)
        try line.receive(ByteBuffer(bytes: [0]))
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!line.channel.isActive)
        #expect(line.counters.framesTooSlow == 1)
        #expect(line.counters.bytesInAssembly == 0)
    }

    @Test("an idle connection is closed, one with a running request is not")
    func idle() throws {
        let line = try Line {
            $0.idleTimeout = .seconds(60)
            $0.frameTimeout = .seconds(10)
        }
        try line.receive(Self.metadata(1))
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(200))
        #expect(line.channel.isActive)
        line.service.answer(1)
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(59))
        #expect(line.channel.isActive)
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(10))
        #expect(!line.channel.isActive)
        #expect(line.counters.connectionsIdle == 1)
    }

    @Test("a response tells when it was written, and also when it never will be")
    func whenDone() throws {
        let line = try Line()
        let done = Atomic<Int>(0)
        let response = KafkaResponse(chunks: [ByteBuffer(string: "x")]) { done.add(1, ordering: .relaxed) }
        for correlation in 1...4 { try line.receive(Self.produce(Int32(correlation))) }
        line.service.answer(1, with: response)
        #expect(try line.sent() == ByteBuffer(string: "x"))
        #expect(done.load(ordering: .relaxed) == 1)
        line.service.answer(3, with: response)
        try line.channel.close().wait()
        line.channel.embeddedEventLoop.run()
        #expect(done.load(ordering: .relaxed) == 2)
        line.service.answer(2, with: response)
        line.service.answer(4)
        line.channel.embeddedEventLoop.run()
        #expect(done.load(ordering: .relaxed) == 3)
    }

    @Test("a connection above the limit is refused and counted")
    func connectionLimit() throws {
        let line = try Line { $0.connectionsMax = 1 }
        #expect(throws: KafkaListenerError.tooManyConnections) { try Line(line.service, shared: line.shared) }
        #expect(line.counters.connectionsRefused == 1)
        try line.channel.close().wait()
        line.channel.embeddedEventLoop.run()
        _ = try Line(line.service, shared: line.shared)
        #expect(line.counters.connectionsOpen == 1)
    }

    @Test("draining answers what is in flight, then closes")
    func drain() throws {
        let line = try Line()
        try line.receive(Self.produce(1))
        try line.receive(Self.metadata(2))
        line.shared.drainAll(until: line.channel.embeddedEventLoop.now + .seconds(5))
        line.channel.embeddedEventLoop.run()
        #expect(line.channel.isActive)
        line.service.answer(1)
        #expect(Wire.correlations(of: try line.sent()) == [1])
        #expect(!line.channel.isActive)
        #expect(line.service.correlations == [1], "the second was never begun")
    }

    @Test("draining does not wait for a fetch, which may wait long itself")
    func drainFetch() throws {
        let line = try Line()
        try line.receive(Wire.request(key: 1, version: 4, correlation: 1))
        #expect(line.service.correlations == [1])
        line.shared.drainAll(until: line.channel.embeddedEventLoop.now + .seconds(5))
        line.channel.embeddedEventLoop.run()
        #expect(!line.channel.isActive)
        line.service.answer(1)
        line.channel.embeddedEventLoop.run()
        #expect(line.counters.bytesInFlight == 0)
    }

    @Test("draining ends at its deadline")
    func drainDeadline() throws {
        let line = try Line()
        try line.receive(Self.produce(1))
        line.shared.drainAll(until: line.channel.embeddedEventLoop.now + .seconds(5))
        line.channel.embeddedEventLoop.advanceTime(by: .seconds(5))
        #expect(!line.channel.isActive)
        line.service.answer(1)
    }

    @Test("garbage never does more than close the connection", arguments: 0..<64)
    func garbage(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let line = try Line(ScriptedService(answersAtOnce: true)) { $0.frameBytesMax = 4096 }
        for _ in 0..<50 where line.channel.isActive {
            var bytes = random.next() % 2 == 0 ? Self.metadata(5) : Self.produce(6, bytes: Int(random.next() % 300))
            for _ in 0..<(random.next() % 4) {
                let index = Int(random.next() % UInt64(bytes.readableBytes))
                bytes.setInteger(UInt8(truncatingIfNeeded: random.next()), at: index)
            }
            try line.receive(bytes)
        }
        _ = try line.sent()
        try? line.channel.close().wait()
        line.channel.embeddedEventLoop.run()
        #expect(line.counters.bytesInFlight == 0)
        #expect(line.counters.bytesInAssembly == 0)
        #expect(line.counters.connectionsOpen == 0)
    }
}

/// Counts the reads that reach the transport.
final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

/// A small generator that gives the same numbers for the same seed on every machine.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
