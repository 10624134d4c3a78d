import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Damaged files")
struct CorruptionTests {
    private let disk = SimulatedDisk()

    /// Commits one batch per group and returns where each group begins in the newest segment, with its LSN.
    private func write(_ core: inout LaneCore<SimulatedDisk>, _ count: Int, bytes: Int = 3000) -> [(
        lsn: UInt64, at: Int
    )] {
        (0..<count).map { number in
            let before = core.segments.count
            var at = core.tailBytes
            let outcome = core.commit([Make.entry(bytes: bytes, text: "\(number)")])[0]
            if core.segments.count != before { at = -1 }
            return (outcome.lsn ?? 0, at)
        }
    }

    private func newest(_ core: LaneCore<SimulatedDisk>) -> String {
        SegmentName.live(core.segments.last?.sequence ?? 0)
    }

    @Test("a torn tail is cut at the last good frame and written over")
    func tornTail() throws {
        var (core, _) = try Make.core(disk)
        let groups = write(&core, 5)
        let outcomes = core.commit((0..<4).map { Make.entry(bytes: 3000, text: "tail \($0)") })
        let last = try #require(core.committed.last)
        disk.corrupt(newest(core), at: last.offsetBytes + 200) { $0 ^= 0xFF }
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean && report.tornTailBytes > 0)
        #expect(report.durableLSN == outcomes[2].lsn)
        #expect(core.commit([Make.entry(text: "after")])[0].lsn == outcomes[3].lsn)
        #expect(try core.readAll().batches.count == groups.count + 4)
        // The cut group is part of history now: nothing is missing at the next start either.
        let again = try Make.core(disk, seed: 3)
        #expect(again.report.isClean && again.report.tornTailBytes == 0)
        #expect(try again.core.readAll().batches.count == groups.count + 4)
    }

    @Test("in a last group that is known to have been durable a bad frame is rot: it alone is lost, and told")
    func rotInTheLastGroup() throws {
        var (core, _) = try Make.core(disk)
        let outcomes = core.commit((0..<4).map { Make.entry(bytes: 3000, text: "\($0)") })
        disk.corrupt(newest(core), at: core.committed[1].offsetBytes + 200) { $0 ^= 1 }
        let bad = try #require(outcomes[1].lsn)
        var again = try LaneCore(configuration: Make.configuration(), disk: disk, saltSeed: 2)
        var asked: [UInt64] = []
        let report = try again.recover { segments in
            asked = segments.map(\.sequence)
            return outcomes[3].lsn ?? 0
        }
        #expect(asked == [1])
        #expect(report.tornTailBytes == 0 && report.quarantined.count == 1)
        #expect(report.gaps == [LSNGap(firstLSN: bad, lastLSN: bad)])
        let after = again.commit([Make.entry(text: "after")])[0]
        #expect(after.lsn == (outcomes[3].lsn ?? 0) + 1)
        let all = try again.readAll()
        #expect(all.batches.map { $0.lsn } == [outcomes[0].lsn, outcomes[2].lsn, outcomes[3].lsn, after.lsn])
        #expect(all.gaps == [LSNGap(firstLSN: bad, lastLSN: bad)])
    }

    @Test("where all batches of a log are lost, its segment stays until the cloud has been told")
    func onlyBatchLost() throws {
        var (core, _) = try Make.core(disk)
        let lsn = try #require(core.commit([Make.entry(records: 3)])[0].lsn)
        disk.corrupt(newest(core), at: core.committed[0].offsetBytes + 100) { $0 ^= 1 }
        core = try LaneCore(configuration: Make.configuration(), disk: disk, saltSeed: 2)
        let report = try core.recover { _ in lsn }
        #expect(report.gaps == [LSNGap(firstLSN: lsn, lastLSN: lsn)])
        core.goOn(afterOffsets: [(PartitionName(topic: "gnss", partition: 0), 3)])
        core.mustRotate = true
        #expect(core.commit([Make.entry()])[0].offset == 3)
        #expect(core.segments.count == 2)
        #expect(try core.readAll().gaps == report.gaps)
        let told = core.describe(lost: report.gaps).flatMap(\.partitions)
        #expect(told.map { "\($0.topic) \($0.firstOffset)...\($0.lastOffset)" } == ["gnss 0...2"])
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: core.durableLSN))
        try core.recordUploaded(sequence: 1, lastLSN: try #require(core.uploadState.openPlans.last?.lastLSN))
        #expect(core.segments.count == 1)
    }

    @Test("frames behind a cut never come back, even when what was written over the cut is damaged later")
    func noReturn() throws {
        var (core, _) = try Make.core(disk)
        _ = core.commit((0..<4).map { Make.entry(bytes: 6000, text: "torn \($0)") })
        let name = newest(core)
        let torn = core.committed
        disk.corrupt(name, at: torn[1].offsetBytes + 200) { $0 ^= 0xFF }
        (core, _) = try Make.core(disk, seed: 2)
        let healed = core.tailBytes
        let written = core.commit((0..<2).map { Make.entry(bytes: 100, text: "over the cut \($0)") })
        core.mustRotate = true
        _ = core.commit([Make.entry(bytes: 100, text: "later")])
        disk.corrupt(name, at: healed) { $0 ^= 0xFF }
        let all = try Make.core(disk, seed: 3).core.readAll()
        #expect(all.gaps == [LSNGap(firstLSN: written[0].lsn ?? 0, lastLSN: written[1].lsn ?? 0)])
        let texts = all.batches.map { String(buffer: $0.batch) }
        #expect(texts.count == 2 && texts[0].contains("torn 0") && texts[1].contains("later"))
    }

    @Test("a tail torn in its very first frame leaves the log as it was before")
    func tornWhole() throws {
        var (core, _) = try Make.core(disk)
        let groups = write(&core, 3)
        disk.corrupt(newest(core), at: groups[2].at + GroupHeader.sizeBytes + 60) { $0 ^= 1 }
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.durableLSN == groups[1].lsn)
        for _ in 0..<3 { _ = core.commit([Make.entry(bytes: 100)]) }
        let (reopened, report) = try Make.core(disk, seed: 3)
        #expect(report.isClean)
        #expect(try reopened.readAll().batches.count == 5)
    }

    @Test("a corrupt group in the middle is quarantined; what follows is kept")
    func corruptGroup() throws {
        var (core, _) = try Make.core(disk)
        let groups = write(&core, 9)
        disk.corrupt(newest(core), at: groups[4].at + 20) { $0 ^= 0xFF }
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.gaps == [LSNGap(firstLSN: groups[4].lsn, lastLSN: groups[4].lsn)])
        #expect(report.quarantined == [QuarantinedRange(segment: 1, offsetBytes: groups[4].at, lengthBytes: 4096)])
        #expect(core.alarms.lostLSNs == 1 && core.alarms.quarantinedRanges == 1)
        #expect(core.partitions[0].highWatermark == 9)
        let all = try core.readAll()
        #expect(all.gaps == report.gaps)
        #expect(all.batches.count == 8)
        #expect(core.commit([Make.entry()])[0].offset == 9)
    }

    @Test("a corrupt frame inside a group loses only itself")
    func corruptFrame() throws {
        var (core, _) = try Make.core(disk)
        _ = core.commit((0..<6).map { Make.entry(bytes: 3000, text: "\($0)") })
        let entries = core.committed
        _ = write(&core, 1)
        disk.corrupt(newest(core), at: entries[2].offsetBytes + 500) { $0 ^= 0x10 }
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.gaps == [LSNGap(firstLSN: entries[2].lsn, lastLSN: entries[2].lsn)])
        let all = try core.readAll()
        #expect(all.batches.map(\.baseOffset) == [0, 1, 3, 4, 5, 6])
        #expect(all.gaps == report.gaps)
    }

    @Test("after an orderly end even the last data group is covered: a bad frame in it is a loss, not a torn tail")
    func corruptBeforeSeal() throws {
        var (core, _) = try Make.core(disk)
        _ = core.commit((0..<3).map { Make.entry(bytes: 3000, text: "\($0)") })
        let entries = core.committed
        core.seal()
        disk.corrupt(SegmentName.live(1), at: entries[1].offsetBytes + 500) { $0 ^= 0x10 }
        let (reopened, report) = try Make.core(disk, seed: 2)
        #expect(report.gaps == [LSNGap(firstLSN: entries[1].lsn, lastLSN: entries[1].lsn)])
        #expect(try reopened.readAll().batches.map(\.baseOffset) == [0, 2])
    }

    @Test("a length field gone wild loses the rest of its group and nothing else")
    func wildLength() throws {
        var (core, _) = try Make.core(disk)
        _ = core.commit((0..<4).map { Make.entry(bytes: 3000, text: "\($0)") })
        let entries = core.committed
        let after = write(&core, 2)
        disk.overwrite(newest(core), at: entries[1].offsetBytes, with: [0xFF, 0xFF, 0xFF, 0x7F])
        let (reopened, report) = try Make.core(disk, seed: 2)
        #expect(report.gaps == [LSNGap(firstLSN: entries[1].lsn, lastLSN: entries[3].lsn)])
        #expect(try reopened.readAll().batches.map(\.lsn) == [entries[0].lsn] + after.map(\.lsn))
    }

    @Test("rot met while reading is a gap, never garbage")
    func rotWhileRunning() throws {
        var (core, _) = try Make.core(disk)
        let groups = write(&core, 5)
        disk.corrupt(newest(core), at: groups[1].at + 300) { $0 ^= 0xFF }
        disk.corrupt(newest(core), at: groups[4].at + 300) { $0 ^= 0xFF }
        let all = try core.readAll()
        #expect(all.gaps == [groups[1].lsn, groups[4].lsn].map { LSNGap(firstLSN: $0, lastLSN: $0) })
        #expect(all.batches.map(\.lsn) == [groups[0], groups[2], groups[3]].map(\.lsn))
    }

    /// Four or more segments of data; returns their sequences.
    private func segments(_ core: inout LaneCore<SimulatedDisk>) -> [UInt64] {
        _ = write(&core, 110, bytes: 9000)
        return core.segments.map(\.sequence)
    }

    /// Damages one byte of the checkpoint of a segment.
    private func spoilCheckpoint(_ segment: UInt64) {
        disk.corrupt(SegmentName.live(segment), at: 4096 + GroupHeader.sizeBytes + 60) { $0 ^= 1 }
    }

    @Test(
        "a loss is described though the checkpoint behind it, or the one before it, is damaged too", arguments: [0, 1])
    func describedWithoutCheckpoint(step: Int) throws {
        var (core, _) = try Make.core(disk)
        // Of a partition that is not heard of again for long.
        let rare = core.commit([Make.entry("rare", bytes: 3000), Make.entry("gnss", bytes: 3000)])
        var lost = try #require(core.committed.first)
        if step == 1 {
            core.mustRotate = true
            _ = core.commit([Make.entry("rare", bytes: 3000), Make.entry("gnss", bytes: 3000)])
            lost = try #require(core.committed.first)
        }
        let segment = lost.segment
        core.mustRotate = true
        for _ in 0..<5 { _ = core.commit([Make.entry("gnss")]) }
        core.mustRotate = true
        _ = core.commit([Make.entry("gnss")])
        disk.corrupt(SegmentName.live(segment), at: lost.offsetBytes + 200) { $0 ^= 1 }
        spoilCheckpoint(step == 0 ? segment + 1 : segment)
        #expect(rare[0].offset == 0)
        let told = core.describe(lost: try core.readAll().gaps).flatMap(\.partitions)
            .map { "\($0.topic) \($0.firstOffset)...\($0.lastOffset)" }
        #expect(told == ["rare \(lost.baseOffset)...\(lost.baseOffset)"])
    }

    @Test(
        "the newest checkpoint is damaged: the segment with the older one stays until there is another",
        arguments: 0..<3)
    func olderCheckpointIsKept(step: Int) throws {
        func open(_ seed: UInt64) throws -> LaneCore<SimulatedDisk> {
            try Make.core(disk, seed: seed) { $0.quotaBytes = (step == 0 ? 2 : 16) * $0.segmentSizeBytes }.core
        }
        var core = try open(1)
        #expect(core.commit([Make.entry("rare", producerID: 7, sequence: 0)])[0].offset == 0)
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 2))
        core.mustRotate = true
        let first = core.segments[0].sequence
        _ = core.commit([Make.entry("gnss")])
        spoilCheckpoint(try #require(core.segments.last).sequence)
        disk.restartProcess()
        core = try open(2)
        switch step {
        case 0:
            // An upload that frees the first segment. The lane is full without that.
            try core.recordUploaded(sequence: 1, lastLSN: 2)
            let through = core.durableLSN
            try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 3, lastLSN: through))
            try core.recordUploaded(sequence: 2, lastLSN: through)
            #expect(core.segments[0].sequence > first)
            #expect(core.commit([Make.entry("gnss")])[0].offset == 1)
        case 1:
            // The disk refuses at first.
            disk.faults.failingCreates = 2
            _ = core.commit([Make.entry("gnss")])
            #expect(core.segments[0].sequence == first)
            disk.faults.failingCreates = 0
            #expect(core.commit([Make.entry("gnss")])[0].offset == 1)
        default: #expect(core.commit([Make.entry("gnss")])[0].offset == 1)
        }
        disk.restartProcess()
        core = try open(3)
        #expect(core.commit([Make.entry("rare", producerID: 7, sequence: 0)]) == [.duplicate(baseOffset: 0)])
        #expect(core.commit([Make.entry("rare", producerID: 7, sequence: 1)])[0].offset == 1)
    }

    @Test("a missing segment is a gap; service goes on")
    func missingSegment() throws {
        var (core, _) = try Make.core(disk)
        let sequences = segments(&core)
        let limits = core.segments.map(\.firstLSN)
        disk.erase(SegmentName.live(sequences[1]))
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        let gap = LSNGap(firstLSN: limits[1], lastLSN: limits[2] - 1)
        #expect(report.missingSegments == [sequences[1]] && report.gaps == [gap])
        #expect(try core.readAll().gaps == [gap])
        #expect(core.commit([Make.entry()])[0].offset == 110)
    }

    @Test("a zero-filled segment in the middle is a gap; it is freed in its turn")
    func zeroFilled() throws {
        var (core, _) = try Make.core(disk)
        let sequences = segments(&core)
        let limits = core.segments.map(\.firstLSN)
        disk.place(SegmentName.live(sequences[1]), [UInt8](repeating: 0, count: core.configuration.segmentSizeBytes))
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        let gap = LSNGap(firstLSN: limits[1], lastLSN: limits[2] - 1)
        #expect(report.unreadableSegments == [sequences[1]] && report.gaps == [gap])
        #expect(core.commit([Make.entry()])[0].offset == 110)
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: core.durableLSN))
        try core.recordUploaded(sequence: 1, lastLSN: core.durableLSN - 1)
        #expect(core.segments.count <= 2)
    }

    @Test("a zero-filled newest segment costs what was in it; the next one begins after it")
    func zeroFilledNewest() throws {
        var (core, _) = try Make.core(disk)
        let sequences = segments(&core)
        let last = try #require(sequences.last)
        let limit = try #require(core.segments.last).firstLSN
        disk.place(SegmentName.live(last), [UInt8](repeating: 0, count: core.configuration.segmentSizeBytes))
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.unreadableSegments == [last] && report.durableLSN == limit - 1)
        #expect(core.commit([Make.entry()])[0].lsn == limit + 1)
        #expect(core.segments.last?.sequence == last + 1)
    }

    @Test("a lost header block is made good by the groups behind it")
    func lostHeader() throws {
        var (core, _) = try Make.core(disk)
        _ = segments(&core)
        for segment in core.segments {
            disk.overwrite(SegmentName.live(segment.sequence), at: 0, with: [UInt8](repeating: 0, count: 4096))
        }
        let (reopened, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean)
        #expect(try reopened.readAll().batches.count == 110)
        #expect(reopened.partitions == core.partitions)
    }

    @Test("without any checkpoint the state comes from the frames")
    func lostCheckpoints() throws {
        var (core, _) = try Make.core(disk)
        _ = segments(&core)
        _ = core.commit([Make.entry("ids", producerID: 4, sequence: 0)])
        for segment in core.segments {
            disk.corrupt(SegmentName.live(segment.sequence), at: 4096 + GroupHeader.sizeBytes + 60) { $0 ^= 1 }
        }
        var (reopened, report) = try Make.core(disk, seed: 2)
        #expect(report.notes.count == core.segments.count)
        #expect(reopened.partitions.map(\.highWatermark) == [110, 1])
        #expect(reopened.commit([Make.entry("ids", producerID: 4, sequence: 0)]) == [.duplicate(baseOffset: 0)])
    }

    @Test("files of noise, of odd sizes and with foreign names neither stop the start nor trap")
    func noise() throws {
        var random = SeededGenerator(seed: 8)
        for (name, size) in [
            ("00000000000000000001.seg", 0), ("00000000000000000002.seg", 100), ("00000000000000000003.seg", 4097),
            ("00000000000000000004.seg", 256 << 10), ("99999999999999999999.seg", 10), ("x.seg", 5), ("a.free", 9),
            ("b.tmp", 9), ("lock", 0),
        ] {
            disk.place(name, (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) })
        }
        var (core, report) = try Make.core(disk)
        #expect(report.unreadableSegments == [1, 2, 3, 4])
        #expect(core.commit([Make.entry()])[0].lsn == 2)
        #expect(try disk.list().allSatisfy { !$0.name.hasSuffix(".tmp") })
    }

    @Test("any single flipped byte loses at most its group, and never gives wrong bytes", arguments: 0..<8)
    func anyByte(part: Int) throws {
        var (core, _) = try Make.core(disk)
        var expected: [UInt64: ByteBuffer] = [:]
        for number in 0..<4 {
            let entries = (0..<3).map { Make.entry(records: 2, bytes: 700, text: "\(number) \($0)") }
            for (entry, outcome) in zip(entries, core.commit(entries)) { expected[outcome.lsn ?? 0] = entry.batch }
        }
        core.seal()
        let name = newest(core)
        for at in stride(from: part * 7, to: core.tailBytes, by: 8 * 7) {
            let copy = SimulatedDisk()
            var bytes = disk.contents(name) ?? []
            bytes[at] ^= 0x5A
            copy.place(name, bytes)
            let reopened = try Make.core(copy, seed: 9).core
            let all = try reopened.readAll()
            for batch in all.batches { #expect(batch.batch == expected[batch.lsn]) }
            #expect(all.batches.count >= expected.count - 3)
        }
    }

    @Test("every cut of a segment file is survived")
    func everyCut() throws {
        var (core, _) = try Make.core(disk)
        _ = write(&core, 4, bytes: 500)
        let bytes = disk.contents(newest(core)) ?? []
        for length in stride(from: 0, to: core.tailBytes + 100, by: 61) {
            let copy = SimulatedDisk()
            copy.place(SegmentName.live(1), Array(bytes.prefix(length)))
            var reopened = try Make.core(copy, seed: 9).core
            #expect(reopened.commit([Make.entry()])[0].lsn != nil)
            #expect(try reopened.readAll(from: reopened.view.firstLSN).gaps.isEmpty)
        }
    }
}
