// The fields of gaps, in the order of docs/ledger-format.md. Version 4 has them first.

extension SiteGapTotals: LedgerCoded {
    static var blank: SiteGapTotals { SiteGapTotals() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&gaps)
        try coder.signed(&records)
        try coder.signed(&batches)
        try coder.signed(&bytes)
    }
}

extension SiteGapItem: LedgerCoded {
    static var blank: SiteGapItem {
        SiteGapItem(topic: "", partition: 0, firstLocalOffset: 0, lastLocalOffset: 0, recordCount: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&topic)
        try coder.integer(&partition)
        try coder.signed(&firstLocalOffset)
        try coder.signed(&lastLocalOffset)
        try coder.signed(&recordCount)
        try coder.signed(&batchCount)
        try coder.signed(&sizeBytes)
        try coder.signed(&firstWallMs)
        try coder.signed(&lastWallMs)
        try coder.integer(&nextRun)
        try coder.signed(&cloudOffset)
    }
}

extension SiteGap: LedgerCoded {
    static var blank: SiteGap { SiteGap(reason: 0, firstLSN: 0, lastLSN: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.integer(&reason)
        try coder.unsigned(&firstLSN)
        try coder.unsigned(&lastLSN)
        try coder.list(&items)
        try coder.integer(&rest.partitionCount)
        try coder.value(&rest.totals)
    }
}

extension SiteGapsNoted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.text(&incarnation)
        try coder.text(&lane)
        try coder.unsigned(&sequence)
        try coder.list(&gaps)
        try coder.signed(&nowMs)
    }
}

extension AdoptedGap: LedgerCoded {
    static var blank: AdoptedGap { AdoptedGap(gap: .blank, sequence: 0, adoptedMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&gap)
        try coder.unsigned(&sequence)
        try coder.signed(&adoptedMs)
    }
}

// Lanes with gaps, as a section of the snapshot: `[site text, incarnation text, lane text, gaps]`.

extension LedgerState {
    func writeGaps(to writer: inout LedgerWriter) {
        let lanes = sites.all.sorted { $0.key < $1.key }.flatMap { site, state in
            state.incarnations.sorted { $0.key < $1.key }.flatMap { incarnation, state in
                state.lanes.sorted { $0.key < $1.key }.filter { $1.gaps != LaneGaps() }
                    .map { (site: site, incarnation: incarnation, lane: $0.key, gaps: $0.value.gaps) }
            }
        }
        writer.write(UInt64(lanes.count))
        for lane in lanes {
            writer.write(text: lane.site)
            writer.write(text: lane.incarnation)
            writer.write(text: lane.lane)
            writer.write(lane.gaps)
        }
    }

    mutating func readGaps(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        guard reader.version >= 4 else { return }
        for _ in 0..<(try reader.readCount()) {
            let (site, incarnation, lane) = (try reader.readText(), try reader.readText(), try reader.readText())
            guard sites.lane(site, incarnation, lane) != nil else { throw .invalidValue(what: "lane with gaps") }
            sites.all[site]?.incarnations[incarnation]?.lanes[lane]?.gaps = try reader.read(LaneGaps.self)
        }
    }
}
