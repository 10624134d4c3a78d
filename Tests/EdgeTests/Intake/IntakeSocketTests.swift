import Foundation
import GNSS
import NIOCore
import NIOPosix
import Testing

@testable import Edge

/// Listeners on real sockets, with the simulator and RTKLIB's str2str as terminals.
@Suite("Intake over sockets", .serialized)
struct IntakeSocketTests {
    private let group = MultiThreadedEventLoopGroup.singleton

    private func caster(_ sink: RecordingSink, password: String = "pw") async throws -> (NTRIPListener, port: Int) {
        let stream = StreamConfiguration(topic: "gnss", unit: .epoch)
        let listener = NTRIPListener(
            NTRIPConfiguration(host: "127.0.0.1", port: 0),
            authority: MountpointTable([Mountpoint(name: "*", password: password, stream: stream)]), sink: sink,
            world: fixedWorld, group: group, logger: quietLogger)
        try await listener.start()
        return (listener, try #require(listener.address?.port))
    }

    private func simulator(
        port: Int, _ transport: TerminalSimulator.Transport, _ terminals: [TerminalSimulator.Terminal]
    ) -> TerminalSimulator {
        var configuration = TerminalSimulator.Configuration(host: "127.0.0.1", port: port, terminals: terminals)
        configuration.transport = transport
        configuration.interval = .milliseconds(20)
        configuration.replaySpeed = 10_000
        configuration.repeatsReplay = false
        return TerminalSimulator(configuration, world: fixedWorld, group: group, logger: quietLogger)
    }

    private static let hasStr2str = FileManager.default.isExecutableFile(atPath: "/usr/bin/str2str")

    @Test(
        "a capture sent by RTKLIB's str2str arrives byte for byte",
        .disabled(if: !hasStr2str, "needs /usr/bin/str2str of the Debian package rtklib"),
        arguments: ["testglo.rtcm3", "rtcm3.2.log"])
    func str2str(_ name: String) async throws {
        let sink = RecordingSink()
        let (listener, port) = try await caster(sink)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/str2str")
        process.arguments = ["-in", "file://" + capturePath(name), "-out", "ntrips://:pw@127.0.0.1:\(port)/SITE01"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let size = UInt64(try capture(name).readableBytes)
        let isComplete = await eventually { listener.counters.bytesReceived >= size }
        kill(process.processIdentifier, SIGKILL)  // str2str takes SIGTERM as a wish.
        await listener.shutdown()
        #expect(isComplete)
        let records = sink.records("gnss") + sink.records("gnss.unknown")
        #expect(merged(records) == (try capture(name)))
        #expect(records.allSatisfy { $0.key == ByteBuffer(string: "SITE01") })
        #expect(listener.counters.bytesReceived == UInt64(try capture(name).readableBytes))
    }

    @Test(
        "a replayed capture arrives byte for byte",
        arguments: [.ntripVersion1, .ntripVersion2] as [TerminalSimulator.Transport])
    func replay(_ transport: TerminalSimulator.Transport) async throws {
        let sent = try capture("ublox-zed-f9p-nmea.log")
        let sink = RecordingSink()
        let (listener, port) = try await caster(sink)
        let terminal = TerminalSimulator.Terminal(name: "SITE01", password: "pw", replay: ReplayScript(capture: sent))
        let simulator = simulator(port: port, transport, [terminal])
        await simulator.run()
        _ = await eventually { listener.counters.bytesReceived >= sent.readableBytes }
        await listener.shutdown()
        #expect(merged(sink.records("gnss") + sink.records("gnss.unknown")) == sent)
        #expect(simulator.counters.bytesSent == sent.readableBytes)
        #expect(listener.counters.connectionsOpen == 0)
    }

    @Test(
        "simulated stations send one record each epoch",
        arguments: [.ntripVersion1, .ntripVersion2] as [TerminalSimulator.Transport])
    func stations(_ transport: TerminalSimulator.Transport) async throws {
        let sink = RecordingSink()
        let (listener, port) = try await caster(sink)
        let terminals = (0..<3).map { TerminalSimulator.Terminal(name: "SITE\($0)", password: "pw") }
        let simulator = simulator(port: port, transport, terminals)
        let running = Task { await simulator.run() }
        let isEnough = await eventually { sink.records("gnss").count >= 15 }
        running.cancel()
        await running.value
        await listener.shutdown()
        #expect(isEnough)
        #expect(
            Set(sink.records("gnss").compactMap { $0.key.map { String(buffer: $0) } }) == ["SITE0", "SITE1", "SITE2"])
        #expect(sink.records("gnss.unknown").isEmpty)
        let frames = listener.details.framesByType
        #expect(frames["rtcm:1077"] == frames["rtcm:1127"] && frames["rtcm:1077"] ?? 0 >= 15)
        #expect(simulator.counters.connectionsOpen == 0)
    }

    @Test("a simulated terminal with a wrong password tries on and is counted")
    func wrongPassword() async throws {
        let (listener, port) = try await caster(RecordingSink(), password: "other")
        let simulator = simulator(port: port, .ntripVersion1, [TerminalSimulator.Terminal(name: "A", password: "pw")])
        let running = Task { await simulator.run() }
        let isCounted = await eventually { listener.details.loginsRejected >= 2 }
        running.cancel()
        await running.value
        await listener.shutdown()
        #expect(isCounted)
        #expect(simulator.counters.connectionsMade == 0)
    }

    @Test("plain TCP takes a stream in, and connects out to a receiver again after it has gone")
    func tcp() async throws {
        let sent = try capture("testglo.rtcm3")
        let sink = RecordingSink()
        let configuration = TCPListenerConfiguration(
            name: "tcp", host: "127.0.0.1", port: 0, identification: .fixed("base"),
            stream: StreamConfiguration(topic: "t", unit: .frame))
        let listener = TCPListener(configuration, sink: sink, world: fixedWorld, group: group, logger: quietLogger)
        try await listener.start()
        let port = try #require(listener.address?.port)
        let terminal = TerminalSimulator.Terminal(name: "x", replay: ReplayScript(capture: sent))
        await simulator(port: port, .tcp, [terminal]).run()
        _ = await eventually { listener.counters.bytesReceived >= sent.readableBytes }
        await listener.shutdown()
        #expect(merged(sink.records("t") + sink.records("t.unknown")) == sent)
        #expect(sink.records("t").first?.key == ByteBuffer(string: "base"))
    }

    @Test("a terminal that sends faster than the lane stores, and then closes, loses nothing")
    func fastAndGone() async throws {
        let sent = try capture("ublox-zed-f9p_hpg1.11.log")
        let full = Array(repeating: DeliveryOutcome.full(retryAfter: .milliseconds(30)), count: 6)
        let sink = RecordingSink(script: [.durable] + full + [.durable] + full)
        var configuration = TCPListenerConfiguration(
            name: "tcp", host: "127.0.0.1", port: 0, stream: StreamConfiguration(topic: "t", unit: .epoch))
        configuration.stream.inFlightBytesMax = 32 * 1024
        let listener = TCPListener(configuration, sink: sink, world: fixedWorld, group: group, logger: quietLogger)
        try await listener.start()
        let port = try #require(listener.address?.port)
        let client = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        try await client.writeAndFlush(sent).get()
        try await client.close().get()
        #expect(await eventually { listener.counters.bytesReceived >= sent.readableBytes })
        await listener.shutdown()
        #expect(merged(sink.records("t") + sink.records("t.unknown")) == sent)
        #expect(listener.counters.pauses > 0)
    }

    @Test("a receiver that listens is connected to, and again after it closed")
    func connector() async throws {
        let frame = NMEAEncoder.frame("PTEST,1")
        let receiver = try await ServerBootstrap(group: group).childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(OneFrameReceiver(frame))
            }
        }.bind(host: "127.0.0.1", port: 0).get()
        let sink = RecordingSink()
        var configuration = TCPConnectorConfiguration(
            name: "out", host: "127.0.0.1", port: try #require(receiver.localAddress?.port), terminalID: "rx",
            stream: StreamConfiguration(topic: "t", unit: .frame))
        configuration.retryMax = .seconds(1)
        let connector = TCPConnector(configuration, sink: sink, world: fixedWorld, group: group, logger: quietLogger)
        try await connector.start()
        let isAgain = await eventually { sink.records("t").count >= 3 }
        await connector.shutdown()
        try await receiver.close().get()
        #expect(isAgain)
        #expect(sink.records("t").allSatisfy { $0.value == frame && $0.key == ByteBuffer(string: "rx") })
        #expect(connector.counters.connectionsOpen == 0)
    }

    @Test("datagrams become records")
    func udp() async throws {
        let frame = NMEAEncoder.frame("PTEST,1")
        let sink = RecordingSink()
        let configuration = UDPListenerConfiguration(
            name: "udp", host: "127.0.0.1", port: 0, stream: StreamConfiguration(topic: "t", unit: .frame))
        let listener = UDPListener(configuration, sink: sink, world: fixedWorld, group: group, logger: quietLogger)
        try await listener.start()
        let address = try #require(listener.address)
        let sender = try await DatagramBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
        for _ in 0..<5 { try await sender.writeAndFlush(AddressedEnvelope(remoteAddress: address, data: frame)).get() }
        let isComplete = await eventually { sink.records("t").count == 5 }
        try await sender.close().get()
        await listener.shutdown()
        #expect(isComplete)
        #expect(listener.counters.framesAccepted == 5)
    }

    @Test("connections beyond the limit are closed, and there is room again when one has gone")
    func connectionLimit() async throws {
        var configuration = TCPListenerConfiguration(
            name: "tcp", host: "127.0.0.1", port: 0, stream: StreamConfiguration(topic: "t", unit: .frame))
        configuration.connectionsMax = 1
        let listener = TCPListener(
            configuration, sink: RecordingSink(), world: fixedWorld, group: group, logger: quietLogger)
        try await listener.start()
        let port = try #require(listener.address?.port)
        let first = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        #expect(await eventually { listener.counters.connectionsAccepted == 1 })
        let second = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        #expect(await eventually { listener.counters.connectionsRefused == 1 })
        try? await second.closeFuture.get()
        try await first.close().get()
        #expect(await eventually { listener.counters.connectionsOpen == 0 })
        let third = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        #expect(await eventually { listener.counters.connectionsAccepted == 2 })
        await listener.shutdown()
        try? await third.closeFuture.get()
        #expect(listener.counters.connectionsOpen == 0)
    }
}

/// A receiver that sends one frame to whoever connects, and closes.
private final class OneFrameReceiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let frame: ByteBuffer

    init(_ frame: ByteBuffer) { self.frame = frame }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        context.close(promise: nil)
    }
}

@Suite("Simulator")
struct SimulatorTests {
    @Test(
        "the pieces of a replay are the capture, in the order of its times",
        arguments: ["rtcm3.2.log", "testglo.rtcm3", "ublox-zed-f9p-nmea.log", "ublox-zed-f9p_hpg1.11.log"])
    func pieces(_ name: String) throws {
        let sent = try capture(name)
        let script = ReplayScript(capture: sent)
        var whole = ByteBuffer()
        for piece in script.pieces { whole.writeImmutableBuffer(piece.bytes) }
        #expect(whole == sent)
        #expect(zip(script.pieces, script.pieces.dropFirst()).allSatisfy { $0.offset <= $1.offset })
    }

    @Test("a capture of one fix a second is replayed in as many seconds")
    func pace() throws {
        let script = ReplayScript(capture: try capture("ublox-zed-f9p-nmea.log"))
        #expect(script.pieces.last?.offset == .seconds(28))
    }

    @Test("synthetic epochs are valid frames that end as an epoch does")
    func synthetic() {
        var base = SyntheticTerminal(kind: .base, number: 3)
        var assembler = EpochAssembler()
        var records = 0
        var framer = StreamFramer()
        for second in 0..<12 {
            framer.append(base.epoch(utcMs: 1_770_091_506_000 + Int64(second) * 1000))
            while let frame = framer.next() {
                #expect(frame.kind == .rtcm)
                assembler.append(frame) { _ in records += 1 }
            }
        }
        #expect(records == 12 && assembler.isEmpty && framer.bufferedBytes == 0)
        var rover = SyntheticTerminal(kind: .rover, number: 3)
        framer.append(rover.epoch(utcMs: 1_770_091_506_000))
        #expect(framer.next()?.type.description == "nmea:RMC")
        #expect(framer.next()?.type.description == "nmea:GGA")
    }

    @Test("a retry waits at random below a ceiling that doubles up to a cap, and starts anew after success")
    func reconnectDelay() {
        var delay = ReconnectDelay(first: .seconds(1), max: .seconds(3))
        #expect(delay.failed(random: 0.5) == .milliseconds(500))
        #expect(delay.failed(random: 0.5) == .seconds(1))
        #expect(delay.failed(random: 0.5) == .milliseconds(1500))
        #expect(delay.failed(random: 0) == .milliseconds(100))
        delay.succeeded()
        #expect(delay.failed(random: 0.5) == .milliseconds(500))
    }
}
