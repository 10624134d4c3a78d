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

    /// The keys of a segment that is about to be begun, one so far; nil when it shall not be sealed.
    func makeKeys(lane: String, segment: UInt64, salt: UInt64) -> SegmentKeys? {
        guard seals else { return nil }
        let ring = ring()
        let key = LogKey.make(lane: lane, segment: segment, salt: salt, under: ring.first, dataKey: dataKey())
        return SegmentKeys(first: key, sequence: segment, salt: salt, ring: ring)
    }

    /// One more data key, to go on in a segment that an earlier start of the log began: under the same site key, so that a segment needs no
    /// more than one. Nil when that has gone since the segment was opened.
    func renewKey(of keys: SegmentKeys, segment: UInt64, salt: UInt64) -> LogKey? {
        let record = keys.first.record
        guard let secret = ring().secret(record.keyID), let site = KeyRing.Key(id: record.keyID, secret: secret) else {
            return nil
        }
        return LogKey.make(lane: record.lane, segment: segment, salt: salt, under: site, dataKey: dataKey())
    }
}

/// How a record found in a segment becomes its key.
struct LogUnlocking {
    /// Nil: no keys were given.
    let ring: KeyRing?
    /// Records of other lanes are not opened; nil takes any.
    let lane: String?

    enum Unlocked {
        case keys(SegmentKeys)
        case locked(UntouchableReason)
    }

    func open(_ record: LogKeyRecord, segment: UInt64, salt: UInt64) -> Unlocked {
        guard let ring else { return .locked(.noKeys(id: record.keyID)) }
        do throws(SealingError) {
            let key = try LogKey.open(record, segment: segment, salt: salt, ring: ring)
            // Believed only now that it has opened.
            if let lane, record.lane != lane { return .locked(.otherLane(record.lane)) }
            return .keys(SegmentKeys(first: key, sequence: segment, salt: salt, ring: ring))
        } catch {
            if case .keyMissing(let id) = error { return .locked(.keyMissing(id: id)) }
            return .locked(.keyWrong(id: record.keyID))
        }
    }
}
