import KafkaProtocol
import Testing

@testable import Ledger

@Suite struct SiteAdoptionTests {
    private let gnss = NewTopic(name: "gnss", id: topicID(1), partitionCount: 2)

    @Test func objectsOfALaneAreAdoptedInTurnAndOnce() throws {
        var state = LedgerState()
        #expect(
            try state.submit(adoption(2, lsn: 11...20, siteRun("gnss")))
                == .adoption(.sequenceGap(expected: 1)))
        let first = adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss", 1))
        let outcomes = [RunOutcome.committed(baseOffset: 0, logStart: 0)]
        #expect(try state.submit(first) == .adoption(.adopted(runs: outcomes)))
        #expect(try state.decide(first).records.isEmpty)
        #expect(try state.submit(first) == .adoption(.alreadyAdopted(runs: outcomes)))
        #expect(try state.submit(adoption(3, lsn: 21...30)) == .adoption(.sequenceGap(expected: 2)))
        #expect(
            try state.submit(adoption(2, lsn: 11...20, siteRun("gnss", 1)))
                == .adoption(.adopted(runs: [.committed(baseOffset: 10, logStart: 0)])))
        let lane = state.sites.lane("pier", "i1", "standard")
        #expect(lane?.nextSequence == 3)
        #expect(lane?.lastLSN == 20)
        #expect(lane?.gapCount == 0)
        #expect(lane?.recordCount == 20)
    }

    @Test func lanesAndIncarnationsCountApart() throws {
        var state = LedgerState()
        try state.submit(adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss")))
        try state.submit(adoption(1, lsn: 1...5, lane: "bulk", siteRun("gnss")))
        try state.submit(adoption(1, lsn: 0...5, incarnation: "i2", siteRun("gnss")))
        #expect(state.sites.all["pier"]?.incarnations.count == 2)
        #expect(state.sites.lane("pier", "i2", "standard")?.gapCount == 0)
        #expect(state.watermarks(1, 0) == [0, 30])
    }

    @Test func aHoleInTheNumbersIsRecordedAndCounted() throws {
        var state = LedgerState()
        try state.submit(adoption(1, lsn: 4...10, creating: [gnss], siteRun("gnss")))
        try state.submit(adoption(2, lsn: 15...20, siteRun("gnss")))
        let lane = state.sites.lane("pier", "i1", "standard")
        #expect(lane?.gapCount == 2)
        #expect(lane?.missingLSNs == 7)
        #expect(
            lane?.recentGaps == [
                LaneGap(firstLSN: 1, lastLSN: 3, sequence: 1, foundMs: 6_000),
                LaneGap(firstLSN: 11, lastLSN: 14, sequence: 2, foundMs: 6_000),
            ])
    }

    @Test func anOverlapIsRefused() throws {
        var state = LedgerState()
        try state.submit(adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss")))
        #expect(
            state.refusal(of: adoption(2, lsn: 10...20, siteRun("gnss")))
                == .overlappingLSN(firstLSN: 10, expected: 11))
    }

    @Test func recentGapsAreBounded() throws {
        var state = LedgerState()
        for sequence in 1...40 as ClosedRange<UInt64> {
            try state.submit(adoption(sequence, lsn: (sequence * 10)...(sequence * 10)))
        }
        let lane = state.sites.lane("pier", "i1", "standard")
        #expect(lane?.gapCount == 40)
        #expect(lane?.recentGaps.count == LaneState.recentGapsMax)
        #expect(lane?.recentGaps.last?.sequence == 40)
    }

    @Test func aTopicGrowsToHoldWhatTheSiteHasAcknowledged() throws {
        var state = LedgerState()
        try state.submit(adoption(1, lsn: 1...10, creating: [gnss], siteRun("gnss", 6)))
        #expect(state.topics.facts(named: "gnss")?.partitionCount == 7)
        try state.submit(adoption(2, lsn: 11...20, siteRun("gnss", 9), siteRun("gnss", 0, at: 100)))
        #expect(state.topics.facts(named: "gnss")?.partitionCount == 10)
        #expect(state.watermarks(1, 9) == [0, 10])
    }

    @Test func onlyTopicsThatAreNeededAndMissingAreCreated() throws {
        var state = LedgerState()
        let other = NewTopic(name: "other", id: topicID(2), partitionCount: 1)
        try state.submit(create("gnss", 9))
        try state.submit(adoption(1, lsn: 1...10, creating: [gnss, other], siteRun("gnss")))
        #expect(state.topics.facts(named: "gnss")?.id == topicID(9))
        #expect(state.topics.facts(named: "other") == nil)
    }

    @Test func aRunWithoutAPlaceIsRejectedCountedAndItsObjectKept() throws {
        var state = LedgerState()
        let bad = NewTopic(name: "bad name", id: topicID(3), partitionCount: 1)
        let answer = try state.submit(
            adoption(
                1, lsn: 1...10, creating: [gnss, bad], siteRun("gnss"), siteRun("unknown", at: 100),
                siteRun("bad name", at: 200), siteRun("gnss", LedgerLimits.partitionsPerTopicMax, at: 300)))
        #expect(
            answer
                == .adoption(
                    .adopted(runs: [
                        .committed(baseOffset: 0, logStart: 0), .rejected(.unknownTopicOrPartition),
                        .rejected(.invalidTopicException), .rejected(.unknownTopicOrPartition),
                    ])))
        #expect(state.sites.lane("pier", "i1", "standard")?.rejectedRuns == 3)
        try state.submit(advance(1, 0, to: 10))
        let key = "sites/pier/i1/standard/1"
        #expect(state.objects.facts(key)?.isQuarantined == true)
        #expect(state.objects.unreferenced(since: .max, limit: 10).isEmpty)
        #expect(state.objects.quarantined(limit: 10).map(\.key) == [key])
    }

    @Test func twoNewNamesThatCollideAreNotBothCreated() throws {
        var state = LedgerState()
        let dotted = NewTopic(name: "a.b", id: topicID(1), partitionCount: 1)
        let scored = NewTopic(name: "a_b", id: topicID(2), partitionCount: 1)
        let answer = try state.submit(
            adoption(1, lsn: 1...2, creating: [dotted, scored], siteRun("a.b"), siteRun("a_b", at: 100)))
        #expect(
            answer
                == .adoption(
                    .adopted(runs: [.committed(baseOffset: 0, logStart: 0), .rejected(.invalidTopicException)])))
    }

    @Test func aSuspendedSiteAndAFencedIncarnationAreRefused() throws {
        var state = LedgerState()
        #expect(
            state.refusal(of: .setSiteState(SetSiteState(site: "pier", suspended: true, nowMs: 0)))
                == .unknownSite("pier"))
        try state.submit(.registerSite(site: "pier", nowMs: 1))
        try state.submit(.setSiteState(SetSiteState(site: "pier", suspended: true, nowMs: 2)))
        #expect(state.refusal(of: adoption(1, lsn: 1...2)) == .siteSuspended(site: "pier"))
        try state.submit(
            .setSiteState(SetSiteState(site: "pier", suspended: false, fencedIncarnation: "i1", nowMs: 3)))
        #expect(
            state.refusal(of: adoption(1, lsn: 1...2)) == .incarnationFenced(site: "pier", incarnation: "i1"))
        try state.submit(adoption(1, lsn: 1...2, incarnation: "i2"))
        #expect(state.sites.all["pier"]?.firstSeenMs == 1)
        #expect(state.sites.all["pier"]?.lastSeenMs == 6_000)
    }

    @Test func anAdoptionWithATombstonedKeyIsRefused() throws {
        var state = LedgerState()
        let key = "sites/pier/i1/standard/1"
        try state.submit(.markObjectsDeleting(keys: [key], nowMs: 1))
        #expect(state.refusal(of: adoption(1, lsn: 1...2)) == .tombstoned(key: key))
    }

    @Test func sequenceZeroIsRefused() {
        #expect(LedgerState().refusal(of: adoption(0, lsn: 1...2))?.errorCode == .invalidRequest)
    }
}
