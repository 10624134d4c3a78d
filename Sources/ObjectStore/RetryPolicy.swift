/// How often and how late to try again: full jitter, also at the cap, so that a thousand gateways never come back in step.
///
/// Source: "Exponential Backoff And Jitter", AWS Architecture Blog (full jitter).
public struct RetryPolicy: Sendable, Equatable {
    /// Attempts in all, the first included; nil is without end (for data that waits on disk anyway).
    public var attemptsMax: Int?
    /// Upper end of the first pause.
    public var base: Duration
    /// Upper end of every later pause.
    public var cap: Duration

    public init(attemptsMax: Int? = nil, base: Duration = .milliseconds(200), cap: Duration = .seconds(60)) {
        precondition(attemptsMax ?? 1 >= 1, "attemptsMax \(attemptsMax ?? 0) < 1")
        precondition(base > .zero && cap >= base, "base \(base), cap \(cap)")
        self.attemptsMax = attemptsMax
        self.base = base
        self.cap = cap
    }

    /// The pause after attempt number `attempt` (1 is the first): uniform in 0 ... min(cap, base * 2^(attempt - 1)).
    public func delay(afterAttempt attempt: Int, using random: inout some RandomNumberGenerator) -> Duration {
        let capNs = nanoseconds(cap)
        let doublings = min(max(attempt - 1, 0), 62)
        let (raised, overflow) = nanoseconds(base).multipliedReportingOverflow(by: 1 << doublings)
        let ceilingNs = overflow ? capNs : min(raised, capNs)
        return .nanoseconds(Int64.random(in: 0...ceilingNs, using: &random))
    }

    /// The same with the store's wish obeyed: at least `retryAfter`, jitter on top.
    public func delay(
        afterAttempt attempt: Int, retryAfter: Duration?, using random: inout some RandomNumberGenerator
    ) -> Duration {
        let jitter = delay(afterAttempt: attempt, using: &random)
        guard let retryAfter, retryAfter > .zero else { return jitter }
        return retryAfter + jitter
    }

    /// Whether another attempt is allowed after attempt number `attempt` ended in `error`.
    public func allowsRetry(afterAttempt attempt: Int, _ error: ObjectStoreError) -> Bool {
        error.isRetryable && attempt < attemptsMax ?? Int.max
    }

    private func nanoseconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? Int64.max / 2 : min(whole, Int64.max / 2) + attoseconds / 1_000_000_000
    }
}

/// Runs `body` (given the attempt's number, from 1) until it succeeds, fails for good, or `policy` has enough.
///
/// Waits on `clock` between attempts, obeys `Retry-After`, and ends with `.cancelled` when the task is cancelled in a pause.
public func withRetry<Value, C: Clock>(
    _ policy: RetryPolicy, clock: C, using random: inout some RandomNumberGenerator,
    _ body: (Int) async throws(ObjectStoreError) -> Value
) async throws(ObjectStoreError) -> Value where C.Duration == Duration {
    var attempt = 1
    while true {
        let failure: ObjectStoreError
        do {
            return try await body(attempt)
        } catch {
            failure = error
        }
        guard policy.allowsRetry(afterAttempt: attempt, failure) else { throw failure }
        let pause = policy.delay(afterAttempt: attempt, retryAfter: failure.retryAfter, using: &random)
        do {
            try await clock.sleep(for: pause)
        } catch {
            throw ObjectStoreError(failure.operation, key: failure.key, .cancelled, detail: "while waiting to retry")
        }
        attempt += 1
    }
}
