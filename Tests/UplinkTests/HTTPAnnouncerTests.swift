import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import Uplink

@Suite("HTTP announcer")
struct HTTPAnnouncerTests {
    static let incarnation = "0123456789abcdef0123456789abcdef"
    let announcement = Announcement(
        site: "a", incarnation: incarnation, lane: "bulk", sequence: 1,
        key: "sites/a/\(incarnation)/bulk/00000000000000000001", firstLSN: 1, lastLSN: 2)
    let answer = #"{"adopted":{"bulk":1},"directives":{"pause":"no"}}"#

    @Test("posts the JSON and reads the answer")
    func posts() async throws {
        try await withServers([.init(.ok, answer)]) { urls, servers in
            let announcer = HTTPAnnouncer(
                client: .shared, baseURLs: [urls[0] + "/"], headers: [(name: "authorization", value: "Bearer x")])
            let reply = try await announcer.announce(announcement)
            #expect(reply == AnnounceReply(adopted: ["bulk": 1], directives: ["pause": "no"]))
            let request = try #require(servers[0].requests.first)
            #expect(request.head.uri == "/v1/announce")
            #expect(request.head.method == .POST)
            #expect(request.head.headers["authorization"] == ["Bearer x"])
            #expect(AnnounceCoding.announcement(request.body) == announcement)
        }
    }

    @Test("another node is asked when one is down or ill, and is asked first from then on")
    func turns() async throws {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        let client = HTTPClient(configuration: configuration)
        try await withServers([.init(.internalServerError, "oops"), .init(.ok, answer)]) { urls, servers in
            let announcer = HTTPAnnouncer(client: client, baseURLs: ["http://127.0.0.1:1"] + urls)
            _ = try await announcer.announce(announcement)
            _ = try await announcer.announce(announcement)
            #expect(servers.map(\.requests.count) == [1, 2])
        }
        try await client.shutdown()
    }

    @Test("a refusal ends the round")
    func refused() async throws {
        try await withServers([.init(.forbidden, "who are you"), .init(.ok, answer)]) { urls, servers in
            let announcer = HTTPAnnouncer(client: .shared, baseURLs: urls)
            let error = await #expect(throws: AnnounceError.self) { try await announcer.announce(announcement) }
            #expect(error?.kind == .refused)
            #expect(error?.status == 403)
            #expect(error?.detail.contains("who are you") == true)
            #expect(servers[1].requests.isEmpty)
        }
    }

    @Test("Retry-After reaches the caller")
    func busy() async throws {
        try await withServers([.init(.tooManyRequests, "", retryAfter: "17")]) { urls, _ in
            let announcer = HTTPAnnouncer(client: .shared, baseURLs: urls)
            let error = await #expect(throws: AnnounceError.self) { try await announcer.announce(announcement) }
            #expect(error?.retryAfter == .seconds(17))
        }
    }

    @Test(
        "an endless or a senseless answer is an error",
        arguments: [
            String(repeating: "x", count: 1 << 20), "hello", "{}",
        ])
    func badReply(text: String) async throws {
        try await withServers([.init(.ok, text)]) { urls, _ in
            let announcer = HTTPAnnouncer(client: .shared, baseURLs: urls)
            let error = await #expect(throws: AnnounceError.self) { try await announcer.announce(announcement) }
            #expect(error?.kind == .badReply)
        }
    }

    @Test("a node that never finishes its answer is left after the timeout")
    func halfAnswer() async throws {
        try await withServers([.init(.ok, nil)]) { urls, _ in
            let announcer = HTTPAnnouncer(client: .shared, baseURLs: urls, timeout: .milliseconds(200))
            let error = await #expect(throws: AnnounceError.self) { try await announcer.announce(announcement) }
            #expect(error?.kind == .unreachable)
        }
    }

    @Test("without addresses nobody hears")
    func noAddress() async {
        let announcer = HTTPAnnouncer(client: .shared, baseURLs: [])
        let error = await #expect(throws: AnnounceError.self) { try await announcer.announce(announcement) }
        #expect(error?.kind == .unreachable)
    }

    private func withServers(
        _ scripts: [ScriptedServer.Script], _ body: ([String], [ScriptedServer]) async throws -> Void
    ) async throws {
        let servers = scripts.map { ScriptedServer($0) }
        var channels: [any Channel] = []
        for server in servers { channels.append(try await server.start()) }
        let urls = channels.map { "http://127.0.0.1:\($0.localAddress?.port ?? 0)" }
        do {
            try await body(urls, servers)
        } catch {
            Issue.record(error)
        }
        for channel in channels { try await channel.close() }
    }
}

/// An HTTP server that always gives the same answer and keeps what it was asked.
final class ScriptedServer: Sendable {
    struct Script: Sendable {
        var status: HTTPResponseStatus
        /// Nil: a head and one byte, and then nothing more.
        var body: String?
        var retryAfter: String?

        init(_ status: HTTPResponseStatus, _ body: String?, retryAfter: String? = nil) {
            self.status = status
            self.body = body
            self.retryAfter = retryAfter
        }
    }

    struct Request: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer
    }

    let script: Script
    private let kept = Mutex([Request]())

    init(_ script: Script) { self.script = script }

    var requests: [Request] { kept.withLock { $0 } }

    func start() async throws -> any Channel {
        try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(server: self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        let server: ScriptedServer
        var head: HTTPRequestHead?
        var body = ByteBuffer()

        init(server: ScriptedServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): self.head = head
            case .body(var bytes): body.writeBuffer(&bytes)
            case .end:
                guard let head else { return }
                server.kept.withLock { $0.append(Request(head: head, body: body)) }
                answer(context)
                body.clear()
            }
        }

        private func answer(_ context: ChannelHandlerContext) {
            var head = HTTPResponseHead(version: .http1_1, status: server.script.status)
            let text = server.script.body
            head.headers.add(name: "content-length", value: "\(text?.utf8.count ?? 1000)")
            if let retryAfter = server.script.retryAfter { head.headers.add(name: "retry-after", value: retryAfter) }
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text ?? "{")))), promise: nil)
            if text != nil { context.write(wrapOutboundOut(.end(nil)), promise: nil) }
            context.flush()
        }
    }
}
