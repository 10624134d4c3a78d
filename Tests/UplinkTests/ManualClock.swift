import Synchronization

/// Time that passes only when somebody sleeps: a sleep ends at once and the clock stands at its end.
final class ManualClock: Clock, Sendable {
    struct Instant: InstantProtocol {
        var time: Duration
        func advanced(by duration: Duration) -> Instant { Instant(time: time + duration) }
        func duration(to other: Instant) -> Duration { other.time - time }
        static func < (a: Instant, b: Instant) -> Bool { a.time < b.time }
    }

    private let time = Mutex(Duration.zero)

    var now: Instant { Instant(time: time.withLock { $0 }) }
    var minimumResolution: Duration { .nanoseconds(1) }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        advance(to: deadline.time)
        await Task.yield()
    }

    func advance(to newTime: Duration) { time.withLock { $0 = max($0, newTime) } }
    func advance(by duration: Duration) { time.withLock { $0 += duration } }
}
