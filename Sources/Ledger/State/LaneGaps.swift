/// The gaps of one lane of one site: the newest ones as they are, and sums over all of them by reason.
struct LaneGaps: Sendable, Equatable {
    /// Oldest first.
    private(set) var recent: [AdoptedGap] = []
    private(set) var totals: [UInt8: SiteGapTotals] = [:]

    static let recentMax = 64
    static let itemsMax = 32

    mutating func note(_ gap: SiteGap, sequence: UInt64, nowMs: Int64) {
        totals[gap.reason, default: SiteGapTotals()] += gap.totals
        var kept = gap
        kept.fold(itemsMax: Self.itemsMax)
        if recent.count == Self.recentMax { recent.removeFirst() }
        recent.append(AdoptedGap(gap: kept, sequence: sequence, adoptedMs: nowMs))
    }
}

extension LaneGaps: LedgerCoded {
    static var blank: LaneGaps { LaneGaps() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.list(&recent)
        var sums = totals.sorted { $0.key < $1.key }.map { ReasonTotals(reason: $0.key, totals: $0.value) }
        try coder.list(&sums)
        totals = Dictionary(sums.map { ($0.reason, $0.totals) }) { _, last in last }
    }
}

private struct ReasonTotals: LedgerCoded {
    var reason: UInt8 = 0
    var totals = SiteGapTotals()

    static var blank: ReasonTotals { ReasonTotals() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.integer(&reason)
        try coder.value(&totals)
    }
}

/// What one site object told of gaps; in the log it stands right behind the record of the object itself.
struct SiteGapsNoted: Sendable, Equatable {
    var site = ""
    var incarnation = ""
    var lane = ""
    var sequence: UInt64 = 0
    var gaps: [SiteGap] = []
    var nowMs: Int64 = 0
}

extension LedgerState {
    mutating func apply(_ record: SiteGapsNoted) {
        guard var lane = sites.lane(record.site, record.incarnation, record.lane) else { return }
        for gap in record.gaps { lane.gaps.note(gap, sequence: record.sequence, nowMs: record.nowMs) }
        sites.all[record.site]?.incarnations[record.incarnation]?.lanes[record.lane] = lane
    }

    /// Checks what an object tells of gaps.
    func check(gaps: [SiteGap], of adoption: SiteAdoption) throws(LedgerRefusal) {
        try Check.count("gaps", gaps.count, max: LedgerLimits.gapsPerObjectMax)
        var items = 0
        var next = adoption.firstLSN
        for gap in gaps {
            guard gap.firstLSN >= next, gap.firstLSN <= gap.lastLSN, gap.lastLSN <= adoption.lastLSN else {
                throw .invalid(
                    field: "first LSN of a gap", value: Int64(clamping: gap.firstLSN), limit: Int64(clamping: next))
            }
            next = gap.lastLSN + 1
            items += gap.items.count
            try Check.count("partitions of gaps", items, max: LedgerLimits.gapItemsPerObjectMax)
            for item in gap.items {
                try Check.range("lost records", item.recordCount, 1...LedgerLimits.lostCountMax)
                try Check.range("lost batches", item.batchCount, 0...LedgerLimits.lostCountMax)
                try Check.range("lost bytes", item.sizeBytes, 0...LedgerLimits.lostCountMax)
                try Check.range("next run", Int64(item.nextRun), -1...Int64(adoption.runs.count) - 1)
            }
            for (field, sum) in [
                ("lost records", gap.rest.totals.records), ("lost batches", gap.rest.totals.batches),
                ("lost bytes", gap.rest.totals.bytes),
            ] { try Check.range(field, sum, 0...LedgerLimits.lostCountMax) }
        }
    }

    /// The gaps with the place in the cloud's partitions: before the run behind a gap, or at the end of what is there.
    func place(gaps: [SiteGap], of adoption: SiteAdoption, outcomes: [RunOutcome]) -> SiteGapsNoted {
        var ends: [String: [Int32: Int64]] = [:]
        for (run, outcome) in zip(adoption.runs, outcomes) {
            guard case .committed(let base, _) = outcome else { continue }
            ends[run.topic, default: [:]][run.partition] = base &+ run.recordCount
        }
        let placed = gaps.map { gap in
            var gap = gap
            for place in gap.items.indices {
                let item = gap.items[place]
                let topic = topics.find(.name(item.topic))
                let present = topic.flatMap { topics.partition($0.id, item.partition) }?.highWatermark
                var offset = ends[item.topic]?[item.partition] ?? present ?? 0
                if item.nextRun >= 0, case .committed(let base, _) = outcomes[Int(item.nextRun)] { offset = base }
                gap.items[place].cloudOffset = offset
                gap.items[place].nextRun = -1
            }
            return gap
        }
        return SiteGapsNoted(
            site: adoption.site, incarnation: adoption.incarnation, lane: adoption.lane, sequence: adoption.sequence,
            gaps: placed, nowMs: adoption.nowMs)
    }
}
