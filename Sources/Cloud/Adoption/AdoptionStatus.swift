public import Ledger

/// What became of an announcement, and how far the lane is now.
public struct AdoptionReport: Sendable, Equatable {
    public enum Result: Sendable, Equatable {
        /// The object is adopted, now or before.
        case adopted
        /// This one before it is not in the store (yet): nothing after it can be adopted.
        case missing(sequence: UInt64)
        /// An object of the lane does not fit and was set aside; the lane waits for it.
        case quarantined(key: String, AdoptionFlaw)
        /// Try again later.
        case busy(String)
        /// The key names no site object.
        case refused(AdoptionFlaw)
    }

    public var result: Result
    /// The last adopted object of the lane and the last log sequence number in it: visible to consumers. 0 for none.
    public var adoptedSequence: UInt64
    public var adoptedLSN: UInt64
}

/// One lane of one site as a page shows it.
public struct LaneStatus: Sendable, Equatable {
    public var site: String
    public var incarnation: String
    public var lane: String
    /// Visible to consumers: through this object, and through this log sequence number of the gateway.
    public var adoptedSequence: UInt64
    public var adoptedLSN: UInt64
    public var adoptedMs: Int64
    public var recordCount: Int64
    public var sizeBytes: Int64
    public var rejectedRuns: Int64
    public var missingLSNs: UInt64
    /// What the gateway told as missing: the newest gaps, oldest first, and sums over all by reason.
    public var gaps: [AdoptedGap]
    public var gapTotals: [UInt8: SiteGapTotals]
    /// Why the lane does not move, if an object of it was set aside.
    public var quarantine: QuarantinedObject?
}

/// An object that was set aside.
public struct QuarantinedObject: Sendable, Equatable {
    public var key: String
    public var flaw: AdoptionFlaw
    public var attempts: Int
}

public struct AdoptionCounts: Sendable, Equatable {
    public var objects: UInt64 = 0
    public var records: UInt64 = 0
    public var bytes: UInt64 = 0
    /// Gaps that adopted objects told of.
    public var gaps: UInt64 = 0
    public var announcements: UInt64 = 0
    /// Looks that found an object not fit, and those that failed for the moment.
    public var flaws: UInt64 = 0
    public var busy: UInt64 = 0
    /// Objects that only a listing found.
    public var foundByListing: UInt64 = 0
    public var listings: UInt64 = 0
    public var failedListings: UInt64 = 0
    /// Listings of everything that came to their end.
    public var rounds: UInt64 = 0

    public init() {}
}
