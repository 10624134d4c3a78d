import KafkaProtocol
import Testing

@testable import Ledger

@Suite("Gaps that sites tell of") struct SiteGapTests {
    private let gnss = NewTopic(name: "gnss", id: topicID(1), partitionCount: 1)

    private func gap(_ first: UInt64, _ last: UInt64, records: Int64 = 5, nextRun: Int32 = -1) -> SiteGap {
        SiteGap(
            reason: 1, firstLSN: first, lastLSN: last,
            items: [
                SiteGapItem(
                    topic: "gnss", partition: 0, firstLocalOffset: 100, lastLocalOffset: 99 + records,
                    recordCount: records, batchCount: 1, sizeBytes: 10, nextRun: nextRun)
            ])
    }

    @Test("a gap is committed with its object, once, and says before which offset records are missing")
    func once() throws {
        var state = LedgerState()
        let gaps = [gap(2, 3, nextRun: 0), gap(5, 6, nextRun: 1), gap(8, 10)]
        let first = adoption(1, lsn: 1...10, creating: [gnss], gaps: gaps, siteRun("gnss", 0), siteRun("gnss", 0))
        try state.submit(first)
        try state.submit(first)
        let facts = try #require(state.sites.lane("pier", "i1", "standard")?.facts("standard"))
        #expect(facts.gaps.map { $0.gap.items[0].cloudOffset } == [0, 10, 20])
        #expect(facts.gapTotals == [1: SiteGapTotals(gaps: 3, records: 15, batches: 3, bytes: 30)])
        // And it is in the snapshot.
        let restored = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(restored.sites.lane("pier", "i1", "standard") == state.sites.lane("pier", "i1", "standard"))
    }

    @Test("gaps outside of the object, out of order or without records are refused")
    func refused() throws {
        var state = LedgerState()
        for gaps in [
            [gap(0, 3)], [gap(9, 11)], [gap(5, 6), gap(6, 7)], [gap(2, 3, records: 0)], [gap(2, 3, nextRun: 7)],
        ] {
            let command = adoption(1, lsn: 1...10, creating: [gnss], gaps: gaps, siteRun("gnss", 0))
            #expect(throws: LedgerRefusal.self) { try state.submit(command) }
        }
    }

    @Test("the list is bounded, the sums are not")
    func bounded() throws {
        var state = LedgerState()
        for sequence in 1...100 as ClosedRange<UInt64> {
            let lsns = sequence * 10...sequence * 10 + 9
            try state.submit(adoption(sequence, lsn: lsns, gaps: [gap(lsns.lowerBound, lsns.upperBound)]))
        }
        let facts = try #require(state.sites.lane("pier", "i1", "standard")?.facts("standard"))
        #expect(facts.gaps.count == LaneGaps.recentMax)
        #expect(facts.gaps.last?.sequence == 100)
        #expect(facts.gapTotals[1]?.records == 500)
    }
}
