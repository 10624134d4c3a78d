/// Numbers the starts of a log: 1, 2, 3, … for ever upwards, so that frames of different starts are told apart.
///
/// A segment's header holds the whole number, a group only its low 16 bits, 0 for "not known". Numbers whose low 16 bits
/// are 0 are never used, and a segment takes no groups of starts more than 32,767 after its own.
enum BootEpoch {
    /// Above this a number read from a file is taken for damage.
    static let max: UInt64 = 1 << 48
    static let segmentSpan: UInt64 = 0x7FFF

    /// The next one after `seen`, and at least `floor`.
    static func following(_ seen: UInt64, atLeast floor: UInt64) -> UInt64 {
        let next = Swift.max(Swift.min(seen, max) + 1, Swift.min(floor, max))
        return mark(next) == 0 ? next + 1 : next
    }

    static func mark(_ epoch: UInt64) -> UInt16 { UInt16(truncatingIfNeeded: epoch) }

    /// The number a group's mark stands for in a segment begun by `segment`; nil when the group has none.
    static func epoch(of mark: UInt16, since segment: UInt64) -> UInt64? {
        guard mark != 0 else { return nil }
        let candidate = segment & ~0xFFFF | UInt64(mark)
        return candidate >= segment ? candidate : candidate &+ 0x1_0000
    }
}

/// When a batch was taken in, as far as the gateway knew.
public struct BatchTime: Sendable, Equatable {
    /// The start of the log that took it; nil when it was written by a program that did not count them.
    public var bootEpoch: UInt64?
    /// By the clock that counts from the start of the machine. Comparable between batches of one boot epoch.
    public var monotonicNs: UInt64
    /// Since 1970-01-01 UTC; may be wrong by years.
    public var wallMs: Int64
    public var clockQuality: ClockQuality

    public init(bootEpoch: UInt64?, monotonicNs: UInt64, wallMs: Int64, clockQuality: ClockQuality) {
        self.bootEpoch = bootEpoch
        self.monotonicNs = monotonicNs
        self.wallMs = wallMs
        self.clockQuality = clockQuality
    }

    /// Nanoseconds from `other` to this by the monotonic clock; nil when the two do not share one. Epochs of different
    /// starts on one run of the machine share it too: see ``SiteBoots/sharesClock(_:_:)``.
    public func nanoseconds(since other: BatchTime) -> Int64? {
        guard let bootEpoch, bootEpoch == other.bootEpoch else { return nil }
        return Int64(clamping: monotonicNs) - Int64(clamping: other.monotonicNs)
    }
}
