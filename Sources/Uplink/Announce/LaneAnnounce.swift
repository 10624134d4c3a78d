public import ObjectStore

/// What to tell the cloud about one lane. Facts in, one action out: no I/O, no clock, no `await`.
///
/// Only the newest object is ever announced, because the cloud walks forward to it; so one announcement is pending at
/// most. It never holds up an upload. Times are measured from the start of the uplink.
public struct LaneAnnounce: Sendable {
    public enum Action: Sendable, Equatable {
        /// Nothing to tell. Wait for `uploaded`.
        case wait
        case announce(Announcement)
        /// Wait until then, or for `uploaded`, which does not shorten the rest.
        case rest(until: Duration)
    }

    private enum State: Sendable {
        case idle
        case announcing(Announcement)
        case resting(until: Duration)
    }

    private var state = State.idle
    /// The newest object that is not known to be adopted.
    private var newest: Announcement?
    /// Announcements in a row that brought no adoption.
    public private(set) var attempts = 0
    /// Sequence of the last object the cloud says it has adopted.
    public private(set) var adoptedThrough: UInt64?
    public let retry: RetryPolicy

    public init(retry: RetryPolicy) { self.retry = retry }

    /// Whether an object is waiting to be announced or adopted.
    public var isPending: Bool { newest != nil }

    /// An object became durable in the store. Nil: an announcement is under way, its end decides.
    public mutating func uploaded(_ announcement: Announcement) -> Action? {
        newest = announcement
        switch state {
        case .idle: return announceNewest()
        case .announcing: return nil
        case .resting(let until): return .rest(until: until)
        }
    }

    /// The cloud answered; `adoptedThrough` is nil if it did not say.
    public mutating func announced(
        adoptedThrough: UInt64?, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        guard case .announcing(let sent) = state else { preconditionFailure("announced() in \(state)") }
        self.adoptedThrough = adoptedThrough ?? self.adoptedThrough
        if let newest, newest.sequence <= adoptedThrough ?? sent.sequence { self.newest = nil }
        if newest?.sequence == sent.sequence {
            // Heard, but not adopted yet. Ask again, ever more slowly.
            return rest(retryAfter: nil, now: now, using: &random)
        }
        attempts = 0
        return announceNewest()
    }

    public mutating func failed(
        retryAfter: Duration?, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        guard case .announcing = state else { preconditionFailure("failed() in \(state)") }
        return rest(retryAfter: retryAfter, now: now, using: &random)
    }

    /// Time passed. Harmless at any moment; nil if an announcement is under way.
    public mutating func timer(now: Duration) -> Action? {
        switch state {
        case .idle: return .wait
        case .announcing: return nil
        case .resting(let until): return now < until ? .rest(until: until) : announceNewest()
        }
    }

    private mutating func rest(
        retryAfter: Duration?, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        attempts += 1
        let until = now + retry.boundedDelay(afterAttempt: attempts, retryAfter: retryAfter, using: &random)
        state = .resting(until: until)
        return .rest(until: until)
    }

    private mutating func announceNewest() -> Action {
        guard let newest else {
            state = .idle
            return .wait
        }
        state = .announcing(newest)
        return .announce(newest)
    }
}

extension RetryPolicy {
    /// As ``delay(afterAttempt:retryAfter:using:)``, but no peer can send us away for longer than ten minutes.
    func boundedDelay(
        afterAttempt attempt: Int, retryAfter: Duration?, using random: inout some RandomNumberGenerator
    ) -> Duration {
        delay(afterAttempt: attempt, retryAfter: retryAfter.map { min($0, .seconds(600)) }, using: &random)
    }
}
