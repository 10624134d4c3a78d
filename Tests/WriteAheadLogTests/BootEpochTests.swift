import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Boot epochs")
struct BootEpochTests {
    @Test(
        "every start is told apart, in one segment and over several, also after power cuts",
        arguments: 0..<20 as Range<UInt64>)
    func starts(seed: UInt64) throws {
        let disk = SimulatedDisk()
        var random = SeededGenerator(seed: seed)
        var expected: [UInt64: UInt64] = [:]
        var last: UInt64 = 0
        for start in 0..<12 as Range<UInt64> {
            var (core, report) = try Make.core(disk, seed: start + 1)
            #expect(report.isClean && core.bootEpoch > last)
            last = core.bootEpoch
            for number in 0..<Int.random(in: 1...30, using: &random) {
                let lsn = try #require(core.commit([Make.entry(bytes: 9000, text: "\(number)")])[0].lsn)
                expected[lsn] = core.bootEpoch
                if core.diskBytes > 3 << 20 {
                    let through = core.durableLSN
                    let plan = UploadPlan(
                        sequence: core.uploadState.nextSequence, firstLSN: core.uploadState.nextPlanLSN,
                        lastLSN: through)
                    try core.recordPlan(plan)
                    try core.recordUploaded(sequence: plan.sequence, lastLSN: through)
                }
            }
            for batch in try core.readAll(from: core.view.firstLSN).batches {
                #expect(batch.bootEpoch == expected[batch.lsn] && batch.time.clockQuality == .gnss)
            }
            if Bool.random(using: &random) { disk.crash(using: &random) } else { disk.restartProcess() }
        }
    }

    @Test("what the installation counts is taken where it is higher than what the segments know")
    func given() throws {
        let disk = SimulatedDisk()
        var core = try LaneCore(configuration: Make.configuration(), disk: disk, saltSeed: 1, bootEpoch: 40)
        _ = try core.recover()
        #expect(core.bootEpoch == 40)
        _ = core.commit([Make.entry()])
        core = try LaneCore(configuration: Make.configuration(), disk: disk, saltSeed: 2, bootEpoch: 7)
        _ = try core.recover()
        #expect(core.bootEpoch == 41)
    }

    @Test("frames of programs that did not count starts have no epoch, beside those that have one")
    func older() throws {
        let disk = SimulatedDisk()
        var segment = RawSegment(SegmentHeader(sequence: 1, salt: 5, segmentSizeBytes: 256 << 10, firstLSN: 1))
        segment.add([Make.entry()], baseOffset: 0, bootEpoch: 0)
        disk.place(SegmentName.live(1), segment.padded)
        var (core, report) = try Make.core(disk)
        #expect(report.isClean && core.bootEpoch == 1)
        _ = core.commit([Make.entry()])
        let batches = try core.readAll().batches
        #expect(batches.map(\.bootEpoch) == [nil, 1])
        #expect(batches[1].time.nanoseconds(since: batches[0].time) == nil)
        #expect(batches[1].time.nanoseconds(since: batches[1].time) == 0)
    }

    @Test("16 bits in a group stand for the whole number, whatever the segment began with")
    func marks() {
        for segment in [0, 1, 5, 0xFFFE, 0xFFFF, 0x1_0001, 0x7_FFFF] as [UInt64] {
            var epoch = segment
            for _ in 0..<1000 {
                epoch = BootEpoch.following(epoch, atLeast: 0)
                #expect(BootEpoch.epoch(of: BootEpoch.mark(epoch), since: segment) == epoch)
            }
            #expect(BootEpoch.epoch(of: 0, since: segment) == nil)
        }
        #expect(BootEpoch.following(.max, atLeast: .max) < .max)
    }

    @Test("the count is durable, knows which starts share a clock, and a broken file costs neither start nor order")
    func installation() throws {
        let directory = TemporaryDirectory()
        _ = try SiteIdentity.open(root: directory.path)
        let starts = ["a", "a", "b", "b", "c"].map { SiteBoots.open(root: directory.path, machineBootID: $0) }
        #expect(starts.map(\.epoch) == [1, 2, 3, 4, 5] && starts.allSatisfy { $0.trouble == nil })
        var last = starts[4]
        #expect(last.sharesClock(1, 2) && last.sharesClock(4, 3) && last.sharesClock(5, 5))
        #expect(!last.sharesClock(2, 3) && !last.sharesClock(4, 5) && !last.sharesClock(1, 5))
        last.raise(to: 70)
        #expect(SiteBoots.open(root: directory.path, machineBootID: "c").epoch == 71)
        for bytes in [
            Data(repeating: 0, count: 100), Data("boots 1\nepoch 99999999999999999999\n".utf8), Data(), Data("x".utf8),
        ] {
            try directory.write("boots", bytes)
            let boots = SiteBoots.open(root: directory.path, machineBootID: "d")
            #expect(boots.epoch == 1 && boots.trouble != nil)
        }
        #expect(SiteBoots.kernelBootID() != nil)
    }
}
