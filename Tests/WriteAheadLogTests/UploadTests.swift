import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Uploads, freeing and quota")
struct UploadTests {
    private func fill(_ core: inout LaneCore<SimulatedDisk>, count: Int, bytes: Int = 9000) -> [AppendOutcome] {
        (0..<count).map { core.commit([Make.entry(bytes: bytes, text: "\($0)")])[0] }
    }

    /// Plans and uploads everything that is durable.
    private func uploadAll(_ core: inout LaneCore<SimulatedDisk>) throws {
        let state = core.uploadState
        let plan = UploadPlan(
            sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: core.durableLSN)
        try core.recordPlan(plan)
        try core.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
    }

    @Test("plans continue each other without a hole and are refused otherwise")
    func plans() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = fill(&core, count: 5)
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 4)
        #expect(throws: WALError.self) { try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 1, lastLSN: 4)) }
        #expect(throws: WALError.self) { try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 2, lastLSN: 4)) }
        #expect(throws: WALError.self) { try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 99)) }
        try core.recordPlan(plan)
        let durable = core.durableLSN
        try core.recordPlan(plan)
        #expect(core.durableLSN == durable)
        #expect(core.uploadState == UploadState(nextSequence: 2, uploadedThrough: 0, openPlans: [plan]))
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.uploadState == UploadState(nextSequence: 2, uploadedThrough: 0, openPlans: [plan]))
        #expect(throws: WALError.self) { try core.recordUploaded(sequence: 1, lastLSN: 3) }
        try core.recordUploaded(sequence: 1, lastLSN: 4)
        try core.recordUploaded(sequence: 1, lastLSN: 4)
        (core, _) = try Make.core(disk, seed: 3)
        #expect(core.uploadState == UploadState(nextSequence: 2, uploadedThrough: 4))
    }

    @Test("who made a plan comes back with it, from its frame and from checkpoints")
    func authors() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = fill(&core, count: 5)
        let plans = [UInt64.max - 1, 7, 7, 0].enumerated().map { place, author in
            UploadPlan(
                sequence: UInt64(place) + 1, firstLSN: UInt64(place) + 1, lastLSN: UInt64(place) + 1, author: author)
        }
        for plan in plans { try core.recordPlan(plan) }
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.uploadState.openPlans == plans)
        let state = core.state
        core.mustRotate = true
        _ = fill(&core, count: 1)
        (core, _) = try Make.core(disk, seed: 3)
        #expect(core.uploadState.openPlans == plans)
        // Older programs end before them.
        let bytes = Checkpoint.encode(state)
        let cut = try #require(bytes.getSlice(at: 0, length: bytes.readableBytes - 4 - 3 * Checkpoint.authorBytes))
        let old = try #require(Checkpoint.decode(cut, producersMax: 8, partitionsMax: 8))
        #expect(old.uploads.open.map(\.plan.author) == [0, 0, 0, 0])
    }

    @Test("of very many authors of open plans a checkpoint tells the newest")
    func manyAuthors() throws {
        var ledger = UploadLedger()
        for number in 1...UInt64(100) {
            ledger.apply(UploadPlan(sequence: number, firstLSN: number, lastLSN: number, author: number))
        }
        #expect(ledger.authors.map(\.author) == Array(69...100))
    }

    @Test("uploads may finish out of order; freeing waits for the first")
    func outOfOrder() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = fill(&core, count: 5)
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 2))
        try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 3, lastLSN: 4))
        try core.recordUploaded(sequence: 2, lastLSN: 4)
        #expect(core.uploadState.uploadedThrough == 0)
        (core, _) = try Make.core(disk, seed: 2)
        // An uplink that starts here does the first again, and goes on behind the second.
        #expect(core.uploadState.openPlans.map(\.sequence) == [1] && core.uploadState.nextPlanLSN == 5)
        try core.recordUploaded(sequence: 1, lastLSN: 2)
        #expect(core.uploadState == UploadState(nextSequence: 3, uploadedThrough: 4))
    }

    @Test("freed segments move the log start, lose no state, and are used again without old frames coming back")
    func recycling() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry("early", records: 4, producerID: 9, sequence: 0)])
        for round in 0..<12 {
            _ = fill(&core, count: 40)
            try uploadAll(&core)
            let sequences = core.segments.map(\.sequence)
            #expect(sequences.count <= 2)
            let report: RecoveryReport
            (core, report) = try Make.core(disk, seed: UInt64(round) + 10)
            #expect(report.isClean, "\(report)")
            #expect(try core.readAll(from: core.view.firstLSN).gaps.isEmpty)
        }
        let rows = core.partitions
        #expect(rows[0].highWatermark == 4 && rows[0].logStartOffset == 4)
        #expect(rows[1].highWatermark == 480 && rows[1].logStartOffset > 400)
        #expect(
            core.commit([Make.entry("early", records: 4, producerID: 9, sequence: 0)]) == [.duplicate(baseOffset: 0)])
        let files = try disk.list().count
        #expect(files <= 2 + core.configuration.spareSegmentsMax)
    }

    @Test("local retention keeps uploaded segments until the quota needs them")
    func retention() throws {
        var (core, _) = try Make.core(SimulatedDisk()) {
            $0.localRetention.keepBytes = 1 << 20
            $0.quotaBytes = 2 << 20
        }
        _ = fill(&core, count: 100)
        try uploadAll(&core)
        let kept = core.segments.dropLast().reduce(0) { $0 + $1.sizeBytes }
        #expect(kept >= 1 << 20 && kept < (1 << 20) + (512 << 10))
        // Not uploaded, and more than what the quota leaves beside what is kept.
        #expect(fill(&core, count: 120).allSatisfy { $0.lsn != nil })
        #expect(core.partitions[0].logStartOffset > 0)
    }

    @Test("a group larger than the room left makes uploaded segments go, though local retention would keep them")
    func largeGroupAtTheQuota() throws {
        var (core, _) = try Make.core(SimulatedDisk()) {
            $0.quotaBytes = 2 << 20
            $0.localRetention = .init(keepBytes: 1 << 30, keepAge: .seconds(3600))
        }
        // Until the quota leaves some blocks, and less than the next batch takes.
        let largeBytes = 30_000
        while core.configuration.dataQuotaBytes - core.diskBytes > largeBytes {
            #expect(fill(&core, count: 1, bytes: 9_000)[0].isAppended)
        }
        #expect(core.configuration.dataQuotaBytes - core.diskBytes > 2 * Block.sizeBytes)
        try uploadAll(&core)
        let large = Make.entry(bytes: largeBytes, text: "large")
        // As the writer does: what cannot be staged now is committed when nothing is under way.
        for _ in 0..<3 {
            guard core.stage([large]) else {
                #expect(core.commit([large])[0].isAppended)
                continue
            }
            core.submit()
            #expect(core.finish().outcomes[0].isAppended)
        }
    }

    @Test("the quota rejects data, never control frames, and uploading makes room again")
    func quota() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk) { $0.quotaBytes = 1 << 20 }
        var last = AppendOutcome.duplicate(baseOffset: 0)
        var accepted = 0
        for number in 0..<200 {
            last =
                core.commit([Make.entry(bytes: 9000, text: "\(number)", producerID: 3, sequence: Int32(accepted))])[0]
            if last.lsn == nil { break }
            accepted += 1
        }
        guard case .rejected(.quotaExceeded(let used, let quota)) = last else {
            Issue.record("\(last)")
            return
        }
        #expect(quota == 1 << 20 && used > quota / 2 && core.diskBytes <= quota)
        #expect(core.alarms.quotaRejections == 1)
        let repeated = Make.entry(bytes: 9000, text: "\(accepted - 1)", producerID: 3, sequence: Int32(accepted - 1))
        #expect(core.commit([repeated]) == [.duplicate(baseOffset: Int64(accepted - 1))])
        try uploadAll(&core)
        #expect(fill(&core, count: 20).allSatisfy { $0.lsn != nil })
        #expect(core.diskBytes <= quota)
    }
}

extension AppendOutcome {
    fileprivate var isAppended: Bool {
        if case .appended = self { return true }
        return false
    }
}
