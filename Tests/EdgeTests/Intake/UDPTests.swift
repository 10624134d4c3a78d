import GNSS
import NIOCore
import NIOEmbedded
import Testing

@testable import Edge

@Suite("UDP intake")
struct UDPTests {
    private let frame = RTCMEncoder.station(StationPosition(stationID: 1, x: 1, y: 2, z: 3))

    private struct Bench {
        let loop = EmbeddedEventLoop()
        let channel: EmbeddedChannel
        let all: TerminalPump.Surroundings

        init(
            _ sink: RecordingSink, drained: @escaping () -> Void = {},
            change: (inout UDPListenerConfiguration) -> Void = { _ in }
        ) throws {
            all = surroundings(sink)
            var configuration = UDPListenerConfiguration(
                name: "udp", host: "", port: 0, stream: StreamConfiguration(topic: "t", unit: .frame))
            change(&configuration)
            channel = EmbeddedChannel(
                handler: DatagramHandler(configuration, surroundings: all, drained: drained), loop: loop)
            try channel.connect(to: SocketAddress(ipAddress: "192.0.2.1", port: 1)).wait()
        }

        func send(_ bytes: ByteBuffer, from port: Int) throws {
            let address = try SocketAddress(ipAddress: "192.0.2.9", port: port)
            try channel.writeInbound(AddressedEnvelope(remoteAddress: address, data: bytes))
        }
    }

    @Test("each sender is framed apart from the others")
    func framing() throws {
        let sink = RecordingSink()
        let bench = try Bench(sink)
        let head = try #require(frame.getSlice(at: 0, length: 10))
        let tail = try #require(frame.getSlice(at: 10, length: frame.readableBytes - 10))
        try bench.send(head, from: 1000)
        try bench.send(head, from: 2000)
        try bench.send(tail, from: 1000)
        #expect(sink.records("t").map { $0.header("peer") } == ["192.0.2.9:1000"])
        try bench.send(tail, from: 2000)
        #expect(sink.records("t").map(\.value) == [frame, frame])
        #expect(sink.records("t").map { $0.key.map { String(buffer: $0) } } == ["192.0.2.9", "192.0.2.9"])
        #expect(bench.all.tally.counters.connectionsAccepted == 2)
    }

    @Test("datagrams beyond the common limit are dropped and counted; room comes back")
    func dropped() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = try Bench(sink, change: { $0.inFlightBytesMax = frame.readableBytes + 100 })
        try bench.send(frame, from: 1)
        try bench.send(frame, from: 2)
        #expect(bench.all.tally.details.datagramsDropped == 1)
        #expect(bench.all.tally.details.bytesDropped == UInt64(frame.readableBytes))
        sink.answer(.durable)
        try bench.send(frame, from: 2)
        sink.answer(.durable)
        #expect(sink.records("t").count == 2)
        #expect(bench.all.tally.details.datagramsDropped == 1)
    }

    @Test("the sender that has been silent for longest makes room for a new one")
    func eviction() throws {
        let sink = RecordingSink()
        let bench = try Bench(sink, change: { $0.sourcesMax = 2 })
        let half = try #require(frame.getSlice(at: 0, length: 10))
        for port in [1, 2, 1, 3] { try bench.send(half, from: port) }
        // Sender 2 was put out: what it had sent is stored as it is.
        #expect(sink.records("t.unknown").map { $0.header("peer") } == ["192.0.2.9:2"])
    }

    @Test("closing delivers what every sender had sent, then reports it")
    func closing() throws {
        var hasDrained = 0
        let sink = RecordingSink(isHolding: true)
        let bench = try Bench(sink, drained: { hasDrained += 1 }, change: { $0.terminalID = "site" })
        for port in 1...3 { try bench.send(ByteBuffer(string: "abc"), from: port) }
        bench.channel.close(promise: nil)
        for _ in 0..<3 {
            #expect(hasDrained == 0)
            sink.answer(.durable)
        }
        #expect(hasDrained == 1)
        #expect(sink.records("t.unknown").map { $0.key.map { String(buffer: $0) } } == ["site", "site", "site"])
    }

    @Test("the table of senders does what a slow list does", arguments: 0..<20 as Range<UInt64>)
    func recency(_ seed: UInt64) {
        var random = IntakeRandom(seed: seed)
        var table = RecencyTable<Int, Int>(countMax: 5)
        var model: [(key: Int, value: Int)] = []
        for step in 0..<300 {
            let key = Int.random(in: 0..<9, using: &random)
            let place = model.firstIndex { $0.key == key }
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                #expect(table.use(key) == place.map { model[$0].value })
                if let place { model.append(model.remove(at: place)) }
            case 1:
                #expect(table.remove(key) == place.map { model[$0].value })
                if let place { model.remove(at: place) }
            default:
                guard place == nil, !table.isFull else { continue }
                table.insert(key, step)
                model.append((key, step))
            }
            #expect(table.oldestKey == model.first?.key, "seed \(seed)")
            #expect(table.count == model.count && Set(table.values) == Set(model.map(\.value)))
        }
    }
}

@Suite("First line of a TCP stream")
struct FirstLineTests {
    private func line(_ text: String) -> FirstLine { FirstLine(ByteBuffer(string: text).readableBytesView) }

    @Test("a name is taken from `id NAME`, anything else is data")
    func cases() {
        #expect(line("id rover-7\r\nrest") == .name("rover-7", lengthBytes: 12))
        #expect(line("id r\n") == .name("r", lengthBytes: 5))
        for text in ["", "i", "id", "id ", "id rover"] { #expect(line(text) == .incomplete) }
        for text in ["x", "ix", "id \n", "id a b\n", "id \u{1}\n", "id " + String(repeating: "x", count: 200)] {
            #expect(line(text) == .absent, "\(text)")
        }
    }

    @Test("the name becomes the key, and the stream begins after it", arguments: [false, true])
    func stream(_ byteByByte: Bool) throws {
        let sink = RecordingSink()
        var configuration = TCPListenerConfiguration(
            name: "tcp", host: "", port: 0, stream: StreamConfiguration(topic: "t", unit: .frame))
        configuration.identification = .firstLine
        var hasLeft = 0
        let handler = IdentificationHandler(configuration, surroundings: surroundings(sink), left: { hasLeft += 1 })
        let channel = EmbeddedChannel(handler: handler)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 4000)).wait()
        let frame = NMEAEncoder.frame("PTEST,1")
        var bytes = ByteBuffer(string: "id rover-7\r\n")
        bytes.writeImmutableBuffer(frame)
        for piece in byteByByte ? bytes.readableBytesView.map({ ByteBuffer(bytes: [$0]) }) : [bytes] {
            try channel.writeInbound(piece)
        }
        #expect(sink.records("t").map(\.value) == [frame])
        #expect(sink.records("t").first?.key == ByteBuffer(string: "rover-7"))
        #expect(sink.records("t").first?.header("position") == "0")
        channel.close(promise: nil)
        #expect(hasLeft == 1)
    }

    @Test("a connection that ends inside its first line keeps its bytes")
    func cutShort() throws {
        let sink = RecordingSink()
        var configuration = TCPListenerConfiguration(
            name: "tcp", host: "", port: 0, stream: StreamConfiguration(topic: "t", unit: .frame))
        configuration.identification = .firstLine
        var hasLeft = 0
        let handler = IdentificationHandler(configuration, surroundings: surroundings(sink), left: { hasLeft += 1 })
        let channel = EmbeddedChannel(handler: handler)
        try channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 4000)).wait()
        try channel.writeInbound(ByteBuffer(string: "id rov"))
        channel.close(promise: nil)
        #expect(sink.records("t.unknown").map { String(buffer: $0.value) } == ["id rov"])
        #expect(hasLeft == 1)
    }
}
