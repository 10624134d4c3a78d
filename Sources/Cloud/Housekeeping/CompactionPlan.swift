import Ledger

/// What of a partition can be cleaned now, and whether it is worth it. Facts in, a stretch out.
///
/// How far cleaning has come is not kept anywhere: cleaned extents hold their offsets, others do not. The first one that does not is
/// where the dirty part begins.
struct CompactionPlan: Equatable {
    /// From the log start up to the cleanable end.
    var extents: [Extent]
    /// Where in ``extents`` the dirty part begins.
    var firstDirty: Int
    var cleanBytes: Int64
    var dirtyBytes: Int64
    /// When the oldest of the dirty part was committed.
    var dirtySinceMs: Int64
    /// The oldest of the dirty part by its records.
    var oldestDirtyMs: Int64

    var dirtyRatio: Double { Double(dirtyBytes) / Double(max(1, cleanBytes + dirtyBytes)) }

    /// Nil where nothing is dirty or nothing may be cleaned yet.
    /// - Parameter extents: the partition's, from the log start on.
    init?(extents: [Extent], lastStableOffset: Int64, lagMsMin: Int64, nowMs: Int64) {
        var cleanable: [Extent] = []
        for extent in extents {
            // What only a log holds moves into an object soon; what is open must not be touched (rule K2).
            guard extent.lastOffset < lastStableOffset, !extent.isInLog else { break }
            // Source: Kafka 4.3, `LogCleanerManager.cleanableOffsets`.
            guard lagMsMin <= 0 || extent.newestMs <= nowMs - lagMsMin else { break }
            cleanable.append(extent)
        }
        guard let firstDirty = cleanable.firstIndex(where: { $0.source != .objectWithOffsets }) else { return nil }
        self.extents = cleanable
        self.firstDirty = firstDirty
        cleanBytes = cleanable[..<firstDirty].reduce(0) { $0 + $1.lengthBytes }
        dirtyBytes = cleanable[firstDirty...].reduce(0) { $0 + $1.lengthBytes }
        dirtySinceMs = cleanable[firstDirty...].reduce(Int64.max) { min($0, $1.committedMs) }
        oldestDirtyMs = cleanable[firstDirty...].reduce(Int64.max) { min($0, $1.newestMs) }
    }

    func isDue(_ policy: CleanupPolicy, _ configuration: HousekeepingConfiguration, nowMs: Int64) -> Bool {
        // Source: Kafka 4.3, `LogCleanerManager.maxCompactionDelay`.
        if oldestDirtyMs < nowMs - policy.lagMsMax { return true }
        let waitedMs = nowMs - dirtySinceMs
        guard dirtyRatio >= policy.dirtyRatioMin else { return false }
        return dirtyBytes >= configuration.dirtyBytesMin || waitedMs >= configuration.dirtyWaitMs
    }
}

extension Extent {
    /// The largest timestamp of its records, as lags count it; the commit's where records have no time (-1).
    var newestMs: Int64 { maxTimestampMs >= 0 ? maxTimestampMs : committedMs }

    var isInLog: Bool {
        if case .log = source { return true }
        return false
    }
}
