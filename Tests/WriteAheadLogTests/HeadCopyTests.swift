import Sealing
import Testing

@testable import WriteAheadLog

@Suite("The newest checkpoint, when no other segment tells what it does")
struct HeadCopyTests {
    private let disk = SimulatedDisk()

    /// An upload of everything, and a segment more: of the ones before only the newest stays, if the disk allows it.
    private func leaveOne(_ core: inout LaneCore<SimulatedDisk>) throws {
        _ = core.commit([Make.entry("rare", producerID: 7, sequence: 0)])
        core.mustRotate = true
        _ = core.commit([Make.entry("gnss")])
        let state = core.uploadState
        let through = core.durableLSN
        try core.recordPlan(UploadPlan(sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: through))
        try core.recordUploaded(sequence: state.nextSequence, lastLSN: through)
    }

    private func spoilCheckpoint(_ name: String, isSealed: Bool = false) {
        disk.corrupt(name, at: Block.sizeBytes + GroupHeader.headBytes(isSealed: isSealed) + 60) { $0 ^= 1 }
    }

    private func copies() throws -> [UInt64] { try disk.list().compactMap { SegmentName.headSequence($0.name) } }

    @Test(
        "a bad block in it costs nothing: no offset, no object number is given out again",
        arguments: [false, true])
    func survives(isSealed: Bool) throws {
        let secret = try #require(SecretKey(bytes: [UInt8](repeating: 7, count: SecretKey.sizeBytes)))
        let key = try #require(KeyRing.Key(id: "site", secret: secret))
        let ring = try #require(KeyRing([key]))
        let sealing = isSealed ? LogSealing(ring: { ring }, seals: true) : nil
        var (core, _) = try Make.core(disk, sealing: sealing)
        try leaveOne(&core)
        let newest = try #require(core.segments.last)
        #expect(core.segments.count == 1)
        #expect(try copies() == [newest.sequence])
        let uploads = core.uploadState
        let marks = core.partitions.map(\.highWatermark)
        spoilCheckpoint(SegmentName.live(newest.sequence), isSealed: isSealed)
        disk.restartProcess()
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2, sealing: sealing)
        #expect(report.gaps == [LSNGap(firstLSN: newest.firstLSN, lastLSN: newest.firstLSN)])
        #expect(core.uploadState == uploads)
        #expect(core.partitions.map(\.highWatermark) == marks)
        #expect(core.commit([Make.entry("rare", producerID: 7, sequence: 0)]) == [.duplicate(baseOffset: 0)])
        #expect(core.commit([Make.entry("rare")])[0].offset == 1)
        // Written anew, with what came since, before anything else is.
        #expect(core.segments.allSatisfy { $0.sequence > newest.sequence })
        disk.restartProcess()
        (core, _) = try Make.core(disk, seed: 3, sealing: sealing)
        #expect(core.commit([Make.entry("rare")])[0].offset == 2)
    }

    @Test("a loss behind it is described from the copy")
    func described() throws {
        var (core, _) = try Make.core(disk)
        try leaveOne(&core)
        _ = core.commit([Make.entry("rare", records: 3)])
        let lost = try #require(core.committed.first)
        _ = core.commit([Make.entry("gnss")])
        spoilCheckpoint(SegmentName.live(lost.segment))
        disk.corrupt(SegmentName.live(lost.segment), at: lost.offsetBytes + 100) { $0 ^= 1 }
        let told = core.describe(lost: [LSNGap(firstLSN: lost.lsn, lastLSN: lost.lsn)]).flatMap(\.partitions)
        #expect(told.map { "\($0.topic) \($0.firstOffset)...\($0.lastOffset)" } == ["rare 1...3"])
    }

    @Test("it is read back before the segment in front of it goes; a bad one is written anew first")
    func readBack() throws {
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry("rare")])
        core.mustRotate = true
        _ = core.commit([Make.entry("gnss")])
        let first = core.segments[0].sequence
        spoilCheckpoint(SegmentName.live(core.segments[1].sequence))
        let through = core.durableLSN
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: through))
        try core.recordUploaded(sequence: 1, lastLSN: through)
        #expect(core.segments[0].sequence == first)
        #expect(try copies().isEmpty)
        _ = core.commit([Make.entry("gnss")])
        #expect(core.segments.map(\.sequence).allSatisfy { $0 > first })
        #expect(try copies() == core.segments.suffix(1).map(\.sequence))
        disk.restartProcess()
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.commit([Make.entry("rare")])[0].offset == 1)
    }

    @Test("a copy goes with its segment, and one without a segment at the next start")
    func goes() throws {
        var (core, _) = try Make.core(disk)
        try leaveOne(&core)
        let former = try copies()
        try leaveOne(&core)
        try #expect(copies().count == 1 && copies() != former)
        _ = try disk.create(SegmentName.head(former[0]), sizeBytes: Block.sizeBytes)
        try disk.syncDirectory()
        (core, _) = try Make.core(disk, seed: 2)
        #expect(try copies() == core.segments.suffix(1).map(\.sequence))
    }

    @Test("on a full disk nothing waits for it, and it makes room for a segment")
    func fullDisk() throws {
        let segmentBytes = Make.configuration().segmentSizeBytes
        disk.capacityBytes = 2 * segmentBytes
        func make(_ seed: UInt64) throws -> LaneCore<SimulatedDisk> {
            try Make.core(disk, seed: seed) { $0.spareSegmentsMax = 0 }.core
        }
        var core = try make(1)
        try leaveOne(&core)
        #expect(core.segments.count == 1)
        #expect(try copies().count == 1)
        #expect(core.commit([Make.entry("gnss")])[0].offset == 1)
        core.mustRotate = true
        #expect(core.commit([Make.entry("gnss")])[0].offset == 2)
        #expect(core.segments.count == 2)
        #expect(try copies().isEmpty)
    }
}
