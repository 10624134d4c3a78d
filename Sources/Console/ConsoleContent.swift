public import NIOCore

/// What a ``ConsoleServer`` shows and takes. Every closure must be quick and is called from many tasks.
public struct ConsoleContent: Sendable {
    /// The page at `/`, plain text.
    public var page: @Sendable () -> String
    public var metrics: @Sendable () -> [Metric]
    /// Sentences about what is wrong; none means healthy.
    public var problems: @Sendable () -> [String]
    /// The JSON document at `/status.json`; may read from the disk. Nil: this role has none.
    public var report: (@Sendable () async -> String)?
    /// What else this role answers.
    public var endpoints: [ConsoleEndpoint]
    /// JSON of what sites gave up, of one site and lane or of all. Nil: this role knows of none.
    public var gaps: (@Sendable (_ site: String?, _ lane: String?) -> ByteBuffer)?
    /// What may be asked and ordered under `/v1/`. Nil: nothing.
    public var commands: ConsoleCommands?

    public init(
        page: @escaping @Sendable () -> String, metrics: @escaping @Sendable () -> [Metric],
        problems: @escaping @Sendable () -> [String], report: (@Sendable () async -> String)? = nil,
        endpoints: [ConsoleEndpoint] = [], commands: ConsoleCommands? = nil,
        gaps: (@Sendable (_ site: String?, _ lane: String?) -> ByteBuffer)? = nil
    ) {
        self.commands = commands
        self.page = page
        self.metrics = metrics
        self.problems = problems
        self.report = report
        self.endpoints = endpoints
        self.gaps = gaps
    }
}

/// Orders to a running role, for whoever holds its token.
///
/// A page of another origin in somebody's browser, another user of the machine and the network around it cannot give orders: the token stands
/// in a file that only the role's own user reads, browsers do not send it, and a request that names an `Origin` is refused whatever it holds.
public struct ConsoleCommands: Sendable {
    /// `Authorization: Bearer <token>` of every POST.
    public var token: String
    /// Path below `/v1/` to its answer, JSON. Anybody who reaches the page may ask.
    public var questions: [String: @Sendable () -> ByteBuffer]
    /// Path below `/v1/` to what is done; the answer is JSON and the error's text goes to the caller with status 500.
    public var orders: [String: @Sendable () async throws -> ByteBuffer]

    public init(
        token: String, questions: [String: @Sendable () -> ByteBuffer],
        orders: [String: @Sendable () async throws -> ByteBuffer]
    ) {
        self.token = token
        self.questions = questions
        self.orders = orders
    }

    /// Whether a request with these headers may order something: nil, or the status to refuse it with.
    func refusal(origin: String?, authorization: String?) -> Int? {
        if origin != nil { return 403 }
        let (given, wanted) = (Array((authorization ?? "").utf8), Array("Bearer \(token)".utf8))
        guard given.count == wanted.count else { return 401 }
        // Every byte is looked at, so that the time says nothing.
        return zip(given, wanted).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0 ? nil : 401
    }
}
