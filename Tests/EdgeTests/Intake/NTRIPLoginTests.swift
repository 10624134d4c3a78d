import GNSS
import KafkaProtocol
import NIOCore
import NIOEmbedded
import Testing

@testable import Edge

/// Transcripts of the caster: what a peer sends, what it is told, and what becomes of the connection.
@Suite("NTRIP caster")
struct NTRIPLoginTests {
    private static let date = "Date: Tue, 03 Feb 2026 04:05:06 GMT\r\n"
    private static let server = "Server: NTRIP Cairn/1.0\r\n"
    private static let frame = RTCMEncoder.station(StationPosition(stationID: 1, x: 1, y: 2, z: 3))

    /// A caster with one mountpoint, and connections to it.
    private final class Bench {
        let sink: RecordingSink
        let caster: NTRIPCaster
        let loop = EmbeddedEventLoop()

        init(
            sink: RecordingSink = RecordingSink(), authority: (any MountpointAuthority)? = nil,
            change: (inout NTRIPConfiguration) -> Void = { _ in }
        ) {
            self.sink = sink
            var configuration = NTRIPConfiguration(host: "localhost", port: 0)
            change(&configuration)
            var mountpoint = Mountpoint(
                name: "SITE01", user: "base", password: "secret",
                stream: StreamConfiguration(topic: "gnss", unit: .frame))
            mountpoint.description = Sourcetable.Stream(mountpoint: "SITE01")
            let open = Mountpoint(name: "OPEN", password: "", stream: StreamConfiguration(topic: "gnss", unit: .frame))
            caster = NTRIPCaster(
                configuration: configuration, authority: authority ?? MountpointTable([mountpoint, open]),
                surroundings: surroundings(sink))
        }

        func connect(left: @escaping () -> Void = {}) throws -> EmbeddedChannel {
            let channel = EmbeddedChannel(handler: NTRIPLoginHandler(caster, left: left), loop: loop)
            try channel.connect(to: SocketAddress(ipAddress: "192.0.2.7", port: 4000)).wait()
            return channel
        }
    }

    private func send(_ channel: EmbeddedChannel, _ bytes: ByteBuffer, byteByByte: Bool) {
        let pieces = byteByByte ? bytes.readableBytesView.map { ByteBuffer(bytes: [$0]) } : [bytes]
        // A peer that writes to a closed connection is told so; that is not what is tested here.
        for piece in pieces where channel.isActive { _ = try? channel.writeInbound(piece) }
    }

    private func reply(_ channel: EmbeddedChannel) throws -> String {
        var text = ""
        while let part = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: part) }
        return text
    }

    private static let v2Accepted =
        "HTTP/1.1 200 OK\r\nNtrip-Version: Ntrip/2.0\r\n" + server + date
        + "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    private static let postHead =
        "POST /SITE01 HTTP/1.1\r\nHost: h\r\nNtrip-Version: Ntrip/2.0\r\nAuthorization: Basic YmFzZTpzZWNyZXQ=\r\n"

    /// Head, what the caster answers, and whether chunked coding follows.
    static let logins: [(head: String, reply: String, isChunked: Bool)] = [
        ("SOURCE secret SITE01\r\nSource-Agent: NTRIP RTKLIB/2.4.3\r\nSTR: \r\n\r\n", "ICY 200 OK\r\n\r\n", false),
        ("SOURCE secret /SITE01\r\nSource-Agent: NTRIP x\r\n\r\n", "ICY 200 OK\r\n\r\n", false),
        ("SOURCE secret /SITE01 HTTP/1.1\r\n\r\n", "ICY 200 OK\r\n\r\n", false),
        ("SOURCE  OPEN\r\nSTR: RTCM 3.3;1006(10)\r\n\r\n", "ICY 200 OK\r\n\r\n", false),
        (postHead + "\r\n", v2Accepted, false),
        (postHead + "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", v2Accepted, true),
    ]

    @Test("a source logs in and its frames become records", arguments: logins.indices, [false, true])
    func accepted(_ index: Int, _ byteByByte: Bool) throws {
        let (head, expected, isChunked) = Self.logins[index]
        let bench = Bench()
        let channel = try bench.connect()
        var bytes = ByteBuffer(string: head)
        let length = String(Self.frame.readableBytes, radix: 16)
        if isChunked { bytes.writeString("5\r\nnoise\r\n\(length);x=y\r\n") } else { bytes.writeString("noise") }
        bytes.writeImmutableBuffer(Self.frame)
        if isChunked { bytes.writeString("\r\n0\r\n\r\n") }
        send(channel, bytes, byteByByte: byteByByte)
        #expect(try reply(channel) == expected)
        #expect(channel.isActive == !isChunked, "the last chunk ends the connection")

        let records = bench.sink.records("gnss")
        #expect(records.map(\.value) == [Self.frame])
        let record = try #require(records.first)
        #expect(record.key == ByteBuffer(string: head.contains("OPEN") ? "OPEN" : "SITE01"))
        #expect(record.timestampMs == 1_770_091_506_000)
        #expect(record.headers.map(\.key) == ["source", "peer", "session", "type", "position"])
        #expect(record.header("source") == "ntrip" && record.header("peer") == "192.0.2.7:4000")
        #expect(record.header("session") == "5e55" && record.header("type") == "rtcm:1005")
        #expect(record.header("position") == "5")
        #expect(bench.sink.records("gnss.unknown").map { String(buffer: $0.value) } == ["noise"])
    }

    private static func failure(_ status: String, _ fields: String = "", body: String = "") -> String {
        "HTTP/1.1 \(status)\r\nNtrip-Version: Ntrip/2.0\r\n" + server + date + fields
            + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n" + body
    }

    static let refusals: [(head: String, reply: String)] = [
        ("SOURCE wrong SITE01\r\n\r\n", "ERROR - Bad Password\r\n"),
        ("SOURCE  /SITE01\r\n\r\n", "ERROR - Bad Password\r\n"),
        ("SOURCE secret NOWHERE\r\n\r\n", "ERROR - Mount Point Taken or Invalid\r\n"),
        ("SOURCE secret SI;TE\r\n\r\n", "ERROR - Mount Point Taken or Invalid\r\n"),
        ("SOURCE secret *\r\n\r\n", "ERROR - Mount Point Taken or Invalid\r\n"),
        ("SOURCE secret\r\n\r\n", "ERROR - Missing Mountpoint\r\n"),
        (
            "POST /SITE01 HTTP/1.1\r\nNtrip-Version: Ntrip/2.0\r\n\r\n",
            failure("401 Unauthorized", "WWW-Authenticate: Basic realm=\"/SITE01\"\r\n")
        ),
        (
            "POST /SITE01 HTTP/1.1\r\nAuthorization: Basic b3RoZXI6c2VjcmV0\r\n\r\n",
            failure("401 Unauthorized", "WWW-Authenticate: Basic realm=\"/SITE01\"\r\n")
        ),
        ("POST /NOWHERE HTTP/1.1\r\nAuthorization: Basic YmFzZTpzZWNyZXQ=\r\n\r\n", failure("404 Not Found")),
        ("hello\r\n\r\n", failure("400 Bad Request")),
        (
            "PUT /SITE01 HTTP/1.1\r\n\r\n",
            failure(
                "501 Not Implemented", "Content-Type: text/plain\r\n", body: "Method PUT is not supported.\r\n")
        ),
        (
            "GET /SITE01 HTTP/1.1\r\nNtrip-Version: Ntrip/2.0\r\n\r\n",
            failure(
                "501 Not Implemented", "Content-Type: text/plain\r\n",
                body: "This caster takes streams in and gives none out.\r\n")
        ),
    ]

    @Test("a login that fails is told why, byte for byte, and closed", arguments: refusals.indices, [false, true])
    func refused(_ index: Int, _ byteByByte: Bool) throws {
        let (head, expected) = Self.refusals[index]
        var hasLeft = 0
        let bench = Bench()
        let channel = try bench.connect { hasLeft += 1 }
        send(channel, ByteBuffer(string: head), byteByByte: byteByByte)
        #expect(try reply(channel) == expected)
        bench.loop.advanceTime(by: .seconds(3))
        #expect(!channel.isActive)
        #expect(hasLeft == 1)
        #expect(bench.sink.attempts.isEmpty)
    }

    @Test("the sourcetable lists mountpoints in the format of each version")
    func sourcetable() throws {
        let body =
            "STR;SITE01;SITE01;;;2;;;;0.00;0.00;0;0;;none;B;N;0;\r\nSTR;OPEN;OPEN;;;2;;;;0.00;0.00;0;0;;none;B;N;0;\r\n"
            + "ENDSOURCETABLE\r\n"
        let bench = Bench()
        for path in ["", "SITE01"] {
            let old = try bench.connect()
            send(old, ByteBuffer(string: "GET /\(path) HTTP/1.0\r\nUser-Agent: NTRIP x\r\n\r\n"), byteByByte: false)
            #expect(
                try reply(old) == "SOURCETABLE 200 OK\r\n" + Self.server + Self.date
                    + "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                    + body)
        }
        let new = try bench.connect()
        send(new, ByteBuffer(string: "GET / HTTP/1.1\r\nNtrip-Version: Ntrip/2.0\r\n\r\n"), byteByByte: true)
        #expect(
            try reply(new) == "HTTP/1.1 200 OK\r\nNtrip-Version: Ntrip/2.0\r\n" + Self.server + Self.date
                + "Content-Type: gnss/sourcetable\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n"
                + body)
    }

    @Test("the sourcetable tells what a live source said about its format")
    func liveFormat() throws {
        let bench = Bench()
        let channel = try bench.connect()
        send(channel, ByteBuffer(string: "SOURCE  OPEN\r\nSTR: RTCM 3.3;1006(10)\r\n\r\n"), byteByByte: false)
        #expect(bench.caster.sourcetable().streams[1].format == "RTCM 3.3")
        #expect(bench.caster.sourcetable().streams[1].formatDetails == "1006(10)")
        channel.close(promise: nil)
        #expect(bench.caster.sourcetable().streams[1].format == "")
    }

    @Test("a second source is told that the mountpoint is taken, in its version's words")
    func taken() throws {
        let bench = Bench()
        let first = try bench.connect()
        send(first, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        let second = try bench.connect()
        send(second, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(try reply(second) == "ERROR - Mount Point Taken or Invalid\r\n")
        let third = try bench.connect()
        send(third, ByteBuffer(string: Self.logins[4].head), byteByByte: false)
        #expect(try reply(third) == Self.failure("409 Conflict"))
        #expect(first.isActive)
    }

    @Test("a new source replaces one that has been silent for longer than allowed, after its last records are stored")
    func takeover() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = Bench(sink: sink)
        let old = try bench.connect()
        send(old, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        try old.writeInbound(Self.frame)
        #expect(sink.heldCount == 1)
        bench.loop.advanceTime(by: .seconds(16))
        let new = try bench.connect()
        send(new, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(!old.isActive)
        #expect(bench.caster.surroundings.tally.counters.takeovers == 1)
        #expect(try reply(new) == "", "the old source is not stored yet")
        sink.answer(.durable)
        bench.loop.run()
        #expect(try reply(new) == "ICY 200 OK\r\n\r\n")
        #expect(new.isActive)
        let late = try bench.connect()
        send(late, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(try reply(late) == "ERROR - Mount Point Taken or Invalid\r\n")
        #expect(bench.caster.surroundings.tally.counters.takeovers == 1)
    }

    @Test("a source that sends anything keeps its mountpoint, and one with a wrong password takes none")
    func noTakeover() throws {
        let bench = Bench()
        let live = try bench.connect()
        send(live, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        for _ in 0..<4 {
            bench.loop.advanceTime(by: .seconds(9))
            try live.writeInbound(ByteBuffer(string: "x"))
            bench.loop.advanceTime(by: .seconds(1))
            let second = try bench.connect()
            send(second, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
            #expect(try reply(second) == "ERROR - Mount Point Taken or Invalid\r\n")
        }
        bench.loop.advanceTime(by: .seconds(20))
        let stranger = try bench.connect()
        send(stranger, ByteBuffer(string: "SOURCE wrong SITE01\r\n\r\n"), byteByByte: false)
        #expect(try reply(stranger) == "ERROR - Bad Password\r\n")
        #expect(live.isActive)
        #expect(bench.caster.surroundings.tally.counters.takeovers == 0)
    }

    @Test("a source that was not read because its lane was full has not been silent")
    func laneWasFull() throws {
        let sink = RecordingSink(script: Array(repeating: .full(retryAfter: .seconds(50)), count: 2))
        let bench = Bench(sink: sink)
        let first = try bench.connect()
        send(first, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        try first.writeInbound(ByteBuffer(repeating: 0, count: 600_000))
        bench.loop.advanceTime(by: .seconds(101))
        let second = try bench.connect()
        send(second, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(try reply(second) == "ERROR - Mount Point Taken or Invalid\r\n")
        #expect(first.isActive)
    }

    @Test("a source that waits to take over and goes away leaves the mountpoint free")
    func takeoverGivenUp() throws {
        let sink = RecordingSink(isHolding: true)
        let bench = Bench(sink: sink)
        let old = try bench.connect()
        send(old, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        try old.writeInbound(Self.frame)
        bench.loop.advanceTime(by: .seconds(16))
        let waiting = try bench.connect()
        send(waiting, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        waiting.close(promise: nil)
        sink.answer(.durable)
        bench.loop.run()
        let next = try bench.connect()
        send(next, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(try reply(next) == "ICY 200 OK\r\n\r\n")
    }

    @Test("while nothing can be decided the socket is closed without a word")
    func unavailable() throws {
        struct Down: MountpointAuthority {
            var mountpoints: [Mountpoint] { [] }
            func decide(_ login: SourceLogin) -> LoginDecision { .unavailable }
        }
        let bench = Bench(authority: Down())
        for login in Self.logins {
            let channel = try bench.connect()
            send(channel, ByteBuffer(string: login.head), byteByByte: false)
            #expect(try reply(channel) == "")
            #expect(!channel.isActive)
        }
    }

    @Test("while the lane is full a second source hears nothing rather than an error")
    func laneFull() throws {
        let sink = RecordingSink(script: Array(repeating: .full(retryAfter: .seconds(50)), count: 9))
        let bench = Bench(sink: sink)
        let first = try bench.connect()
        send(first, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        try first.writeInbound(ByteBuffer(repeating: 0, count: 600_000))
        let second = try bench.connect()
        send(second, ByteBuffer(string: Self.logins[1].head), byteByByte: false)
        #expect(try reply(second) == "")
        #expect(!second.isActive)
    }

    @Test("a head that does not end is cut off by size")
    func largeHead() throws {
        let bench = Bench()
        let channel = try bench.connect()
        send(
            channel, ByteBuffer(string: "GET / HTTP/1.1\r\nA: " + String(repeating: "x", count: 9000)),
            byteByByte: false)
        #expect(try reply(channel) == Self.failure("431 Request Header Fields Too Large"))
    }

    @Test("a head that dribbles is cut off by time, whatever arrives meanwhile")
    func slowHead() throws {
        var hasLeft = 0
        let bench = Bench()
        let channel = try bench.connect { hasLeft += 1 }
        for _ in 0..<9 {
            bench.loop.advanceTime(by: .seconds(1))
            send(channel, ByteBuffer(string: "G"), byteByByte: false)
        }
        #expect(channel.isActive)
        bench.loop.advanceTime(by: .seconds(2))
        #expect(!channel.isActive)
        #expect(hasLeft == 1)
    }

    @Test("a source that falls silent is dropped after the idle time, one that sends is not")
    func idle() throws {
        let bench = Bench()
        let channel = try bench.connect()
        send(channel, ByteBuffer(string: Self.logins[0].head), byteByByte: false)
        for _ in 0..<5 {
            bench.loop.advanceTime(by: .seconds(50))
            try channel.writeInbound(Self.frame)
        }
        #expect(channel.isActive)
        bench.loop.advanceTime(by: .seconds(61))
        #expect(!channel.isActive)
        #expect(bench.sink.records("gnss").count == 5)
    }

    @Test("bad chunked coding ends the connection and keeps what came before")
    func badChunk() throws {
        let bench = Bench()
        let channel = try bench.connect()
        send(channel, ByteBuffer(string: Self.logins[5].head), byteByByte: false)
        var bytes = ByteBuffer(string: "19\r\n")
        bytes.writeImmutableBuffer(Self.frame)
        bytes.writeString("garbage")
        send(channel, bytes, byteByByte: false)
        #expect(!channel.isActive)
        #expect(bench.sink.records("gnss").map(\.value) == [Self.frame])
    }

    @Test("`*` in the table accepts any name with its password, and a name of its own goes first")
    func wildcard() {
        let stream = StreamConfiguration(topic: "t")
        let table = MountpointTable([
            Mountpoint(name: "*", password: "any", stream: stream),
            Mountpoint(name: "A", password: "own", stream: stream),
        ])
        #expect(table.decide(SourceLogin(mountpoint: "A", user: nil, password: "any")) == .badPassword)
        #expect(
            table.decide(SourceLogin(mountpoint: "B", user: nil, password: "any"))
                == .accepted(Mountpoint(name: "B", password: "any", stream: stream)))
        #expect(table.mountpoints.map(\.name) == ["A"])
    }
}
