/// Counters and facts of a lane for pages, metrics and decisions. A snapshot; it costs one lock.
public struct LaneStatus: Sendable, Equatable {
    public var name = ""
    /// Highest LSN given to an entry; equals `durableLSN` save while a group is being written.
    public var acceptedLSN: UInt64 = 0
    public var durableLSN: UInt64 = 0
    public var uploadedLSN: UInt64 = 0
    /// Handed in since the process started, whatever became of it.
    public var acceptedRecords: UInt64 = 0
    public var acceptedBytes: UInt64 = 0
    /// Synced since the process started.
    public var durableRecords: UInt64 = 0
    public var durableBytes: UInt64 = 0
    public var durableBatches: UInt64 = 0
    public var duplicateBatches: UInt64 = 0
    public var rejectedBatches: UInt64 = 0
    public var groups: UInt64 = 0
    /// Bytes of live segments that count against the quota.
    public var diskBytes = 0
    public var quotaBytes = 0
    public var pendingBytes = 0
    public var segmentCount = 0
    public var spareSegmentCount = 0
    public var partitionCount = 0
    public var producerCount = 0
    public var indexedLSN: UInt64 = 0
    /// `io_uring` or `pwrite`, with the reason for a fallback.
    public var engine = ""
    /// This start of the log, as its frames bear it.
    public var bootEpoch: UInt64 = 0
    /// Name of the site key that the newest segment is sealed with; nil when it is not.
    public var keyID: String?
    public var written = WrittenBytes()
    public var scrub = ScrubStatus()
    /// Damaged ranges found since the start, the newest last; at most 64.
    public var quarantined: [QuarantinedRange] = []
    /// True while the last write failed and no later one has succeeded.
    public var isFailing = false
    public var alarms = LaneAlarms()
    /// Acknowledged data given up since the lane was made, by reason.
    public var dropped: [GapReason: GapTotals] = [:]
    /// Gap records that are in no stored object yet.
    public var pendingGaps = 0
}

/// How far the scrubber is. Counters grow from the start of the process.
public struct ScrubStatus: Sendable, Equatable {
    public var isOn = false
    /// The segment that is being read; nil while it waits.
    public var segment: UInt64?
    public var readBytes: UInt64 = 0
    /// Rounds over all closed segments that were finished.
    public var rounds: UInt64 = 0
    /// Damage that the scrubber was the first to find.
    public var damagedRanges: UInt64 = 0

    public init() {}
}

/// Things an operator should hear about. Counters only grow while the process lives.
public struct LaneAlarms: Sendable, Equatable {
    /// Groups or frames whose checksum was wrong with good data after them.
    public var quarantinedRanges: UInt64 = 0
    /// LSNs that were lost.
    public var lostLSNs: UInt64 = 0
    /// Segments given up after a failed write or fsync.
    public var suspectSegments: UInt64 = 0
    /// Entries rejected because writing failed or the disk was full.
    public var diskRejections: UInt64 = 0
    public var quotaRejections: UInt64 = 0
    public var indexRebuilds: UInt64 = 0
    public var indexFailures: UInt64 = 0
    /// Directories of this lane that were left untouched because a newer program wrote them, or their key is not here.
    public var untouchedDirectories: UInt64 = 0
    /// Which ones, why, and what brings them back; nil when there are none.
    public var untouched: String?
    /// Heads of segments that the scrubber could not verify though the data behind them is good.
    public var damagedHeads: UInt64 = 0
    public var lastMessage: String?

    public init() {}

    public var isClear: Bool { self == LaneAlarms() }
}

/// What opening a lane found. Opening never refuses because of what is in the files.
public struct RecoveryReport: Sendable, Equatable {
    public var lane = ""
    public var segmentCount = 0
    /// Segments in which no valid group was found (zero-filled or destroyed), by sequence.
    public var unreadableSegments: [UInt64] = []
    /// Segments that should lie between two present ones and do not, by sequence.
    public var missingSegments: [UInt64] = []
    /// Ranges set aside because data after them is good.
    public var quarantined: [QuarantinedRange] = []
    /// LSNs known to be lost.
    public var gaps: [LSNGap] = []
    /// Bytes of the last, never acknowledged group that were cut.
    public var tornTailBytes = 0
    public var durableLSN: UInt64 = 0
    public var uploadedThrough: UInt64 = 0
    public var partitionCount = 0
    public var producerCount = 0
    /// Bytes read from segments to get here.
    public var scannedBytes = 0
    public var durationMs = 0
    public var engine = ""
    public var index = IndexRecovery.current
    /// Directories that were left as they are: a newer program wrote them, or their key is not here.
    public var leftUntouched: [UntouchableSegments] = []
    public var bootEpoch: UInt64 = 0
    /// Failures met on the way that did not stop the start.
    public var notes: [String] = []
    /// Some bytes could not be read at all, so the newest segment is left as it is and a new one is begun.
    public var hadReadErrors = false

    public init() {}

    /// True when nothing that had been acknowledged is known to be lost or out of reach.
    public var isClean: Bool {
        quarantined.isEmpty && gaps.isEmpty && unreadableSegments.isEmpty && leftUntouched.isEmpty
    }
}

/// Bytes of a segment that hold no valid frames although valid ones follow.
public struct QuarantinedRange: Sendable, Equatable {
    public var segment: UInt64
    public var offsetBytes: Int
    public var lengthBytes: Int
}

/// State of the SQLite index when the lane was opened.
public enum IndexRecovery: Sendable, Equatable {
    case current
    /// Only what came after this LSN is read from the segments.
    case stale(indexedThroughLSN: UInt64)
    /// Missing, unreadable or of another version: renamed away if it was there and rebuilt in the background.
    case rebuilding(reason: String)
}

extension RecoveryReport: CustomStringConvertible {
    public var description: String {
        var lines = [
            "lane \(lane): \(segmentCount) segments, durable through LSN \(durableLSN), uploaded through"
                + " \(uploadedThrough), \(partitionCount) partitions, \(producerCount) producers,"
                + " \(scannedBytes) bytes read in \(durationMs) ms, \(engine)"
        ]
        for segments in leftUntouched { lines.append("left untouched: \(segments.told)") }
        if tornTailBytes > 0 { lines.append("cut \(tornTailBytes) bytes of an unfinished write at the end") }
        if !missingSegments.isEmpty { lines.append("missing segments: \(missingSegments)") }
        if !unreadableSegments.isEmpty { lines.append("unreadable segments: \(unreadableSegments)") }
        for range in quarantined {
            lines.append("quarantined: segment \(range.segment), \(range.lengthBytes) bytes at \(range.offsetBytes)")
        }
        for gap in gaps { lines.append("lost: LSN \(gap.firstLSN) to \(gap.lastLSN)") }
        switch index {
        case .current: break
        case .stale(let lsn): lines.append("index is behind: reading from LSN \(lsn + 1)")
        case .rebuilding(let reason): lines.append("index is being rebuilt: \(reason)")
        }
        return (lines + notes).joined(separator: "\n")
    }
}
