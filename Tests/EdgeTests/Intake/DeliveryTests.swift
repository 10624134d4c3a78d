import GNSS
import NIOCore
import NIOEmbedded
import Testing

@testable import Edge

@Suite("Terminal stream")
struct TerminalStreamTests {
    private let identity = StreamIdentity(key: "SITE", source: .tcp, peer: "[::1]:5", session: "abc")

    private func run(
        _ capture: ByteBuffer, _ configuration: StreamConfiguration, seed: UInt64
    ) -> (known: [TerminalRecord], unknown: [TerminalRecord]) {
        var random = IntakeRandom(seed: seed)
        var stream = TerminalStream(configuration, identity: identity)
        var rest = capture
        while rest.readableBytes > 0 {
            let length = min(rest.readableBytes, Int.random(in: 1...4000, using: &random))
            if let piece = rest.readSlice(length: length) { stream.received(piece, at: Arrival(wallMs: 7)) }
            // A terminal may pause anywhere.
            if Int.random(in: 0..<50, using: &random) == 0 { stream.paused() }
            if Int.random(in: 0..<200, using: &random) == 0 { stream.claimExpired() }
        }
        stream.ended()
        let output = stream.takeOutput()
        return (output.known.records, output.unknown.records)
    }

    @Test(
        "records of both topics merge back into what was sent",
        arguments: ["rtcm3.2.log", "testglo.rtcm3", "ublox-zed-f9p-nmea.log"], [1, 2, 3] as [UInt64])
    func merge(_ name: String, _ seed: UInt64) throws {
        let sent = try capture(name)
        for unit in [StreamConfiguration.RecordUnit.frame, .epoch] {
            let output = run(sent, StreamConfiguration(topic: "t", unit: unit), seed: seed)
            #expect(merged(output.known + output.unknown) == sent, "seed \(seed)")
        }
    }

    @Test("a record is a frame or an epoch, as configured")
    func units() throws {
        var stream = ByteBuffer()
        for second in 0..<3 {
            let point = TrackPoint(
                utcMs: Int64(second) * 1000, latitude: 1, longitude: 2, altitude: 3, speedKnots: 4, course: 5)
            stream.writeImmutableBuffer(NMEAEncoder.rmc(point))
            stream.writeImmutableBuffer(NMEAEncoder.gga(point))
        }
        let frames = run(stream, StreamConfiguration(topic: "t", unit: .frame), seed: 4).known
        #expect(
            frames.map { $0.header("type") } == Array(repeating: ["nmea:RMC", "nmea:GGA"], count: 3).flatMap { $0 })
        let epochs = run(stream, StreamConfiguration(topic: "t", unit: .epoch), seed: 5).known
        #expect(epochs.map { $0.header("type") } == ["epoch", "epoch", "epoch"])
        #expect(epochs[0].header("peer") == "[::1]:5" && epochs[0].header("source") == "tcp")
    }

    @Test("a record is stamped with the time its last bytes came, not with the time its end was noticed")
    func timestamps() {
        var stream = TerminalStream(StreamConfiguration(topic: "t", unit: .epoch), identity: identity)
        func fix(_ second: Int) -> ByteBuffer { NMEAEncoder.frame("GNGGA,12000\(second).00,,,,,0,,,,,,,,") }
        stream.received(fix(1), at: Arrival(wallMs: 1000))
        stream.received(NMEAEncoder.frame("GPGSV,1,1,00"), at: Arrival(wallMs: 1050))
        stream.received(fix(2), at: Arrival(wallMs: 2000))
        stream.paused()
        stream.received(ByteBuffer(string: "?"), at: Arrival(wallMs: 3000))
        stream.ended()
        #expect(stream.known.records.map(\.timestampMs) == [1050, 2000])
        #expect(stream.unknown.records.map(\.timestampMs) == [3000])
    }

    @Test("unknown bytes go to a topic of their own, named after the other unless given")
    func topics() {
        #expect(StreamConfiguration(topic: "gnss").unknownTopic == "gnss.unknown")
        #expect(StreamConfiguration(topic: "gnss", unknownTopic: "noise").unknownTopic == "noise")
    }
}

@Suite("Delivery queue")
struct DeliveryQueueTests {
    private func output(_ sizes: [Int]) -> TerminalStream.Output {
        var output = TerminalStream.Output()
        for size in sizes {
            output.append(TerminalRecord(key: nil, value: ByteBuffer(repeating: 1, count: size), timestampMs: 0))
        }
        return output
    }

    @Test("one delivery is under way at a time; what arrives meanwhile goes together")
    func oneAtATime() {
        var queue = DeliveryQueue()
        queue.append(output([1]))
        #expect(queue.next()?.count == 1)
        queue.append(output([2]))
        queue.append(output([3]))
        #expect(queue.next() == nil)
        #expect(queue.answered(.durable) == .goOn)
        #expect(queue.next()?.map(\.value.readableBytes) == [2, 3])
        #expect(queue.answered(.durable) == .goOn)
        #expect(queue.next() == nil)
        #expect(queue.isEmpty && queue.costBytes == 0)
    }

    @Test("a full lane is offered the same records again, before any later ones")
    func full() {
        var queue = DeliveryQueue()
        queue.append(output([1]))
        let first = queue.next()
        #expect(queue.answered(.full(retryAfter: .milliseconds(500))) == .rest(.milliseconds(500)))
        queue.append(output([2]))
        #expect(queue.next() == nil)
        queue.rested()
        #expect(queue.next() == first)
    }

    @Test("the rest is bounded on both sides, whatever the sink says")
    func restBounds() {
        for (asked, given) in [(Duration.zero, Duration.milliseconds(10)), (.seconds(9999), .seconds(60))] {
            var queue = DeliveryQueue()
            queue.append(output([1]))
            _ = queue.next()
            #expect(queue.answered(.full(retryAfter: asked)) == .rest(given))
        }
    }

    @Test("refused records are dropped and counted, later ones go on")
    func refused() {
        var queue = DeliveryQueue()
        queue.append(output([1, 1]))
        _ = queue.next()
        queue.append(output([2]))
        #expect(queue.answered(.refused(reason: "no")) == .drop(records: 2, reason: "no"))
        #expect(queue.next()?.map(\.value.readableBytes) == [2])
    }

    @Test("a delivery is bounded in size, but never empty")
    func bounded() {
        var queue = DeliveryQueue(deliveryCostMax: 1000)
        queue.append(output([5000, 300, 300, 300]))
        var sizes: [[Int]] = []
        while let records = queue.next() {
            sizes.append(records.map(\.value.readableBytes))
            _ = queue.answered(.durable)
        }
        #expect(sizes == [[5000], [300, 300], [300]])
        #expect(queue.costBytes == 0)
    }
}

@Suite("Back-pressure")
struct BackPressureTests {
    private static let frame = NMEAEncoder.frame("PTEST," + String(repeating: "x", count: 900))

    private struct Bench {
        let loop = EmbeddedEventLoop()
        let reads = ReadCounter()
        let channel: EmbeddedChannel
        let all: TerminalPump.Surroundings

        init(_ sink: RecordingSink, drained: @escaping () -> Void = {}) throws {
            all = surroundings(sink)
            var configuration = StreamConfiguration(topic: "t", unit: .frame)
            configuration.inFlightBytesMax = 10_000
            var hooks = TerminalStreamHandler.Hooks()
            hooks.drained = drained
            let handler = TerminalStreamHandler(
                configuration, identity: StreamIdentity(key: "k", source: .tcp, peer: "p", session: "s"),
                surroundings: all, idleTimeout: .seconds(60), hooks: hooks)
            channel = EmbeddedChannel(handlers: [reads, handler], loop: loop)
            try channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 4000)).wait()
        }

        func send(_ count: Int) throws {
            var bytes = ByteBuffer()
            for _ in 0..<count { bytes.writeImmutableBuffer(BackPressureTests.frame) }
            try channel.writeInbound(bytes)
        }
    }

    @Test("reading stops at the limit and goes on when records became durable")
    func stopsAndGoesOn() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = try Bench(sink)
        #expect(bench.reads.count == 1)
        try bench.send(5)
        #expect(bench.reads.count == 2)
        try bench.send(20)
        #expect(bench.reads.count == 2, "20 KB wait, 10 KB are allowed")
        #expect(bench.all.tally.counters.pauses == 1)
        #expect(sink.heldCount == 1, "one delivery at a time")
        sink.answer(.durable)
        #expect(bench.reads.count == 2, "the rest still exceeds the limit")
        sink.answer(.durable)
        #expect(bench.reads.count == 3)
        #expect(bench.all.tally.counters.recordsDurable == 25)
    }

    @Test("a full lane is tried again after the time it asked for; nothing is read, lost or reordered meanwhile")
    func fullLane() throws {
        let sink = RecordingSink(script: [.full(retryAfter: .seconds(1)), .full(retryAfter: .seconds(2))])
        let bench = try Bench(sink)
        try bench.send(15)
        #expect(bench.reads.count == 1)
        bench.loop.advanceTime(by: .milliseconds(999))
        #expect(sink.attempts.count == 1)
        bench.loop.advanceTime(by: .milliseconds(1))
        #expect(sink.attempts.count == 2)
        bench.loop.advanceTime(by: .seconds(2))
        #expect(sink.attempts.count == 3)
        #expect(sink.attempts[0] == sink.attempts[2])
        #expect(sink.records("t").count == 15)
        #expect(bench.reads.count == 2)
    }

    @Test("a terminal that is not read is not dropped for its silence")
    func noIdleWhilePaused() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = try Bench(sink)
        try bench.send(20)
        bench.loop.advanceTime(by: .seconds(600))
        #expect(bench.channel.isActive)
        sink.answer(.durable)
        bench.loop.advanceTime(by: .seconds(61))
        #expect(!bench.channel.isActive)
    }

    @Test("what a closed connection brought is still stored, and the connection counts until then")
    func closedWhileFull() throws {
        var hasDrained = 0
        let sink = RecordingSink(script: [.full(retryAfter: .seconds(1))])
        let bench = try Bench(sink) { hasDrained += 1 }
        try bench.send(3)
        bench.channel.close(promise: nil)
        #expect(hasDrained == 0)
        bench.loop.advanceTime(by: .seconds(1))
        #expect(sink.records("t").count == 3)
        #expect(hasDrained == 1)
    }

    @Test("refused records are counted and end the connection")
    func refused() throws {
        let bench = try Bench(RecordingSink(script: [.refused(reason: "no such topic")]))
        try bench.send(3)
        #expect(!bench.channel.isActive)
        #expect(bench.all.tally.counters.recordsRefused == 3)
        #expect(bench.all.tally.counters.recordsDurable == 0)
    }

    @Test("a delivery that fails without an answer is not offered again, and counts as uncertain")
    func uncertain() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = try Bench(sink)
        try bench.send(3)
        sink.failOldest()
        #expect(!bench.channel.isActive)
        #expect(sink.attempts.count == 1)
        #expect(bench.all.tally.details.deliveriesUncertain == 1)
    }

    @Test("a pause of the terminal brings out its unknown bytes; the start of a frame waits longer")
    func pauses() throws {
        let sink = RecordingSink()
        let bench = try Bench(sink)
        var bytes = ByteBuffer(string: "hello")
        bytes.writeBytes([0xD3, 0x00, 0x13])
        try bench.channel.writeInbound(bytes)
        #expect(sink.attempts.isEmpty)
        bench.loop.advanceTime(by: .milliseconds(300))
        #expect(sink.records("t.unknown").map { String(buffer: $0.value) } == ["hello"])
        bench.loop.advanceTime(by: .seconds(5))
        #expect(sink.records("t.unknown").map(\.value.readableBytes) == [5, 3])
        #expect(sink.records("t.unknown").map { $0.header("position") } == ["0", "5"])
    }

    @Test("a false frame start does not hold up a stream that goes on")
    func claimExpires() throws {
        let sink = RecordingSink()
        let bench = try Bench(sink)
        // UBX, 16,000 bytes of payload.
        try bench.channel.writeInbound(ByteBuffer(bytes: [0xB5, 0x62, 0x01, 0x07, 0x80, 0x3E]))
        for _ in 0..<8 {
            bench.loop.advanceTime(by: .milliseconds(250))
            try bench.send(1)
        }
        #expect(sink.records("t").isEmpty)
        for _ in 0..<20 {
            bench.loop.advanceTime(by: .milliseconds(250))
            try bench.send(0)
        }
        bench.loop.advanceTime(by: .milliseconds(300))
        #expect(sink.records("t").count == 8)
    }
}
