import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Clocks in plans and frames")
struct PlanClockTests {
    @Test(
        "what a plan knows of a clock comes back with it, from its frame and from checkpoints, after any crash",
        arguments: 0..<20 as Range<UInt64>)
    func durable(seed: UInt64) throws {
        let disk = SimulatedDisk()
        var random = SeededGenerator(seed: seed)
        var (core, _) = try Make.core(disk)
        var open: [UploadPlan] = []
        for round in 0..<8 as Range<Int64> {
            _ = core.commit([Make.entry(bytes: 3000, text: "\(round)")])
            let reading = ClockReading(wallMs: 1_795_651_200_000 + round, monotonicNs: UInt64(round) << 40)
            let clock: PlanClock? =
                [
                    nil, PlanClock(bootEpoch: 9, reading: nil), PlanClock(bootEpoch: .max, reading: reading),
                ].randomElement(using: &random) ?? nil
            let plan = UploadPlan(
                sequence: core.uploadState.nextSequence, firstLSN: core.uploadState.nextPlanLSN,
                lastLSN: core.durableLSN, clock: clock)
            try core.recordPlan(plan)
            try core.recordPlan(plan)
            open.append(plan)
            if Bool.random(using: &random) {
                let first = open.removeFirst()
                try core.recordUploaded(sequence: first.sequence, lastLSN: first.lastLSN)
            }
            // Enough for another segment, whose checkpoint then has the plans.
            if Bool.random(using: &random) { for _ in 0..<20 { _ = core.commit([Make.entry(bytes: 12_000)]) } }
            if Bool.random(using: &random) { disk.crash(using: &random) } else { disk.restartProcess() }
            (core, _) = try Make.core(disk, seed: UInt64(round) + 2)
            #expect(core.uploadState.openPlans == open)
        }
    }

    @Test("a frame says that the gateway made the times, beside the quality of its clock")
    func flag() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        var entry = Make.entry()
        for quality in ClockQuality.allCases {
            entry.clockQuality = quality
            entry.hasGatewayTimes = false
            _ = core.commit([entry])
            entry.hasGatewayTimes = true
            _ = core.commit([entry])
        }
        disk.restartProcess()
        (core, _) = try Make.core(disk, seed: 3)
        let batches = try core.readAll().batches
        #expect(batches.map(\.clockQuality) == ClockQuality.allCases.flatMap { [$0, $0] })
        #expect(batches.map(\.hasGatewayTimes) == ClockQuality.allCases.flatMap { _ in [false, true] })
    }

    @Test("a checkpoint that ends before the clocks of plans is read as one without")
    func older() throws {
        var state = LaneState(producersMax: 8, partitionsMax: 8)
        let clock = PlanClock(bootEpoch: 4, reading: nil)
        state.uploads.apply(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 3, clock: clock))
        let bytes = Checkpoint.encode(state)
        let whole = try #require(Checkpoint.decode(bytes, producersMax: 8, partitionsMax: 8))
        #expect(whole.uploads.open.map(\.plan.clock) == [clock])
        let cut = try #require(bytes.getSlice(at: 0, length: bytes.readableBytes - 4 - 8 - PlanClock.payloadBytes))
        let old = try #require(Checkpoint.decode(cut, producersMax: 8, partitionsMax: 8))
        #expect(old.uploads.open.map(\.plan.clock) == [nil] && old.uploads.nextSequence == 2)
    }

    @Test("clocks are remembered by run of the machine, over restarts; a damaged file costs nothing but the memory")
    func memory() throws {
        let directory = TemporaryDirectory()
        _ = try SiteIdentity.open(root: directory.path)
        let right = ClockReading(wallMs: 1_795_651_200_000, monotonicNs: 90_000_000_000)
        let later = ClockReading(wallMs: right.wallMs + 60_000, monotonicNs: right.monotonicNs + 60_000_000_000)
        let starts = ["a", "a", "b"].map { SiteBoots.open(root: directory.path, machineBootID: $0) }
        var first = SiteClocks.open(root: directory.path, boots: starts[1])
        #expect(first.believedMs == nil && first.reading(ofBoot: 2) == nil)
        first.believed(right)
        first.believed(later)
        var second = SiteClocks.open(root: directory.path, boots: starts[2])
        #expect(second.reading(ofBoot: 1)?.offsetMs == right.offsetMs && second.reading(ofBoot: 2) != nil)
        #expect(second.reading(ofBoot: 3) == nil && second.believedMs == right.wallMs)
        let stepped = ClockReading(wallMs: later.wallMs + 9_000, monotonicNs: 5)
        second.believed(later)
        second.believed(stepped)
        #expect(SiteClocks.open(root: directory.path, boots: starts[2]).reading(ofBoot: 3) == stepped)
        for bytes in [Data(repeating: 0, count: 100), Data("clock 1\nbelieved x\n".utf8), Data("clock 2\n".utf8)] {
            try directory.write("clock", bytes)
            var broken = SiteClocks.open(root: directory.path, boots: starts[2])
            #expect(broken.trouble != nil && broken.reading(ofBoot: 3) == nil)
            broken.believed(later)
            #expect(broken.trouble == nil && broken.reading(ofBoot: 3) == later)
        }
    }

    @Test("starts that a lost count of starts does not know are on no known run of the machine")
    func raised() throws {
        let directory = TemporaryDirectory()
        _ = try SiteIdentity.open(root: directory.path)
        var boots = SiteBoots.open(root: directory.path, machineBootID: "a")
        boots.raise(to: 58)
        #expect(boots.run(of: 58) == 58 && boots.run(of: 57) == nil && boots.run(of: 59) == nil)
        #expect(!boots.sharesClock(57, 58))
    }
}
