import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A small S3 server in this process, in memory, without authorisation: enough to test and to measure a client against.
///
/// Path style. PUT, GET with ranges, HEAD, DELETE, DeleteObjects, ListObjectsV2, multipart, `If-None-Match: *`; replies by script.
final class S3Stub: Sendable {
    /// What this server does otherwise than S3.
    struct Behaviour: Sendable {
        var honoursIfNoneMatch = true
        var honoursRanges = true
        var hasBatchDelete = true
        /// The largest page of a listing.
        var pageMax = 1000
        /// Takes a request's body in small pieces with pauses between them.
        var readsSlowly = false
        /// The clock in its `Date` header; nil sends none.
        var date: String? = "Fri, 24 May 2013 00:00:00 GMT"
    }

    /// An answer given instead of the real one to the next matching request.
    struct Canned: Sendable {
        var method: HTTPMethod?
        /// Part of the request's URI.
        var uriPart = ""
        var status = 500
        var headers: [(String, String)] = []
        var body = ""
        /// Do what was asked, then answer this.
        var afterEffect = false
        /// Close the connection instead of answering.
        var closes = false
        /// Never answer.
        var hangs = false
        /// Announce this many bytes more than are sent, then close, or hang.
        var missingBytes = 0
    }

    struct Reply {
        var status: Int
        var headers: [(String, String)] = []
        var body = ByteBuffer()
    }

    private struct State {
        var objects: [String: ByteBuffer] = [:]
        var uploads: [String: [Int: ByteBuffer]] = [:]
        var uploadKeys: [String: String] = [:]
        var uploadCount = 0
        var canned: [Canned] = []
        var log: [String] = []
        var requests: [HTTPRequestHead] = []
    }

    let behaviour: Behaviour
    /// Remember requests; off when measuring.
    let remembers: Bool
    private let state = Mutex(State())
    private let channel = Mutex<(any Channel)?>(nil)

    init(_ behaviour: Behaviour = Behaviour(), remembers: Bool = true) {
        self.behaviour = behaviour
        self.remembers = remembers
    }

    /// Listens on a free loopback port, which is returned.
    func start(on group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton) async throws -> Int {
        let server = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .childChannelOption(
                .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 4096, initial: 65536, maximum: 1 << 20)
            )
            .childChannelOption(.autoRead, value: !behaviour.readsSlowly)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(S3StubHandler(self))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        channel.withLock { $0 = server }
        return server.localAddress?.port ?? 0
    }

    func stop() async { try? await channel.withLock { $0 }?.close() }

    func script(_ canned: Canned...) { state.withLock { $0.canned += canned } }
    /// `METHOD uri status`, in order.
    var log: [String] { state.withLock { $0.log } }
    var requests: [HTTPRequestHead] { state.withLock { $0.requests } }
    var objects: [String: ByteBuffer] { state.withLock { $0.objects } }
    var openUploads: Int { state.withLock { $0.uploads.count } }
    func clearLog() { state.withLock { ($0.log, $0.requests) = ([], []) } }

    /// The reply to one whole request, and how to send it.
    func handle(_ head: HTTPRequestHead, _ body: ByteBuffer) -> (Reply, Canned?) {
        state.withLock { state in
            let index = state.canned.firstIndex {
                ($0.method == nil || $0.method == head.method) && (head.uri.contains($0.uriPart) || $0.uriPart.isEmpty)
            }
            let canned = index.map { state.canned.remove(at: $0) }
            var reply: Reply
            if let canned, !canned.afterEffect, canned.missingBytes == 0 {
                reply = Reply(status: canned.status)
            } else {
                reply = answer(head, body, &state)
            }
            if let canned, canned.missingBytes == 0 {
                reply = Reply(status: canned.status, headers: canned.headers, body: ByteBuffer(string: canned.body))
            }
            if remembers {
                state.log.append("\(head.method) \(head.uri) \(reply.status)")
                state.requests.append(head)
            }
            return (reply, canned)
        }
    }

    private func answer(_ head: HTTPRequestHead, _ body: ByteBuffer, _ state: inout State) -> Reply {
        let halves = head.uri.split(separator: "?", maxSplits: 1)
        let query = Self.query(halves.count > 1 ? String(halves[1]) : "")
        let path = halves[0].drop { $0 == "/" }
        guard let slash = path.firstIndex(of: "/") else { return bucketRequest(head, query, body, &state) }
        let key = Self.decode(String(path[path.index(after: slash)...]))
        if let id = query["uploadId"] { return partRequest(head, key, id, query, body, &state) }
        if query["uploads"] != nil {
            state.uploadCount += 1
            state.uploads["u\(state.uploadCount)"] = [:]
            state.uploadKeys["u\(state.uploadCount)"] = key
            let text =
                "<InitiateMultipartUploadResult><UploadId>u\(state.uploadCount)</UploadId></InitiateMultipartUploadResult>"
            return Reply(status: 200, body: ByteBuffer(string: text))
        }
        switch head.method {
        case .PUT: return put(key, body, head, &state)
        case .GET, .HEAD: return get(key, head, state)
        case .DELETE:
            state.objects[key] = nil
            return Reply(status: 204)
        default: return Self.error(501, "NotImplemented")
        }
    }

    private func put(_ key: String, _ body: ByteBuffer, _ head: HTTPRequestHead, _ state: inout State) -> Reply {
        if behaviour.honoursIfNoneMatch, head.headers.first(name: "if-none-match") == "*", state.objects[key] != nil {
            return Self.error(412, "PreconditionFailed")
        }
        state.objects[key] = body
        return Reply(status: 200, headers: [("etag", Self.etag(body))])
    }

    private func get(_ key: String, _ head: HTTPRequestHead, _ state: State) -> Reply {
        guard let body = state.objects[key] else { return Self.error(404, "NoSuchKey") }
        let etag = [("etag", Self.etag(body)), ("last-modified", "Thu, 01 Jan 1970 00:00:10 GMT")]
        guard behaviour.honoursRanges, let range = head.headers.first(name: "range") else {
            return Reply(status: 200, headers: etag, body: body)
        }
        let ends = range.dropFirst("bytes=".count).split(separator: "-").compactMap { Int($0) }
        guard ends.count == 2, ends[0] < body.readableBytes else { return Self.error(416, "InvalidRange") }
        let last = min(ends[1], body.readableBytes - 1)
        return Reply(
            status: 206, headers: etag + [("content-range", "bytes \(ends[0])-\(last)/\(body.readableBytes)")],
            body: body.getSlice(at: body.readerIndex + ends[0], length: last - ends[0] + 1) ?? ByteBuffer())
    }

    private func partRequest(
        _ head: HTTPRequestHead, _ key: String, _ id: String, _ query: [String: String], _ body: ByteBuffer,
        _ state: inout State
    ) -> Reply {
        guard let parts = state.uploads[id] else { return Self.error(404, "NoSuchUpload") }
        switch head.method {
        case .PUT:
            state.uploads[id]?[query["partNumber"].flatMap { Int($0) } ?? 0] = body
            return Reply(status: 200, headers: [("etag", Self.etag(body))])
        case .POST:
            var whole = ByteBuffer()
            for part in parts.sorted(by: { $0.key < $1.key }) { whole.writeImmutableBuffer(part.value) }
            let reply = put(key, whole, head, &state)
            guard reply.status == 200 else { return reply }
            state.uploads[id] = nil
            let text = "<CompleteMultipartUploadResult><ETag>\(Self.etag(whole))</ETag></CompleteMultipartUploadResult>"
            return Reply(status: 200, body: ByteBuffer(string: text))
        default:
            state.uploads[id] = nil
            return Reply(status: 204)
        }
    }

    private func bucketRequest(
        _ head: HTTPRequestHead, _ query: [String: String], _ body: ByteBuffer, _ state: inout State
    ) -> Reply {
        if head.method == .POST, query["delete"] != nil {
            guard behaviour.hasBatchDelete else { return Self.error(501, "NotImplemented") }
            for piece in String(buffer: body).split(separator: "<Key>").dropFirst() {
                state.objects[Self.unescaped(String(piece.prefix { $0 != "<" }))] = nil
            }
            return Reply(status: 200, body: ByteBuffer(string: "<DeleteResult/>"))
        }
        if query["uploads"] != nil {
            let items = state.uploads.keys.sorted().map { id in
                "<Upload><Key>\(Self.escaped(state.uploadKeys[id] ?? ""))</Key><UploadId>\(id)</UploadId></Upload>"
            }
            let text = "<ListMultipartUploadsResult>\(items.joined())</ListMultipartUploadsResult>"
            return Reply(status: 200, body: ByteBuffer(string: text))
        }
        let after = query["continuation-token"] ?? query["start-after"] ?? ""
        let keys = state.objects.keys.filter { $0.hasPrefix(query["prefix"] ?? "") }
            .filter { after.utf8.lexicographicallyPrecedes($0.utf8) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let page = keys.prefix(min(behaviour.pageMax, query["max-keys"].flatMap { Int($0) } ?? 1000))
        var text = "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>\(page.count < keys.count)</IsTruncated>"
        if page.count < keys.count {
            text += "<NextContinuationToken>\(Self.escaped(page.last ?? ""))</NextContinuationToken>"
        }
        for key in page {
            text += "<Contents><Key>\(Self.escaped(key))</Key><LastModified>1970-01-01T00:00:10.500Z</LastModified>"
            text += "<Size>\(state.objects[key]?.readableBytes ?? 0)</Size></Contents>"
        }
        return Reply(status: 200, body: ByteBuffer(string: text + "</ListBucketResult>"))
    }

    static func error(_ status: Int, _ code: String) -> Reply {
        Reply(status: status, body: ByteBuffer(string: "<Error><Code>\(code)</Code><Message>stub</Message></Error>"))
    }

    private static func etag(_ body: ByteBuffer) -> String { "\"s\(body.readableBytes)\"" }

    private static let entities = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;")]

    private static func escaped(_ text: String) -> String {
        entities.reduce(text) { $0.replacing($1.0, with: $1.1) }
    }

    private static func unescaped(_ text: String) -> String {
        entities.reversed().reduce(text) { $0.replacing($1.1, with: $1.0) }
    }

    private static func query(_ text: String) -> [String: String] {
        var items: [String: String] = [:]
        for item in text.split(separator: "&") {
            let halves = item.split(separator: "=", maxSplits: 1).map { decode(String($0)) }
            items[halves[0]] = halves.count > 1 ? halves[1] : ""
        }
        return items
    }

    private static func decode(_ text: String) -> String {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                out.append(value)
                rest = rest.dropFirst(2)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}

/// One connection of the stub: gathers a request, sends its reply.
private final class S3StubHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let stub: S3Stub
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ stub: S3Stub) { self.stub = stub }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ByteBuffer()
            if let size = head.headers.first(name: "content-length").flatMap({ Int($0) }) { body.reserveCapacity(size) }
        case .body(var bytes): body.writeBuffer(&bytes)
        case .end:
            guard let head else { return }
            let (reply, canned) = stub.handle(head, body)
            body = ByteBuffer()
            send(reply, canned, to: head, context)
        }
    }

    private func send(
        _ reply: S3Stub.Reply, _ canned: S3Stub.Canned?, to head: HTTPRequestHead, _ context: ChannelHandlerContext
    ) {
        if let canned, canned.hangs, canned.missingBytes == 0 { return }
        if canned?.closes == true { return context.close(promise: nil) }
        var headers = HTTPHeaders(reply.headers)
        if let date = stub.behaviour.date, !headers.contains(name: "date") { headers.add(name: "date", value: date) }
        headers.add(name: "content-length", value: String(reply.body.readableBytes))
        let status = HTTPResponseStatus(statusCode: reply.status)
        context.write(
            wrapOutboundOut(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers))), promise: nil)
        let missing = canned?.missingBytes ?? 0
        if head.method != .HEAD,
            let bytes = reply.body.getSlice(
                at: reply.body.readerIndex, length: max(0, reply.body.readableBytes - missing))
        {
            context.write(wrapOutboundOut(.body(.byteBuffer(bytes))), promise: nil)
        }
        if missing > 0 {
            context.flush()
            if canned?.hangs != true { context.close(promise: nil) }
            return
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelActive(context: ChannelHandlerContext) {
        if stub.behaviour.readsSlowly { readLater(context) }
        context.fireChannelActive()
    }

    private func readLater(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .milliseconds(20)) {
            let (handler, context) = bound.value
            guard context.channel.isActive else { return }
            context.read()
            handler.readLater(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
