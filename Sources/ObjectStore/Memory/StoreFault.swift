/// One thing that goes wrong with one call.
public enum StoreFault: Sendable, Equatable {
    /// Nothing is done; this is the error.
    case fail(ObjectStoreError.Kind)
    /// It is done, and then this is the error: the answer was lost.
    case failAfterEffect(ObjectStoreError.Kind)
    /// A create-only `put` creates, and yet answers `alreadyExists`: a request that was repeated below us met its own object.
    case ownObjectExists
    /// A create-only `put` does nothing, and yet answers `alreadyExists`: a store that decides by a stale index.
    case existsFalsely
    /// `put` keeps only the first bytes, and fails: a store that keeps what came before the sender died (SeaweedFS 4.48).
    case tornPut(sizeBytes: Int)
    /// `head` does not see the object.
    case staleHead
    /// `get` gives only this many of the bytes: a store that breaks its promise.
    case truncateGet(sizeBytes: Int)
    /// `get` gives the bytes with this bit flipped (counted modulo the length).
    case flipGet(bit: Int)
    /// `list` does not yet know the newest so many objects that were put through the faulty store.
    case staleList(newest: Int)
    /// The call takes this long, then is done.
    case delay(Duration)

    /// 503 with or without a `Retry-After`.
    public static func throttle(retryAfter: Duration? = nil) -> StoreFault { .fail(.throttled(retryAfter: retryAfter)) }
    /// Done, and no answer in time.
    public static var timeoutAfterSuccess: StoreFault { .failAfterEffect(.timeout) }
}

/// Which faults hit which calls: a list of rules, used up in order, then chances by seed. Same calls, same seed, same faults.
public struct FaultScript: Sendable {
    private struct Rule {
        var fault: StoreFault
        var operation: ObjectStoreOperation?
        var keyPrefix: String
        var skipping: Int
        var times: Int
    }

    private struct Chance {
        var fault: StoreFault
        var operation: ObjectStoreOperation?
        var perMille: Int
    }

    private var rules: [Rule] = []
    private var chances: [Chance] = []
    private var random: SeededRandom

    public init(seed: UInt64 = 0) { random = SeededRandom(seed: seed) }

    /// `fault` hits `times` calls of `operation` (nil: any) on keys with `keyPrefix`, after leaving `skipping` of them alone.
    public mutating func add(
        _ fault: StoreFault, on operation: ObjectStoreOperation? = nil, keyPrefix: String = "", skipping: Int = 0,
        times: Int = 1
    ) {
        rules.append(
            Rule(fault: fault, operation: operation, keyPrefix: keyPrefix, skipping: skipping, times: times))
    }

    /// `fault` hits each call of `operation` (nil: any) with a chance of `perMille` in 1,000.
    public mutating func add(_ fault: StoreFault, on operation: ObjectStoreOperation? = nil, perMille: Int) {
        chances.append(Chance(fault: fault, operation: operation, perMille: perMille))
    }

    /// The faults of the next call, each at most once; uses them up.
    mutating func faults(_ operation: ObjectStoreOperation, key: String) -> [StoreFault] {
        var hit: [StoreFault] = []
        for index in rules.indices {
            let rule = rules[index]
            guard rule.times > 0, rule.operation ?? operation == operation, ObjectKey.hasPrefix(key, rule.keyPrefix)
            else { continue }
            if rule.skipping > 0 {
                rules[index].skipping -= 1
            } else {
                rules[index].times -= 1
                hit.append(rule.fault)
            }
        }
        rules.removeAll { $0.times <= 0 }
        for chance in chances where chance.operation ?? operation == operation {
            if Int.random(in: 0..<1000, using: &random) < chance.perMille { hit.append(chance.fault) }
        }
        return hit
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere. Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators".
struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
