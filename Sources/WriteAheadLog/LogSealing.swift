public import Sealing

/// Encryption of a log at rest. A component: handed in where a log is opened.
public struct LogSealing: Sendable {
    /// The keys as they are now; the first one wraps.
    let ring: @Sendable () -> KeyRing
    /// Whether what is written from now on is sealed. What is sealed already is opened either way.
    public let seals: Bool
    /// The data key of a new segment: another one each time, and nobody can guess it.
    private let dataKey: @Sendable () -> SecretKey

    /// - Parameter dataKey: for tests that want the same bytes again.
    public init(
        ring: @escaping @Sendable () -> KeyRing, seals: Bool = true,
        dataKey: @escaping @Sendable () -> SecretKey = { .random() }
    ) {
        self.ring = ring
        self.seals = seals
        self.dataKey = dataKey
    }

    /// Follows a key file while it changes.
    public init(_ keys: LiveKeyRing, seals: Bool = true) { self.init(ring: { keys.ring }, seals: seals) }

    /// A new data key for a segment that is about to be begun; nil when it shall not be sealed.
    func makeKey(lane: String, segment: UInt64, salt: UInt64) -> LogKey? {
        guard seals else { return nil }
        return LogKey.make(lane: lane, segment: segment, salt: salt, under: ring().first, dataKey: dataKey())
    }
}

/// How a record found in a segment becomes its key.
struct LogUnlocking {
    /// Nil: no keys were given.
    let ring: KeyRing?
    /// Records of other lanes are not opened; nil takes any.
    let lane: String?

    enum Unlocked {
        case key(LogKey)
        case locked(UntouchableReason)
    }

    func open(_ record: LogKeyRecord, segment: UInt64, salt: UInt64) -> Unlocked {
        guard let ring else { return .locked(.noKeys(id: record.keyID)) }
        do throws(SealingError) {
            let key = try LogKey.open(record, segment: segment, salt: salt, ring: ring)
            // Believed only now that it has opened.
            if let lane, record.lane != lane { return .locked(.otherLane(record.lane)) }
            return .key(key)
        } catch {
            if case .keyMissing(let id) = error { return .locked(.keyMissing(id: id)) }
            return .locked(.keyWrong(id: record.keyID))
        }
    }
}
