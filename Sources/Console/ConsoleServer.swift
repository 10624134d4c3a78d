import HTTPTypes
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

/// The HTTP side of a role: its page, `/health`, `/metrics` and the endpoints of the role.
///
/// Answers come from closures of ``ConsoleContent``; nothing is kept here. Bodies are bounded.
public struct ConsoleServer: Service {
    public let host: String
    public let port: Int
    private let content: ConsoleContent
    private let tls: ConsoleTLS?
    private let logger: Logger

    /// - Parameter tls: nil serves plain HTTP.
    public init(host: String, port: Int, content: ConsoleContent, tls: ConsoleTLS? = nil, logger: Logger) {
        self.host = host
        self.port = port
        self.content = content
        self.tls = tls
        self.logger = logger
    }

    /// Serves until the group shuts down. Throws when the address cannot be bound.
    public func run() async throws {
        let router = Router(context: ConsoleContext.self)
        addReading(to: router)
        for endpoint in content.endpoints { add(endpoint, to: router) }
        let application = Application(
            router: router, server: server,
            configuration: .init(address: .hostname(host, port: port), serverName: "cairn"),
            logger: logger)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                if let tls { group.addTask { await watch(tls) } }
                defer { group.cancelAll() }
                try await application.run()
            }
        } catch {
            throw ConsoleFailure(description: "http.listen: cannot serve on \(host):\(port): \(error)")
        }
    }

    private var server: HTTPServerBuilder {
        guard let tls else { return .http1() }
        return HTTPServerBuilder { responder in ReloadingTLSChannel(base: HTTP1Channel(responder: responder), tls: tls)
        }
    }

    /// A certificate that was renewed is shown to the next connection.
    private func watch(_ tls: ConsoleTLS) async {
        while (try? await Task.sleep(for: ConsoleTLS.lookEvery)) != nil { tls.look(logger) }
    }

    private func addReading(to router: Router<ConsoleContext>) {
        let (content, tls) = (content, tls)
        router.get("/") { _, _ in Self.response(content.page(), type: "text/plain; charset=utf-8") }
        router.get("/metrics") { _, _ in
            Self.response(Metric.text(content.metrics()), type: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.get("/health") { _, _ in
            let problems = content.problems() + [tls?.problem].compactMap { $0 }
            guard !problems.isEmpty else { return Self.response("ok\n", type: "text/plain; charset=utf-8") }
            return Self.response(
                problems.joined(separator: "\n") + "\n", type: "text/plain; charset=utf-8", status: .serviceUnavailable)
        }
    }

    private func add(_ endpoint: ConsoleEndpoint, to router: Router<ConsoleContext>) {
        let method: HTTPRequest.Method = endpoint.method == .get ? .get : .post
        router.on(RouterPath(endpoint.path), method: method) { request, context in
            let body = try await request.body.collect(upTo: endpoint.bodyBytesMax)
            let answer = await endpoint.answer(Self.call(request, context, body))
            var headers = HTTPFields()
            for header in answer.headers {
                if let name = HTTPField.Name(header.name) { headers[name] = header.value }
            }
            return Response(
                status: .init(code: answer.status), headers: headers, body: ResponseBody(byteBuffer: answer.body))
        }
    }

    private static func call(_ request: Request, _ context: ConsoleContext, _ body: ByteBuffer) -> ConsoleCall {
        let headers = Dictionary(request.headers.map { ($0.name.canonicalName, [$0.value]) }) { $0 + $1 }
        let query = Dictionary(request.uri.queryParameters.map { (String($0.key), String($0.value)) }) { first, _ in
            first
        }
        let isProxied = ["forwarded", "x-forwarded-for"].contains { headers[$0] != nil }
        let peer = context.peer?.ipAddress
        let isLoopback = peer == "::1" || peer?.hasPrefix("127.") == true || peer?.hasPrefix("::ffff:127.") == true
        return ConsoleCall(body: body, peer: peer, isLocal: isLoopback && !isProxied, headers: headers, query: query)
    }

    private static func response(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
        Response(
            status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Why the console could not serve, with its address.
public struct ConsoleFailure: Error, CustomStringConvertible {
    public let description: String
}

/// What a request knows of its connection.
struct ConsoleContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: SocketAddress?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress
    }
}
