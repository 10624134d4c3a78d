/// Adopts one site object: only as the next one of its lane.
public struct SiteAdoption: Sendable, Equatable {
    public var site: String
    public var incarnation: String
    public var lane: String
    /// 1 is a lane's first object.
    public var sequence: UInt64
    /// The log sequence numbers that the object covers, in one piece with those of the object before it. A hole is
    /// recorded as a gap of the lane; an overlap is refused.
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    public var key: String
    public var sizeBytes: Int64
    public var runs: [SiteRun]
    /// What to create for names the cloud does not know yet (known ones are left as they are). Runs of other unknown
    /// names are rejected, counted, and keep the object from being deleted.
    public var topicsToCreate: [NewTopic]
    /// What the object tells as missing, by rising LSN, inside its range.
    public var gaps: [SiteGap]
    public var nowMs: Int64

    public init(
        site: String, incarnation: String, lane: String, sequence: UInt64, firstLSN: UInt64, lastLSN: UInt64,
        key: String, sizeBytes: Int64, runs: [SiteRun], topicsToCreate: [NewTopic] = [], gaps: [SiteGap] = [],
        nowMs: Int64
    ) {
        self.site = site
        self.incarnation = incarnation
        self.lane = lane
        self.sequence = sequence
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.key = key
        self.sizeBytes = sizeBytes
        self.runs = runs
        self.topicsToCreate = topicsToCreate
        self.gaps = gaps
        self.nowMs = nowMs
    }
}

/// One run of a site object; the site has deduplicated its producers itself.
/// A partition beyond the topic's count grows the topic (to ``LedgerLimits/partitionsPerTopicMax`` at most): what the
/// site has acknowledged must find its place.
public struct SiteRun: Sendable, Equatable {
    public var topic: String
    public var partition: Int32
    public var position: Int64
    public var lengthBytes: Int64
    public var recordCount: Int64
    public var minTimestampMs: Int64
    public var maxTimestampMs: Int64

    public init(
        topic: String, partition: Int32, position: Int64, lengthBytes: Int64, recordCount: Int64,
        minTimestampMs: Int64, maxTimestampMs: Int64
    ) {
        self.topic = topic
        self.partition = partition
        self.position = position
        self.lengthBytes = lengthBytes
        self.recordCount = recordCount
        self.minTimestampMs = minTimestampMs
        self.maxTimestampMs = maxTimestampMs
    }
}

public enum AdoptionOutcome: Sendable, Equatable {
    /// One outcome per run.
    case adopted(runs: [RunOutcome])
    /// Done before; the stored answer, or nil when it is older than the ledger remembers.
    case alreadyAdopted(runs: [RunOutcome]?)
    /// Objects before this one are missing: adopt `expected` first.
    case sequenceGap(expected: UInt64)
}

public struct SetSiteState: Sendable, Equatable {
    public var site: String
    /// A suspended site's objects are refused until it is resumed.
    public var suspended: Bool
    /// An incarnation that may not commit any more (a cloned or stolen gateway); there is no way back.
    public var fencedIncarnation: String?
    public var nowMs: Int64

    public init(site: String, suspended: Bool, fencedIncarnation: String? = nil, nowMs: Int64) {
        self.site = site
        self.suspended = suspended
        self.fencedIncarnation = fencedIncarnation
        self.nowMs = nowMs
    }
}
