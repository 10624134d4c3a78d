import Synchronization

/// Where asynchronous work that a request needs is run: as child tasks of the broker's `run()`.
///
/// How many jobs there are is bounded by those who submit them. After `stop` every job still runs to its end, cancelled.
final class JobRunner: Sendable {
    typealias Job = @Sendable () async -> Void

    private let jobs: AsyncStream<Job>
    private let continuation: AsyncStream<Job>.Continuation

    init() {
        (jobs, continuation) = AsyncStream.makeStream(of: Job.self)
    }

    /// Whether the job will run. False after `stop`.
    @discardableResult
    func submit(_ job: @escaping Job) -> Bool {
        if case .terminated = continuation.yield(job) { return false }
        return true
    }

    func stop() { continuation.finish() }

    /// Runs jobs until `stop` or cancellation, and returns when the last one has ended.
    func run() async {
        await withDiscardingTaskGroup { group in
            for await job in jobs { group.addTask { await job() } }
            continuation.finish()
            group.cancelAll()
        }
    }
}
