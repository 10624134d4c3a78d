import Foundation
import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Giving up the oldest data")
struct DroppingTests {
    private func core(
        _ disk: SimulatedDisk, seed: UInt64 = 1, segments: Int = 4, age: Duration? = nil
    ) throws -> (core: LaneCore<SimulatedDisk>, report: RecoveryReport) {
        try Make.core(disk, seed: seed) {
            $0.quotaBytes = segments * $0.segmentSizeBytes
            $0.fullPolicy = .dropOldest
            $0.quotaAge = age
        }
    }

    private func fill(_ core: inout LaneCore<SimulatedDisk>, count: Int) throws {
        for _ in 0..<count {
            let outcome = core.commit([Make.entry(records: 3, bytes: 9000)])[0]
            try #require(outcome.lsn != nil, "\(outcome)")
            #expect(core.diskBytes <= core.configuration.quotaBytes)
        }
    }

    /// Every record is read or in exactly one gap.
    private func account(_ core: LaneCore<SimulatedDisk>, records: Int64) throws {
        let read = try core.readAll()
        #expect(read.gaps.isEmpty, "\(read.gaps)")
        let kept = read.batches.reduce(Int64(0)) { $0 + Int64($1.header.recordCount) }
        let lost = core.gapRecords(from: 0, through: .max).reduce(Int64(0)) { $0 + $1.totals.records }
        #expect(kept + lost == records)
        for gap in core.gapRecords(from: 0, through: .max).flatMap(\.partitions) {
            #expect(gap.recordCount == gap.lastOffset - gap.firstOffset + 1)
            #expect(!read.batches.contains { $0.baseOffset >= gap.firstOffset && $0.baseOffset <= gap.lastOffset })
        }
    }

    @Test(
        "greengrass log-manager PR 257, fluent-bit #2878, #7402: the limit holds although nothing is ever uploaded, and it is the oldest that goes"
    )
    func limitHoldsWithoutUploads() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        try fill(&core, count: 400)
        let gaps = core.gapRecords(from: 0, through: .max)
        #expect(gaps.count == 1)
        let gap = try #require(gaps.first)
        #expect(gap.reason == .quotaBytes && gap.firstLSN == 1)
        let part = try #require(gap.partitions.first)
        #expect(
            part.firstOffset == 0 && part.batchCount * 3 == part.recordCount && part.sizeBytes > part.batchCount * 9000)
        #expect(part.firstWallMs == 1_700_000_000_000)
        #expect(core.partitions[0].highWatermark == 1200)
        #expect(core.partitions[0].logStartOffset == part.lastOffset + 1)
        try account(core, records: 1200)
        // And so it is after a restart, which finds nothing wrong.
        let report: RecoveryReport
        (core, report) = try self.core(disk, seed: 2)
        #expect(report.isClean && report.missingSegments.isEmpty, "\(report)")
        #expect(core.gapRecords(from: 0, through: .max) == gaps)
        try account(core, records: 1200)
    }

    @Test("what an open plan covers stays whole; what lies behind it goes, and the plan's object comes out the same")
    func openPlanIsKept() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        try fill(&core, count: 30)
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 12)
        try core.recordPlan(plan)
        let before = try core.read(from: 1, maxBytes: 1 << 20, maxCount: 11).batches
        try fill(&core, count: 300)
        #expect(try core.read(from: 1, maxBytes: 1 << 20, maxCount: 11).batches == before)
        let gaps = core.gapRecords(from: 0, through: .max)
        #expect(gaps.count == 1 && gaps[0].firstLSN > plan.lastLSN)
        try account(core, records: 990)
        // The next plan covers what is left of the first segment and the gap.
        try core.recordUploaded(sequence: 1, lastLSN: 12)
        #expect(throws: WALError.planOutdated(gapLastLSN: gaps[0].lastLSN)) {
            try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 13, lastLSN: gaps[0].firstLSN + 1))
        }
        let report: RecoveryReport
        (core, report) = try self.core(disk, seed: 2)
        #expect(report.isClean && report.missingSegments.isEmpty, "\(report)")
        try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 13, lastLSN: gaps[0].lastLSN))
        try core.recordUploaded(sequence: 2, lastLSN: gaps[0].lastLSN)
        #expect(core.gapRecords(from: 0, through: .max).isEmpty)
        #expect(core.state.gaps.totals[.quotaBytes] == gaps[0].totals)
    }

    @Test(
        "what a failed write left stays dead when the segment after it is given up, in this process and the next",
        arguments: [false, true])
    func failedWriteStaysDead(isRotten: Bool) throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        try fill(&core, count: 10)
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: core.durableLSN)
        try core.recordPlan(plan)
        let (durable, tail) = (core.durableLSN, core.tailBytes)
        disk.faults.failingSyncs = 9
        let refused = core.commit((0..<3).map { _ in Make.entry(bytes: 9000, text: "refused") })
        #expect(refused.allSatisfy { $0.rejection != nil })
        disk.faults.failingSyncs = 0
        // Some of it is on the disk, or all.
        if isRotten { disk.corrupt(SegmentName.live(core.segments[0].sequence), at: tail + 12_000) { $0 ^= 1 } }
        try fill(&core, count: 300)
        #expect(core.segments[0].sequence + 1 < core.segments[1].sequence)
        try expectEnd(core, through: durable)
        let report: RecoveryReport
        (core, report) = try self.core(disk, seed: 2)
        #expect(report.isClean, "\(report)")
        try expectEnd(core, through: durable)
        try account(core, records: 930)
        try expectFromOutside(core)
    }

    /// What looks at the files from outside, and what salvages them, finds the same batches.
    private func expectFromOutside(_ core: LaneCore<SimulatedDisk>) throws {
        let root = TemporaryDirectory()
        let lane = root.path + "/lane"
        try FileManager.default.createDirectory(atPath: lane, withIntermediateDirectories: true)
        for entry in try core.disk.list() {
            let bytes = Data(try #require(core.disk.contents(entry.name)))
            try bytes.write(to: URL(fileURLWithPath: lane + "/" + entry.name))
        }
        let batches = try core.readAll().batches.map(\.lsn)
        let verified = try Inspection.verify(directory: lane)
        #expect(verified.quarantined.isEmpty && verified.gaps.isEmpty && verified.batchCount == batches.count)
        let salvaged = try Salvage.run(directory: lane, to: root.path + "/saved")
        #expect(salvaged.batchCount == batches.count, "\(salvaged)")
        let (log, recovery) = try LaneLog.open(Make.configuration(root.path + "/saved"))
        defer { log.close() }
        #expect(recovery.quarantined.isEmpty && recovery.gaps.isEmpty, "\(recovery)")
        #expect(log.gapRecords(from: 0, through: .max) == core.gapRecords(from: 0, through: .max))
    }

    /// The oldest segment holds frames through `lsn`, none behind, and nothing in it is damaged.
    private func expectEnd(_ core: LaneCore<SimulatedDisk>, through lsn: UInt64) throws {
        let view = core.view
        var scan = SegmentScan(
            window: ScanWindow(disk: core.disk), segment: view.segments[0], endBytes: view.segments[0].sizeBytes,
            expectedLSN: view.segments[0].firstLSN, limitLSN: view.limitLSN(of: 0))
        var last: UInt64 = 0
        while let item = try scan.next() {
            guard case .frame(let frame) = item else { continue }
            last = frame.header.lsn
        }
        #expect(last == lsn)
        let check = SegmentCheck(
            disk: core.disk, segment: view.segments[0], limitLSN: view.limitLSN(of: 0), hasNeighbour: false)
        #expect(try check.run { _ in true }?.isClean == true)
    }

    @Test("a planned gap does not change when more is dropped behind it")
    func plannedGapIsFixed() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        try fill(&core, count: 200)
        let planned = core.gapRecords(from: 0, through: .max)
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: planned[0].lastLSN))
        try fill(&core, count: 200)
        let after = core.gapRecords(from: 0, through: .max)
        #expect(after.first == planned.first)
        #expect(after.count == 2 && after[1].firstLSN == planned[0].lastLSN + 1)
        try account(core, records: 1200)
    }

    @Test("an idempotent producer whose batch was dropped is still told that it is there, and goes on")
    func producersAreNotConfused() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        let first = Make.entry("p", records: 2, producerID: 7, sequence: 0)
        #expect(core.commit([first])[0].offset == 0)
        try fill(&core, count: 300)
        #expect(
            core.gapRecords(from: 0, through: .max)[0].partitions.contains { $0.topic == "p" && $0.lastOffset == 1 })
        (core, _) = try self.core(disk, seed: 2)
        #expect(core.commit([first]) == [.duplicate(baseOffset: 0)])
        #expect(core.commit([Make.entry("p", records: 2, producerID: 7, sequence: 2)])[0].offset == 2)
    }

    @Test("P32, P23: what has waited too long goes, whether or not anything follows; what has not stays")
    func age() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk, segments: 16, age: .seconds(60))
        func entry(at second: UInt64) -> LogEntry {
            var entry = Make.entry(bytes: 9000)
            entry.monotonicNs = second * 1_000_000_000
            return entry
        }
        for second in 1...100 { _ = core.commit([entry(at: UInt64(second))]) }
        core.expire(nowNs: 100 * 1_000_000_000, wallMs: nil)
        let gaps = core.gapRecords(from: 0, through: .max)
        #expect(gaps.map(\.reason) == [.quotaAge])
        // Only whole segments of which even the newest batch is too old.
        #expect(try #require(gaps.first?.partitions.first).lastOffset < 40)
        #expect(core.partitions[0].logStartOffset > 0)
        // Nothing follows: the rest goes too when its time has come, and a new segment goes on.
        core.expire(nowNs: 161 * 1_000_000_000, wallMs: nil)
        #expect(core.gapRecords(from: 0, through: .max).map(\.totals.records) == [100])
        #expect(try core.readAll().batches.isEmpty)
        #expect(core.commit([entry(at: 161)])[0].offset == 100)
    }

    @Test("after a restart age counts anew, unless both clocks can be believed")
    func ageAfterRestart() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk, segments: 16, age: .seconds(60))
        for _ in 0..<100 { _ = core.commit([Make.entry(bytes: 9000)]) }
        let wallMs: Int64 = 1_700_000_000_000
        (core, _) = try self.core(disk, seed: 2, segments: 16, age: .seconds(60))
        core.expire(nowNs: 5_000_000_000, wallMs: nil)
        core.expire(nowNs: 50_000_000_000, wallMs: wallMs + 59_000)
        #expect(core.gapRecords(from: 0, through: .max).isEmpty)
        core.expire(nowNs: 50_000_000_000, wallMs: wallMs + 61_000)
        #expect(core.gapRecords(from: 0, through: .max).map(\.totals.records) == [100])
    }

    @Test("a power cut at any moment leaves every record read or in one gap", arguments: 1..<60)
    func powerCuts(step: Int) throws {
        let disk = SimulatedDisk()
        var random = SeededGenerator(seed: UInt64(step))
        var (core, _) = try core(disk)
        try fill(&core, count: 80)
        var acked: Int64 = 240
        disk.faults.powerOffAt = disk.operations + step
        while !disk.isOff {
            let outcome = core.commit([Make.entry(records: 3, bytes: 9000)])[0]
            if outcome.lsn != nil, !disk.isOff { acked += 3 }
        }
        disk.crash(using: &random)
        let report: RecoveryReport
        (core, report) = try self.core(disk, seed: UInt64(step) + 100)
        #expect(report.isClean, "\(report)")
        // The batch under way may have made it.
        let there = core.partitions[0].highWatermark
        #expect(there == acked || there == acked + 3)
        try account(core, records: there)
        try fill(&core, count: 40)
        try account(core, records: there + 120)
    }

    @Test("a full file system is a full lane: the oldest goes and writing goes on")
    func diskFull() throws {
        let disk = SimulatedDisk(capacityBytes: 5 * 256 << 10)
        var (core, _) = try core(disk, segments: 64)
        for _ in 0..<400 {
            #expect(core.commit([Make.entry(records: 3, bytes: 9000)])[0].lsn != nil)
        }
        #expect(Set(core.gapRecords(from: 0, through: .max).map(\.reason)) == [.diskFull])
        try account(core, records: 1200)
    }

    @Test("kura #2006, iotedge #3981: control frames that were freed with everything uploaded are no loss")
    func freedControlFramesAreNoLoss() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk)
        for _ in 0..<20 {
            try fill(&core, count: 10)
            let state = core.uploadState
            let plan = UploadPlan(sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: core.durableLSN)
            try core.recordPlan(plan)
            try core.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        }
        #expect(core.gapRecords(from: 0, through: .max).isEmpty)
        let slice = try core.read(from: core.uploadState.nextPlanLSN, maxBytes: 1 << 20, maxCount: 100)
        #expect(slice.gaps.isEmpty)
    }

    @Test("bit rot: what was lost is told by partition, offsets and counts")
    func rotIsDescribed() throws {
        let disk = SimulatedDisk()
        var (core, _) = try core(disk, segments: 16)
        for number in 0..<20 {
            _ = core.commit([Make.entry(number % 2 == 0 ? "even" : "odd", records: 2, bytes: 5000)])
        }
        let segment = try #require(disk.list().first { $0.name.hasSuffix(".seg") }?.name)
        // Ten groups before the last one; each takes two blocks.
        let place = try #require(core.committed.first).offsetBytes
        let group = (place / Block.sizeBytes) - (10 * 2)
        disk.corrupt(segment, at: group * Block.sizeBytes + 600) { $0 ^= 4 }
        let slice = try core.readAll()
        try #require(slice.gaps.count == 1)
        let record = try #require(core.describe(lost: slice.gaps).first)
        #expect(record.reason == .unreadable)
        #expect(record.partitions.count == 1)
        let part = try #require(record.partitions.first)
        #expect(part.recordCount == 2 && part.lastOffset == part.firstOffset + 1)
        let kept = slice.batches.filter { $0.topic == part.topic }.map(\.baseOffset)
        #expect(!kept.contains(part.firstOffset) && kept.count == 9)
    }

    @Test("records stay within their bytes: partitions that lost least are summed up")
    func bounded() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk) {
            $0.quotaBytes = 4 * $0.segmentSizeBytes
            $0.fullPolicy = .dropOldest
        }
        let name = String(repeating: "x", count: 200)
        for number in 0..<600 { _ = core.commit([Make.entry(name + "\(number % 60)", bytes: 6000)]) }
        let gaps = core.gapRecords(from: 0, through: .max)
        #expect(gaps.reduce(0) { $0 + $1.encodedBytes } <= core.configuration.gapBytesMax)
        #expect(gaps.contains { $0.rest.partitionCount > 0 })
        let kept = try core.readAll().batches.count
        #expect(gaps.reduce(Int64(0)) { $0 + $1.totals.records } + Int64(kept) == 600)
    }
}
