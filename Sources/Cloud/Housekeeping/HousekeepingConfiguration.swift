public import NIOCore

/// How objects are compacted and merged in the background. Sizes are bytes.
public struct HousekeepingConfiguration: Sendable, Equatable {
    public var isEnabled = true
    /// Between two looks at what there is to do.
    public var interval: TimeAmount = .minutes(1)
    /// What is read from the store at most, over all jobs; 0 is without limit.
    public var bytesPerSecond = 32 << 20
    /// One GET.
    public var readBytes = 4 << 20

    /// Extents are merged when they are so old, ...
    public var mergeAfterMs: Int64 = 600_000
    /// ... so many next to each other, ...
    public var mergeCountMin = 8
    /// ... each smaller than this, ...
    public var mergeBelowBytes = 4 << 20
    /// ... into runs and objects of up to this size.
    public var mergedBytes = 64 << 20
    /// Topics that keep their data for less are not merged: they expire whole.
    public var mergeRetentionMsMin: Int64 = 6 * 3_600_000
    /// Nothing is rewritten that retention drops so soon.
    public var expiringMs: Int64 = 3_600_000

    /// A compacted object.
    public var compactedBytes = 32 << 20
    /// Keys held in memory in one pass; a partition with more is cleaned in parts, the oldest first.
    public var keysMax = 1 << 20
    /// A partition is left alone while it has less to clean than this, ...
    public var dirtyBytesMin = 1 << 20
    /// ... unless that has waited for so long.
    public var dirtyWaitMs: Int64 = 600_000
    /// Extents of a partition looked at in one pass.
    public var extentsMax = 20_000
    /// A partition whose job failed rests for this long, then twice, up to an hour.
    public var restAfterFailure: TimeAmount = .minutes(1)

    public init() {}
}

/// What housekeeping has done since the start.
public struct HousekeepingCounts: Sendable, Equatable {
    public var rounds: UInt64 = 0
    public var compactions: UInt64 = 0
    public var merges: UInt64 = 0
    /// Jobs that failed and are tried again.
    public var failures: UInt64 = 0
    /// Rewrites that came too late: the extents had changed.
    public var refused: UInt64 = 0
    public var bytesRead: UInt64 = 0
    public var bytesWritten: UInt64 = 0
    public var extentsReplaced: UInt64 = 0
    public var recordsRemoved: UInt64 = 0

    public init() {}
}
