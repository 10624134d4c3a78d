import NIOCore
import Synchronization
import Testing

@testable import ObjectStore

/// A clock that sleeps at once and remembers for how long.
private final class RecordingClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration
        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (a: Instant, b: Instant) -> Bool { a.offset < b.offset }
    }

    private let state = Mutex<(now: Duration, pauses: [Duration])>((.zero, []))
    var pauses: [Duration] { state.withLock { $0.pauses } }
    var now: Instant { Instant(offset: state.withLock { $0.now }) }
    var minimumResolution: Duration { .zero }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        state.withLock { state in
            state.pauses.append(deadline.offset - state.now)
            state.now = deadline.offset
        }
    }
}

@Suite("Retry")
struct RetryTests {
    static let throttled = ObjectStoreError(.put, key: "k", .throttled(retryAfter: .seconds(7)), status: 503)
    static let lost = ObjectStoreError(.put, key: "k", .unavailable)

    @Test("pauses lie between zero and the doubled base, and stay jittered at the cap")
    func jitter() {
        let policy = RetryPolicy(base: .milliseconds(100), cap: .seconds(10))
        var random = SeededRandom(seed: 1)
        for attempt in 1...80 {
            let ceiling = attempt < 8 ? Duration.milliseconds(100 * (1 << (attempt - 1))) : .seconds(10)
            let pauses = (0..<200).map { _ in policy.delay(afterAttempt: attempt, using: &random) }
            #expect(pauses.allSatisfy { .zero <= $0 && $0 <= ceiling }, "attempt \(attempt)")
            #expect((pauses.max() ?? .zero) > ceiling * 0.8 && (pauses.min() ?? .zero) < ceiling * 0.2)
        }
        _ = RetryPolicy(base: .seconds(1), cap: .seconds(Int64.max)).delay(afterAttempt: .max, using: &random)
    }

    @Test("tries again until success, obeying Retry-After")
    func succeedsLater() async throws {
        let clock = RecordingClock()
        var random = SeededRandom(seed: 2)
        let value = try await withRetry(RetryPolicy(), clock: clock, using: &random) {
            attempt async throws(ObjectStoreError) -> Int in
            if attempt == 1 { throw Self.throttled }
            if attempt < 4 { throw Self.lost }
            return attempt
        }
        #expect(value == 4)
        #expect(clock.pauses.count == 3)
        #expect(clock.pauses[0] >= .seconds(7))
    }

    @Test("gives up after the last attempt, and at once when trying again is no use")
    func givesUp() async {
        for (error, attempts) in [(Self.lost, 3), (ObjectStoreError(.get, key: "k", .denied, status: 403), 1)] {
            let counter = Counter()
            var random = SeededRandom(seed: 3)
            let thrown = await kind { () async throws(ObjectStoreError) in
                try await withRetry(RetryPolicy(attemptsMax: 3), clock: RecordingClock(), using: &random) {
                    _ async throws(ObjectStoreError) -> Int in
                    counter.add()
                    throw error
                }
            }
            #expect(thrown == error.kind)
            #expect(counter.value == attempts)
        }
    }

    @Test("a cancelled task stops waiting")
    func cancelled() async {
        let task = Task {
            await kind { () async throws(ObjectStoreError) in
                var random = SeededRandom(seed: 4)
                return try await withRetry(
                    RetryPolicy(base: .seconds(600), cap: .seconds(6000)), clock: .continuous, using: &random
                ) {
                    _ async throws(ObjectStoreError) -> Int in throw Self.throttled
                }
            }
        }
        task.cancel()
        #expect(await task.value == .cancelled)
    }

    @Test("an error says operation, key, reason and status in one line")
    func description() {
        #expect(Self.throttled.description == "put k: throttled, retry after 7.0 seconds (status 503)")
        let long = ObjectStoreError(.get, key: "k", .unavailable, detail: String(repeating: "x", count: 9999))
        #expect(long.description.count < 400)
    }
}

final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    var value: Int { count.load(ordering: .relaxed) }
    func add() { count.add(1, ordering: .relaxed) }
}

@Suite("Faulty store")
struct FaultyStoreTests {
    @Test("each fault does what its name says")
    func faults() async throws {
        var script = FaultScript()
        script.add(.throttle(retryAfter: .seconds(2)), on: .put)
        script.add(.timeoutAfterSuccess, on: .put, keyPrefix: "a")
        script.add(.ownObjectExists, on: .put, keyPrefix: "b")
        let base = MemoryStore()
        let store = FaultyStore(base, script)
        #expect(
            await kind { () async throws(ObjectStoreError) in try await store.put("a", bytes(9), ifAbsent: true) }
                == .throttled(retryAfter: .seconds(2)))
        #expect(base.contents.isEmpty)
        #expect(
            await kind { () async throws(ObjectStoreError) in try await store.put("a", bytes(9), ifAbsent: true) }
                == nil)
        store.rescript { $0.add(.timeoutAfterSuccess, on: .put, keyPrefix: "a") }
        #expect(
            await kind { () async throws(ObjectStoreError) in try await store.put("a2", bytes(9), ifAbsent: true) }
                == .timeout)
        #expect(try await store.put("b", bytes(9), ifAbsent: true) == .alreadyExists)
        #expect(Set(base.contents.keys) == ["a", "a2", "b"], "the effect was there all the same")
        store.rescript {
            $0.add(.truncateGet(sizeBytes: 4), on: .get)
            $0.add(.flipGet(bit: 9), on: .get, skipping: 1)
            $0.add(.staleList(newest: 1), on: .list)
        }
        #expect(try await store.get("a").readableBytes == 4)
        var flipped = bytes(9)
        flipped.setInteger((bytes(9).getInteger(at: 1) as UInt8? ?? 0) ^ 2, at: 1)
        #expect(try await store.get("a") == flipped)
        #expect(try await store.get("a") == bytes(9))
        #expect(try await store.list(prefix: "", limit: 9).objects.map(\.key) == ["a", "a2"])
        #expect(try await store.list(prefix: "", limit: 9).objects.count == 3)
        #expect(store.count(.put) == 4 && store.count(.list) == 2)
        #expect(store.trace.first?.description == "put a -> throttled(retryAfter: Optional(2.0 seconds))")
    }

    @Test("the same seed gives the same trace", arguments: [1, 2, 3] as [UInt64])
    func seeded(seed: UInt64) async {
        func run() async -> [FaultyStore.Event] {
            var script = FaultScript(seed: seed)
            script.add(.fail(.unavailable), perMille: 200)
            script.add(.failAfterEffect(.timeout), on: .put, perMille: 200)
            script.add(.delay(.seconds(3)), perMille: 100)
            let store = FaultyStore(MemoryStore(), script, sleep: { _ in })
            for round in 0..<100 { _ = try? await store.put("k\(round % 7)", bytes(3), ifAbsent: round % 2 == 0) }
            return store.trace
        }
        let first = await run()
        #expect(await run() == first)
        #expect(first.contains { $0.error != nil } && first.contains { $0.error == nil })
    }
}
