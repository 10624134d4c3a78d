import Glibc
import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

extension LaneCore {
    fileprivate mutating func tryToStage(_ entries: [LogEntry], isRoom: Bool = true) {
        let isStaged = stage(entries)
        #expect(isStaged == isRoom)
    }

    /// As the writer does: the second part is staged while the first is being written. One answer per entry.
    mutating func commitOverlapped(_ first: [LogEntry], _ second: [LogEntry]) -> [AppendOutcome] {
        let durable = durableLSN
        guard stage(first) else { return commit(first + second) }
        submit()
        guard stage(second) else { return commit(second) }
        #expect(isIdle || durableLSN >= durable)
        let outcomes = finish().outcomes
        submit()
        return outcomes + finish().outcomes
    }
}

@Suite("A group is staged while the one before it is written")
struct OverlapTests {
    /// What may go wrong with the write under way.
    enum Fault: CaseIterable {
        case write, sync, full

        func apply(_ disk: SimulatedDisk, count: Int) {
            var faults = SimulatedDisk.Faults()
            switch self {
            case .write: faults.failingWrites = count
            case .sync: faults.failingSyncs = count
            case .full:
                faults.failingWrites = count
                faults.errno = ENOSPC
            }
            disk.faults = faults
        }
    }

    /// Producer 7 has batch 0 in the log; 1 and a new partition are being written, 2 and another new partition staged.
    private func underWay(_ disk: SimulatedDisk) throws -> LaneCore<SimulatedDisk> {
        var (core, _) = try Make.core(disk)
        #expect(core.commit([Make.entry(producerID: 7, sequence: 0)])[0].offset == 0)
        core.tryToStage([Make.entry(producerID: 7, sequence: 1), Make.entry("first")])
        core.submit()
        core.tryToStage([Make.entry(producerID: 7, sequence: 2), Make.entry("second")])
        return core
    }

    /// The four entries again, as their producers would send them.
    private var repeated: [LogEntry] {
        [
            Make.entry(producerID: 7, sequence: 1), Make.entry("first"), Make.entry(producerID: 7, sequence: 2),
            Make.entry("second"),
        ]
    }

    private let offsets: [Int64] = [1, 0, 2, 0]

    @Test("nothing shows before it is durable, and each group is answered after its own sync")
    func visibility() throws {
        let disk = SimulatedDisk()
        var core = try underWay(disk)
        #expect(core.durableLSN == 2 && core.view.durableLSN == 2 && core.isWriting)
        #expect(core.partitions.map(\.highWatermark) == [1])
        #expect(core.state.durable.producers.count == 1 && core.counters.groups == 1)
        #expect(
            core.finish()
                == FinishedGroup(outcomes: [.appended(lsn: 3, baseOffset: 1), .appended(lsn: 4, baseOffset: 0)]))
        #expect(core.durableLSN == 4 && core.partitions.map(\.highWatermark) == [2, 1] && !core.isWriting)
        #expect(core.committed.map(\.lsn) == [3, 4])
        core.submit()
        #expect(core.durableLSN == 4)
        #expect(core.finish().outcomes == [.appended(lsn: 5, baseOffset: 2), .appended(lsn: 6, baseOffset: 0)])
        #expect(core.durableLSN == 6 && core.partitions.map(\.highWatermark) == [3, 1, 1])
        #expect(core.finish() == FinishedGroup() && core.isIdle)
        #expect(try core.readAll().batches.map(\.lsn) == [2, 3, 4, 5, 6])
        var random = SeededGenerator(seed: 1)
        disk.crash(using: &random)
        let (again, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean && report.durableLSN == 6 && report.tornTailBytes == 0)
        #expect(try again.readAll().batches.map(\.baseOffset) == [0, 1, 0, 2, 0])
    }

    @Test("more may join the staged group until it is submitted")
    func joining() throws {
        var core = try underWay(SimulatedDisk())
        core.tryToStage([Make.entry(producerID: 7, sequence: 3)])
        _ = core.finish()
        core.tryToStage([Make.entry(producerID: 7, sequence: 4)])
        core.submit()
        #expect(core.finish().outcomes.map(\.offset) == [2, 0, 3, 4])
        #expect(core.counters.groups == 3)
    }

    @Test(
        "when the write fails once, it and what was staged behind it are written again, in order",
        arguments: Fault.allCases)
    func writtenAgain(fault: Fault) throws {
        let disk = SimulatedDisk()
        var core = try underWay(disk)
        fault.apply(disk, count: 1)
        let finished = core.finish()
        #expect(finished.refusal == nil && finished.outcomes.map(\.offset) == offsets && core.isIdle)
        #expect(finished.outcomes.compactMap(\.lsn) == finished.outcomes.compactMap(\.lsn).sorted())
        #expect(core.segments.count == 2 && core.alarms.suspectSegments == 1 && !core.isFailing)
        #expect(core.committed.map(\.lsn) == finished.outcomes.compactMap(\.lsn))
        var random = SeededGenerator(seed: 3)
        disk.crash(using: &random)
        let (again, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean)
        #expect(try again.readAll().batches.map(\.baseOffset) == [0, 1, 0, 2, 0])
    }

    @Test(
        "when it fails again, both are refused, nothing of them remains, and both may come again",
        arguments: Fault.allCases)
    func refused(fault: Fault) throws {
        let disk = SimulatedDisk()
        var core = try underWay(disk)
        fault.apply(disk, count: 99)
        let finished = core.finish()
        #expect(finished.refusal != nil && finished.outcomes.count == 4 && core.isIdle && core.isFailing)
        for outcome in finished.outcomes {
            #expect(outcome == .rejected(try #require(finished.refusal)))
            if fault == .full { #expect(outcome == .rejected(.diskFull)) }
        }
        #expect(core.durableLSN == 2 && core.partitions.map(\.highWatermark) == [1] && core.committed.isEmpty)
        #expect(core.alarms.diskRejections == 4)
        core.tryToStage([Make.entry()], isRoom: false)
        disk.faults = SimulatedDisk.Faults()
        #expect(core.commit(repeated).map(\.offset) == offsets)
        #expect(try Make.core(disk, seed: 2).report.isClean)
    }

    @Test("what waits behind a refused group is refused with it")
    func behindRefusal() throws {
        let disk = SimulatedDisk()
        var core = try underWay(disk)
        // The first write and the new segment's head fail; after that the disk is well.
        Fault.write.apply(disk, count: 2)
        let outcomes = core.commit([Make.entry("third")])
        #expect(outcomes.count == 5 && outcomes.allSatisfy { $0.rejection != nil })
        #expect(core.commit(repeated).map(\.offset) == offsets)
        #expect(core.commit([Make.entry("third")], behind: .diskFull) == [.rejected(.diskFull)])
    }

    @Test("a repeat staged behind its first batch is a duplicate only once that is durable")
    func duplicate() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        let batch = Make.entry(producerID: 7, sequence: 0)
        core.tryToStage([batch])
        core.submit()
        core.tryToStage([batch])
        // There is nothing to write for it, but it has to wait all the same.
        #expect(core.finish().outcomes == [.appended(lsn: 3, baseOffset: 1)])
        let operations = disk.operations
        core.submit()
        #expect(core.finish().outcomes == [.duplicate(baseOffset: 1)])
        #expect(disk.operations == operations && core.counters.duplicates == 1)
    }

    @Test("a repeat is refused with the first batch that it repeats", arguments: Fault.allCases)
    func duplicateRefused(fault: Fault) throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        let batch = Make.entry(producerID: 7, sequence: 0)
        core.tryToStage([batch])
        core.submit()
        core.tryToStage([batch])
        fault.apply(disk, count: 99)
        let outcomes = core.finish().outcomes
        #expect(outcomes.count == 2 && outcomes.allSatisfy { $0.rejection != nil && $0.offset == nil })
        disk.faults = SimulatedDisk.Faults()
        #expect(
            core.commit([batch, batch]) == [.appended(lsn: core.durableLSN, baseOffset: 1), .duplicate(baseOffset: 1)])
    }

    @Test(
        "power goes, or the process dies, between beginning and finishing", arguments: 0..<60 as Range<UInt64>,
        [true, false])
    func dies(seed: UInt64, powerCut: Bool) throws {
        let disk = SimulatedDisk()
        do { _ = try underWay(disk) }
        var random = SeededGenerator(seed: seed)
        if powerCut { disk.crash(using: &random) } else { disk.restartProcess() }
        var (core, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean, "\(report)")
        let found = try core.readAll().batches
        // Of the group under way all, a beginning or nothing; of the one behind it nothing.
        #expect(found.map(\.lsn) == Array([2, 3, 4].prefix(found.count)) && !found.isEmpty)
        if !powerCut { #expect(found.count == 3) }
        disk.crash(using: &random)
        (core, report) = try Make.core(disk, seed: 3)
        #expect(report.isClean && core.durableLSN >= found.count + 1, "what was read once stays")
        let outcomes = core.commitOverlapped(Array(repeated[..<1]), Array(repeated[2...]))
        #expect(outcomes.map(\.offset) == [1, 2, 0])
    }

    @Test("at the end of a segment nothing is staged; the next one begins when the write is done")
    func segmentEnd() throws {
        var (core, _) = try Make.core(SimulatedDisk())
        var sent: Int64 = 0
        for _ in 0..<30 {
            let outcomes = core.commitOverlapped([Make.entry(bytes: 14_000)], [Make.entry(bytes: 14_000)])
            #expect(outcomes.map(\.offset) == [sent, sent + 1])
            sent += 2
        }
        #expect(core.segments.count > 3)
        let all = try core.readAll()
        #expect(all.gaps.isEmpty && all.batches.map(\.baseOffset) == Array(0..<sent))
        core.tryToStage([Make.entry(bytes: 14_000)])
        core.submit()
        #expect(core.stagingRoomBytes <= core.configuration.groupBytesMax)
        core.tryToStage((0..<9).map { _ in Make.entry(bytes: 5000) }, isRoom: false)
        #expect(
            core.commit((0..<9).map { _ in Make.entry(bytes: 5000) }).compactMap(\.offset) == Array(sent...sent + 9))
    }

    @Test("the quota is never overdrawn by what is staged, and its refusal comes after the answers before it")
    func quota() throws {
        var (core, _) = try Make.core(SimulatedDisk()) { $0.quotaBytes = 1 << 20 }
        var appended: Int64 = 0
        var outcomes: [AppendOutcome] = []
        for _ in 0..<100 {
            outcomes = core.commitOverlapped([Make.entry(bytes: 9000)], [Make.entry(bytes: 9000)])
            appended += Int64(outcomes.count { $0.lsn != nil })
            #expect(core.diskBytes <= core.configuration.dataQuotaBytes)
            if outcomes.contains(where: { $0.rejection != nil }) { break }
        }
        guard outcomes.count == 2, case .rejected(.quotaExceeded) = outcomes[1] else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(core.stagingRoomBytes < Make.entry(bytes: 9000).frameBytes && core.isIdle)
        let rejected = outcomes.count { $0.rejection != nil }
        #expect(core.alarms.quotaRejections == UInt64(rejected) && core.partitions[0].highWatermark == appended)
    }

    @Test("the state takes groups back from the last one, and keeps the oldest")
    func undo() throws {
        var state = LaneState(producersMax: 8, partitionsMax: 8)
        func admit(_ sequence: Int32, _ topic: String) {
            _ = state.admit(Make.entry(producerID: 7, sequence: sequence))
            _ = state.admit(Make.entry(topic))
        }
        state.begin()
        admit(0, "first")
        state.begin()
        admit(1, "second")
        #expect(state.nextLSN == 5 && state.durable.nextLSN == 1 && state.durable.partitions.count == 0)
        state.keep()
        let durable = state.durable
        #expect(durable.nextLSN == 3 && durable.partitions.rows.map(\.nextOffset) == [1, 1])
        state.rollBack()
        #expect(state.nextLSN == 3 && state.lastBatchLSN == 2 && state.partitions.rows == durable.partitions.rows)
        #expect(state.duplicate(of: Make.entry(producerID: 7, sequence: 0)) == 0)
        #expect(state.duplicate(of: Make.entry(producerID: 7, sequence: 1)) == nil)
    }
}
