/// Sites, their incarnations (installations) and lanes.
struct SiteTable: Sendable {
    var all: [String: SiteState] = [:]
    /// What sites may do; a site may be here before it was ever seen.
    var registrations: [String: SiteRegistration] = [:]

    func lane(_ site: String, _ incarnation: String, _ lane: String) -> LaneState? {
        all[site]?.incarnations[incarnation]?.lanes[lane]
    }

    /// The last LSN that any incarnation of the site has brought in a lane of this name; 0 for none.
    func lastLSN(_ site: String, lane: String) -> UInt64 {
        all[site]?.incarnations.values.compactMap { $0.lanes[lane]?.lastLSN }.max() ?? 0
    }

    mutating func see(_ site: String, nowMs: Int64) {
        all[site, default: SiteState(firstSeenMs: nowMs, lastSeenMs: nowMs)].lastSeenMs = nowMs
    }
}

struct SiteState: Sendable, Equatable {
    var firstSeenMs: Int64
    var lastSeenMs: Int64
    var isSuspended = false
    var incarnations: [String: IncarnationState] = [:]

    func facts(_ site: String) -> SiteFacts {
        SiteFacts(
            site: site, firstSeenMs: firstSeenMs, lastSeenMs: lastSeenMs, isSuspended: isSuspended,
            incarnations: incarnations.sorted { $0.key < $1.key }
                .map { name, state in
                    SiteFacts.Incarnation(
                        incarnation: name, firstSeenMs: state.firstSeenMs, isFenced: state.isFenced,
                        lanes: state.lanes.sorted { $0.key < $1.key }.map { $1.facts($0) }, boot: state.boot,
                        contender: state.contender)
                })
    }
}

struct IncarnationState: Sendable, Equatable {
    var firstSeenMs: Int64
    var isFenced = false
    var lanes: [String: LaneState] = [:]
    /// Who holds it.
    var boot: SiteBoot?
    /// Who asked for it last and was refused.
    var contender: SiteBoot?
}

struct LaneState: Sendable, Equatable {
    var nextSequence: UInt64 = 1
    var lastLSN: UInt64 = 0
    var adoptedMs: Int64 = 0
    var recordCount: Int64 = 0
    var sizeBytes: Int64 = 0
    var rejectedRuns: Int64 = 0
    var gapCount: Int64 = 0
    var missingLSNs: UInt64 = 0
    var recentGaps: [LaneGap] = []
    /// What the site has told as missing.
    var gaps = LaneGaps()

    static let recentGapsMax = 16

    /// What an object from `firstLSN` leaves out. A lane's first number may be 0 or 1.
    func gap(before firstLSN: UInt64) -> ClosedRange<UInt64>? {
        let expected = lastLSN &+ 1
        return firstLSN > expected ? expected...(firstLSN - 1) : nil
    }

    mutating func noteGap(_ gap: ClosedRange<UInt64>, sequence: UInt64, nowMs: Int64) {
        gapCount &+= 1
        missingLSNs &+= gap.upperBound &- gap.lowerBound &+ 1
        if recentGaps.count == LaneState.recentGapsMax { recentGaps.removeFirst() }
        recentGaps.append(
            LaneGap(firstLSN: gap.lowerBound, lastLSN: gap.upperBound, sequence: sequence, foundMs: nowMs))
    }

    func facts(_ lane: String) -> LaneFacts {
        LaneFacts(
            lane: lane, nextSequence: nextSequence, lastLSN: lastLSN, adoptedMs: adoptedMs, recordCount: recordCount,
            sizeBytes: sizeBytes, rejectedRuns: rejectedRuns, gapCount: gapCount, missingLSNs: missingLSNs,
            recentGaps: recentGaps, gaps: gaps.recent, gapTotals: gaps.totals)
    }
}
