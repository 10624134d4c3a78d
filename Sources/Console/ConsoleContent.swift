/// What a ``ConsoleServer`` shows and takes. Every closure must be quick and is called from many tasks.
public struct ConsoleContent: Sendable {
    /// The page at `/`, plain text.
    public var page: @Sendable () -> String
    public var metrics: @Sendable () -> [Metric]
    /// Sentences about what is wrong; none means healthy.
    public var problems: @Sendable () -> [String]
    /// What else this role answers.
    public var endpoints: [ConsoleEndpoint]

    public init(
        page: @escaping @Sendable () -> String, metrics: @escaping @Sendable () -> [Metric],
        problems: @escaping @Sendable () -> [String], endpoints: [ConsoleEndpoint] = []
    ) {
        self.page = page
        self.metrics = metrics
        self.problems = problems
        self.endpoints = endpoints
    }
}
