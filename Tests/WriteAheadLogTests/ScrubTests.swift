import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("Scrubbing closed segments")
struct ScrubTests {
    private let directory = TemporaryDirectory()

    @Test("one round reads each closed segment once, later ones too, and the next begins after the interval")
    func schedule() {
        var schedule = ScrubSchedule(.init(bytesPerSecond: 1000, interval: .seconds(100)))
        let second: UInt64 = 1_000_000_000
        #expect(schedule.next(closed: [], nowNs: 0) == .sleep(untilNs: ScrubSchedule.idleNs))
        #expect(schedule.next(closed: [4, 5], nowNs: second) == .check(segment: 4))
        // Two seconds' worth of bytes, read at once.
        #expect(schedule.read(bytes: 2000, nowNs: second) == 3 * second)
        schedule.checked(segment: 4)
        #expect(schedule.next(closed: [4, 5], nowNs: 2 * second) == .sleep(untilNs: 3 * second))
        #expect(schedule.next(closed: [5, 6], nowNs: 3 * second) == .check(segment: 5))
        schedule.checked(segment: 5)
        #expect(schedule.next(closed: [5, 6], nowNs: 3 * second) == .check(segment: 6))
        schedule.checked(segment: 6)
        #expect(schedule.next(closed: [5, 6], nowNs: 4 * second) == .sleep(untilNs: 14 * second))
        #expect(schedule.rounds == 1)
        #expect(schedule.next(closed: [5, 6, 7], nowNs: 50 * second) == .check(segment: 7))
        schedule.checked(segment: 7)
        #expect(schedule.next(closed: [5, 6, 7], nowNs: 95 * second) == .sleep(untilNs: 101 * second))
        #expect(schedule.next(closed: [5, 6, 7], nowNs: 101 * second) == .check(segment: 5))
        #expect(schedule.rounds == 1)
    }

    @Test("any rate and any amount: the time to wait never overflows")
    func pacing() {
        var schedule = ScrubSchedule(.init(bytesPerSecond: 1, interval: .seconds(1)))
        #expect(schedule.read(bytes: 1 << 30, nowNs: 5) == 5 + (1 << 30) * 1_000_000_000)
    }

    private func open(_ scrub: LaneConfiguration.Scrub) throws -> LaneLog {
        var configuration = Make.configuration(directory.path)
        configuration.scrub = scrub
        return try LaneLog.open(configuration).log
    }

    private func fill(_ log: LaneLog, _ count: Int = 110) -> [UInt64] {
        let done = DispatchSemaphore(value: 0)
        let kept = Kept()
        for number in 0..<count {
            log.append([Make.entry(bytes: 9000, text: "\(number)")]) { outcomes in
                kept.add(outcomes[0].lsn ?? 0)
                if kept.count == count { done.signal() }
            }
        }
        done.wait()
        return kept.all
    }

    private final class Kept: @unchecked Sendable {  // Completions come one after another, on the writer's thread.
        private(set) var all: [UInt64] = []
        var count: Int { all.count }
        func add(_ lsn: UInt64) { all.append(lsn) }
    }

    private func wait(_ log: LaneLog, until holds: (LaneStatus) -> Bool) -> Bool {
        for _ in 0..<600 {
            if holds(log.status) { return true }
            usleep(20_000)
        }
        return false
    }

    /// Flips a bit of the file as it lies on the medium.
    private func rot(_ name: String, at offset: Int) throws {
        let handle = try FileHandle(forUpdating: URL(fileURLWithPath: directory.path + "/" + name))
        try handle.seek(toOffset: UInt64(offset))
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data([byte ^ 0x20]))
        try handle.synchronize()
        try handle.close()
    }

    @Test("nats #7549, iotedge #961: rot is found before a reader meets it, costs one frame, and writing goes on")
    func rot() throws {
        let log = try open(.init(bytesPerSecond: 64 << 20, interval: .milliseconds(200)))
        defer { log.close() }
        _ = fill(log)
        #expect(wait(log) { $0.scrub.rounds > 0 })
        #expect(log.status.alarms.isClear && log.status.scrub.readBytes > 512 << 10)
        let segments = directory.files(".seg")
        // A frame's payload in the second segment.
        try rot(segments[1], at: 4096 * 3 + 600)
        #expect(wait(log) { $0.scrub.damagedRanges > 0 })
        let status = log.status
        #expect(status.alarms.lostLSNs == 1 && status.alarms.quarantinedRanges == 1)
        #expect(status.quarantined.map(\.segment) == [try #require(SegmentName.sequence(segments[1]))])
        #expect(status.alarms.lastMessage?.contains("damaged on the disk") == true)
        let before = status.durableLSN
        #expect(fill(log, 1).last ?? 0 > before)
        // Readers meet the same gap, and it is counted once.
        var gaps: [LSNGap] = []
        var next: UInt64 = 1
        while next <= log.durableLSN {
            let slice = try log.read(from: next, maxBytes: 1 << 20, maxCount: 100)
            gaps += slice.gaps
            next = slice.nextLSN
        }
        #expect(gaps.map(\.count) == [1] && log.status.alarms.lostLSNs == 1)
    }

    @Test("a damaged header block is an alarm of its own; nothing is lost")
    func head() throws {
        let log = try open(.init(bytesPerSecond: 64 << 20, interval: .milliseconds(200)))
        defer { log.close() }
        _ = fill(log)
        try rot(directory.files(".seg")[0], at: 20)
        #expect(wait(log) { $0.alarms.damagedHeads > 0 })
        #expect(log.status.alarms.lostLSNs == 0)
    }

    @Test("segments that are freed and used again while they are read raise no alarm")
    func freed() async throws {
        let first = try open(.init(bytesPerSecond: 0))
        _ = fill(first)
        first.close()
        let log = try open(.init(bytesPerSecond: 256 << 20, interval: .milliseconds(1)))
        defer { log.close() }
        for _ in 0..<12 {
            _ = fill(log, 60)
            let plan = UploadPlan(
                sequence: log.uploadState.nextSequence, firstLSN: log.uploadState.nextPlanLSN, lastLSN: log.durableLSN)
            try await log.recordPlan(plan)
            try await log.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        }
        #expect(log.status.scrub.readBytes > 0)
        #expect(log.status.alarms.isClear, "\(log.status.alarms)")
    }

    @Test("switched off it reads nothing; slow, it keeps to its rate")
    func rate() throws {
        let off = try open(.init(bytesPerSecond: 0))
        _ = fill(off)
        #expect(!off.status.scrub.isOn && off.status.scrub.readBytes == 0)
        off.close()
        let slow = try open(.init(bytesPerSecond: 1000, interval: .seconds(100)))
        defer { slow.close() }
        #expect(wait(slow) { $0.scrub.readBytes > 0 })
        usleep(300_000)
        // The head and one window have been read, and the next is minutes away.
        #expect(slow.status.scrub.readBytes <= 512 << 10 && slow.status.scrub.segment != nil)
    }

    @Test("a read error that passes is none; one that stays is a loss that is told")
    func readErrors() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        for number in 0..<60 { _ = core.commit([Make.entry(bytes: 9000, text: "\(number)")]) }
        let view = core.view
        let check = SegmentCheck(
            disk: disk, segment: view.segments[0], limitLSN: view.limitLSN(of: 0), hasNeighbour: true)
        var faults = SimulatedDisk.Faults()
        faults.failingReads = 2
        disk.faults = faults
        #expect(try check.run { _ in true }?.isClean == true)
        faults.failingReads = 7
        disk.faults = faults
        let finding = try #require(try check.run { _ in true })
        #expect(finding.failedBlocks == 2 && finding.isHeadDamaged)
        #expect(try check.run { _ in false } == nil)
    }
}
