import Synchronization

/// SplitMix64: small, and the same on every machine. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The seed is mixed first: neighbouring seeds must not be the same sequence, one step apart.
    init(seed: UInt64) { state = Self.mix(seed &+ 0x1234_5678) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    private static func mix(_ number: UInt64) -> UInt64 {
        var mixed = number
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func chance(_ perMille: Int) -> Bool { Int.random(in: 0..<1000, using: &self) < perMille }
}

/// One source of randomness for closures that production code calls.
final class SharedRandom: Sendable {
    private let random: Mutex<SeededRandom>
    init(seed: UInt64) { random = Mutex(SeededRandom(seed: seed)) }
    func next() -> UInt64 { random.withLock { $0.next() } }
    func chance(_ perMille: Int) -> Bool { random.withLock { $0.chance(perMille) } }
}

/// Time that passes only when the simulation says so; whoever sleeps moves it.
final class SimulatedClock: Clock, Sendable {
    struct Instant: InstantProtocol {
        var sinceStart: Duration
        func advanced(by duration: Duration) -> Instant { Instant(sinceStart: sinceStart + duration) }
        func duration(to other: Instant) -> Duration { other.sinceStart - sinceStart }
        static func < (first: Instant, second: Instant) -> Bool { first.sinceStart < second.sinceStart }
    }

    private let time = Mutex(Duration.seconds(1))

    var now: Instant { Instant(sinceStart: time.withLock { $0 }) }
    var minimumResolution: Duration { .nanoseconds(1) }
    var milliseconds: Int64 {
        let parts = now.sinceStart.components
        return parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
    }

    func advance(by duration: Duration) { time.withLock { $0 += duration } }

    func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        time.withLock { $0 = max($0, deadline.sinceStart) }
    }
}
