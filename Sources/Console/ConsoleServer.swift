import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle

/// The HTTP side of a role: its page, `/health`, `/metrics` and, in the cloud, where gateways announce objects.
///
/// Answers come from closures of ``ConsoleContent``; nothing is kept here. Bodies are bounded.
public struct ConsoleServer: Service {
    public let host: String
    public let port: Int
    private let content: ConsoleContent
    private let logger: Logger

    public init(host: String, port: Int, content: ConsoleContent, logger: Logger) {
        self.host = host
        self.port = port
        self.content = content
        self.logger = logger
    }

    /// Serves until the group shuts down. Throws when the address cannot be bound.
    public func run() async throws {
        let router = Router()
        addReading(to: router)
        if let announce = content.announce { addAnnounce(announce, to: router) }
        if let commands = content.commands { addCommands(commands, to: router) }
        let application = Application(
            router: router,
            configuration: .init(address: .hostname(host, port: port), serverName: "cairn"),
            logger: logger)
        do {
            try await application.run()
        } catch {
            throw ConsoleFailure(description: "http.listen: cannot serve on \(host):\(port): \(error)")
        }
    }

    private func addReading(to router: Router<BasicRequestContext>) {
        let content = content
        router.get("/") { _, _ in Self.response(content.page(), type: "text/plain; charset=utf-8") }
        router.get("/metrics") { _, _ in
            Self.response(Metric.text(content.metrics()), type: "text/plain; version=0.0.4; charset=utf-8")
        }
        if let report = content.report {
            router.get("/status.json") { _, _ in Self.response(await report(), type: "application/json") }
        }
        router.get("/health") { _, _ in
            let problems = content.problems()
            guard !problems.isEmpty else { return Self.response("ok\n", type: "text/plain; charset=utf-8") }
            return Self.response(
                problems.joined(separator: "\n") + "\n", type: "text/plain; charset=utf-8", status: .serviceUnavailable)
        }
    }

    private func addAnnounce(
        _ announce: @escaping @Sendable (ByteBuffer) async -> AnnounceAnswer, to router: Router<BasicRequestContext>
    ) {
        router.post("/v1/announce") { request, _ in
            let body = try await request.body.collect(upTo: Self.announceBytesMax)
            let answer = await announce(body)
            return Self.response(answer.body, type: "application/json", status: answer.status)
        }
    }

    private func addCommands(_ commands: ConsoleCommands, to router: Router<BasicRequestContext>) {
        for (path, answer) in commands.questions {
            router.get("/v1/\(path)") { _, _ in Self.response(answer(), type: "application/json", status: .ok) }
        }
        for (path, work) in commands.orders {
            router.post("/v1/\(path)") { request, _ in
                let refusal = commands.refusal(
                    origin: request.headers[.origin], authorization: request.headers[.authorization])
                if let refusal {
                    return Self.response("refused\n", type: "text/plain; charset=utf-8", status: .init(code: refusal))
                }
                do {
                    return Self.response(try await work(), type: "application/json", status: .ok)
                } catch {
                    return Self.response(
                        "\(error)\n", type: "text/plain; charset=utf-8", status: .internalServerError)
                }
            }
        }
    }

    /// An announcement names one object; its JSON is a few hundred bytes.
    static let announceBytesMax = 16 * 1024

    private static func response(_ text: String, type: String, status: HTTPResponse.Status = .ok) -> Response {
        response(ByteBuffer(string: text), type: type, status: status)
    }

    private static func response(_ body: ByteBuffer, type: String, status: HTTPResponse.Status) -> Response {
        Response(status: status, headers: [.contentType: type], body: ResponseBody(byteBuffer: body))
    }
}

/// Why the console could not serve, with its address.
public struct ConsoleFailure: Error, CustomStringConvertible {
    public let description: String
}

extension AnnounceAnswer {
    fileprivate var status: HTTPResponse.Status {
        switch self {
        case .adopted: .ok
        case .refused: .badRequest
        case .busy: .serviceUnavailable
        }
    }

    fileprivate var body: ByteBuffer {
        switch self {
        case .adopted(let body), .refused(let body), .busy(let body): body
        }
    }
}
