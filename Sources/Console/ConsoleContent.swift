public import NIOCore

/// What a ``ConsoleServer`` shows and takes. Every closure must be quick and is called from many tasks.
public struct ConsoleContent: Sendable {
    /// The page at `/`, plain text.
    public var page: @Sendable () -> String
    public var metrics: @Sendable () -> [Metric]
    /// Sentences about what is wrong; none means healthy.
    public var problems: @Sendable () -> [String]
    /// Takes the JSON body of an announcement. Nil: this role takes none.
    public var announce: (@Sendable (ByteBuffer) async -> AnnounceAnswer)?
    /// JSON of what sites gave up, of one site and lane or of all. Nil: this role knows of none.
    public var gaps: (@Sendable (_ site: String?, _ lane: String?) -> ByteBuffer)?

    public init(
        page: @escaping @Sendable () -> String, metrics: @escaping @Sendable () -> [Metric],
        problems: @escaping @Sendable () -> [String],
        announce: (@Sendable (ByteBuffer) async -> AnnounceAnswer)? = nil,
        gaps: (@Sendable (_ site: String?, _ lane: String?) -> ByteBuffer)? = nil
    ) {
        self.page = page
        self.metrics = metrics
        self.problems = problems
        self.announce = announce
        self.gaps = gaps
    }
}

/// The answer to an announcement, with the JSON body to send.
public enum AnnounceAnswer: Sendable {
    /// 200: the body says through which sequence the lane is adopted.
    case adopted(ByteBuffer)
    /// 400: the same announcement would be refused again.
    case refused(ByteBuffer)
    /// 503: try again later.
    case busy(ByteBuffer)
}
