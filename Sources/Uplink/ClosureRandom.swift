/// A generator over a closure, so that one source of randomness can be handed to many.
struct ClosureRandom: RandomNumberGenerator, Sendable {
    let source: @Sendable () -> UInt64

    mutating func next() -> UInt64 { source() }
}
