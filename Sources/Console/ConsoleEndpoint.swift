public import NIOCore

/// One more address that a console serves, beside its page.
public struct ConsoleEndpoint: Sendable {
    public enum Method: Sendable { case get, post }

    public var method: Method
    /// Begins with `/`; no parameters in it.
    public var path: String
    /// A longer body is refused with 413.
    public var bodyBytesMax: Int
    public var answer: @Sendable (ConsoleCall) async -> ConsoleAnswer

    public init(
        _ method: Method, _ path: String, bodyBytesMax: Int = 0,
        answer: @escaping @Sendable (ConsoleCall) async -> ConsoleAnswer
    ) {
        self.method = method
        self.path = path
        self.bodyBytesMax = bodyBytesMax
        self.answer = answer
    }
}

/// A request as an endpoint sees it.
public struct ConsoleCall: Sendable {
    public var body: ByteBuffer
    /// Where the connection comes from, without the port; nil where the system does not say.
    public var peer: String?
    /// Of loopback, and not through a proxy that says so.
    public var isLocal: Bool
    /// By name, in small letters.
    private let headers: [String: [String]]
    private let query: [String: String]

    public init(
        body: ByteBuffer, peer: String?, isLocal: Bool, headers: [String: [String]], query: [String: String] = [:]
    ) {
        self.body = body
        self.peer = peer
        self.isLocal = isLocal
        self.headers = headers
        self.query = query
    }

    /// Nil when it is missing, or there more than once.
    public func header(_ name: String) -> String? {
        guard let values = headers[name], values.count == 1 else { return nil }
        return values[0]
    }

    /// Once or more than once.
    public func hasHeader(_ name: String) -> Bool { headers[name] != nil }

    /// A parameter of the address, decoded.
    public func parameter(_ name: String) -> String? { query[name] }
}

/// A reply.
public struct ConsoleAnswer: Sendable {
    public var status: Int
    /// `content-type` among them.
    public var headers: [(name: String, value: String)]
    public var body: ByteBuffer

    public init(_ status: Int, headers: [(name: String, value: String)] = [], json body: ByteBuffer) {
        self.status = status
        self.headers = [("content-type", "application/json")] + headers
        self.body = body
    }

    public init(_ status: Int, text: String) {
        self.status = status
        headers = [("content-type", "text/plain; charset=utf-8")]
        body = ByteBuffer(string: text)
    }
}
