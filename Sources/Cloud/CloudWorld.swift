import KafkaProtocol
public import ObjectStore

/// What the broker asks of the world besides network, store and ledger: time and chance.
public struct CloudWorld: Sendable {
    /// Milliseconds since 1970-01-01 UTC. Data only: no timer looks at it.
    public var wallMs: @Sendable () -> Int64
    /// Pauses between retries and between rounds of housekeeping.
    public var clock: any Clock<Duration>
    public var random: @Sendable () -> UInt64

    public init(
        wallMs: @escaping @Sendable () -> Int64 = WallClock.nowMs, clock: any Clock<Duration> = ContinuousClock(),
        random: @escaping @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }
    ) {
        self.wallMs = wallMs
        self.clock = clock
        self.random = random
    }

    /// A version 4 UUID whose text does not begin with a dash, which command lines would take for an option.
    func uuid() -> KafkaUUID {
        let high = (random() & 0x7fff_ffff_ffff_0fff) | 0x4000
        let low = (random() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
        return KafkaUUID(high: high, low: low)
    }
}

/// `CloudWorld.random` where a generator is wanted.
struct WorldRandom: RandomNumberGenerator {
    let random: @Sendable () -> UInt64
    mutating func next() -> UInt64 { random() }
}
