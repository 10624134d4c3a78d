import Glibc
import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("A disk that fails")
struct DiskFailureTests {
    private func fail(_ disk: SimulatedDisk, _ change: (inout SimulatedDisk.Faults) -> Void) {
        var faults = SimulatedDisk.Faults()
        change(&faults)
        disk.faults = faults
    }

    @Test("one failed fsync costs a segment, not the append")
    func failedSync() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(text: "one")])
        fail(disk) { $0.failingSyncs = 1 }
        let outcome = core.commit([Make.entry(text: "two")])[0]
        #expect(outcome.offset == 1)
        #expect(core.segments.count == 2 && core.alarms.suspectSegments == 1)
        #expect(!core.isFailing)
        var random = SeededGenerator(seed: 3)
        disk.crash(using: &random)
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean)
        #expect(try core.readAll().batches.map(\.baseOffset) == [0, 1])
    }

    @Test("a write that fails twice is rejected with the reason, takes no offset, and the next one works")
    func failedTwice() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(producerID: 5, sequence: 0)])
        let lsn = core.durableLSN
        fail(disk) { $0.failingWrites = 9 }
        let outcomes = core.commit([Make.entry(producerID: 5, sequence: 1), Make.entry("new")])
        for outcome in outcomes {
            guard case .rejected(.diskFailed(let reason)) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(reason.contains("Input/output error"))
        }
        #expect(core.durableLSN == lsn && core.isFailing && core.partitions.count == 1)
        #expect(core.alarms.diskRejections == 2)
        disk.faults = SimulatedDisk.Faults()
        #expect(core.commit([Make.entry(producerID: 5, sequence: 1)])[0].offset == 1)
        #expect(!core.isFailing)
    }

    @Test(
        "what a restarted process finds although its sync had failed is made durable before it counts",
        arguments: 0..<20)
    func doubtfulTail(seed: UInt64) throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(producerID: 5, sequence: 0)])
        fail(disk) { $0.failingSyncs = 9 }
        #expect(core.commit([Make.entry(producerID: 5, sequence: 1)])[0].offset == nil)
        disk.restartProcess()
        // Here settling fails too, at first: nothing may be built on the doubtful group meanwhile.
        fail(disk) { $0.failingSyncs = seed < 10 ? 2 : 0 }
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.durableLSN == 3)
        let repeated = Make.entry(producerID: 5, sequence: 1)
        if seed < 10 {
            guard case .rejected(.diskFailed) = core.commit([repeated])[0] else {
                Issue.record("answered before it was settled")
                return
            }
        }
        #expect(
            core.commit([repeated, Make.entry(text: "next")]) == [
                .duplicate(baseOffset: 1), .appended(lsn: 4, baseOffset: 2),
            ])
        var random = SeededGenerator(seed: seed)
        disk.crash(using: &random)
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 3)
        #expect(report.isClean, "\(report)")
        #expect(try core.readAll().batches.map(\.baseOffset) == [0, 1, 2])
    }

    @Test("a plan that a restarted process finds is not confirmed, and frees nothing, before it is settled")
    func doubtfulPlan() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 2)
        fail(disk) { $0.failingSyncs = 9 }
        #expect(throws: WALError.self) { try core.recordPlan(plan) }
        disk.restartProcess()
        fail(disk) { $0.failingSyncs = 2 }
        (core, _) = try Make.core(disk, seed: 2)
        #expect(core.uploadState.openPlans == [plan])
        #expect(throws: WALError.self) { try core.recordPlan(plan) }
        try core.recordPlan(plan)
        var random = SeededGenerator(seed: 1)
        disk.crash(using: &random)
        #expect(try Make.core(disk, seed: 3).core.uploadState.openPlans == [plan])
    }

    @Test(
        "a segment removed by a process that could not sync it does not come back to bury later frames",
        arguments: 0..<30)
    func buried(seed: UInt64) throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        fail(disk) { faults in
            faults.failingSyncs = 1
            faults.failingDirectorySyncs = 2
        }
        #expect(core.commit([Make.entry(text: "refused")])[0].offset == nil)
        disk.restartProcess()
        (core, _) = try Make.core(disk, seed: 2)
        let lsn = try #require(core.commit([Make.entry(text: "acked")])[0].lsn)
        var random = SeededGenerator(seed: seed)
        disk.crash(using: &random)
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 3)
        #expect(report.isClean && core.durableLSN >= lsn, "\(report)")
    }

    @Test("a file whose removal is lost in a crash is there with its data", arguments: 0..<10)
    func removalLost(seed: UInt64) throws {
        let disk = SimulatedDisk()
        let file = try disk.create("a", sizeBytes: 4096)
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { bytes.deallocate() }
        bytes.initializeMemory(as: UInt8.self, repeating: 7)
        try disk.writeAndSync(file, UnsafeRawBufferPointer(bytes), at: 0)
        try disk.rename("a", to: "b")
        try disk.remove("b")
        var random = SeededGenerator(seed: seed)
        disk.crash(using: &random)
        for entry in try disk.list() { #expect(disk.contents(entry.name)?.allSatisfy { $0 == 7 } == true) }
    }

    @Test("what is durable is acked again though the disk fails, and nothing overtakes what the disk refused")
    func noOvertaking() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(producerID: 5, sequence: 0)])
        // The first group fails twice; the second would find the disk well again.
        fail(disk) { $0.failingSyncs = 2 }
        let bytes = core.configuration.groupBytesMax / 2
        let large = Make.entry(bytes: bytes, producerID: 6, sequence: 0)
        let next = Make.entry(bytes: bytes, producerID: 7, sequence: 0)
        let outcomes = core.commit([Make.entry(producerID: 5, sequence: 0), large, next])
        #expect(outcomes[0] == .duplicate(baseOffset: 0))
        for outcome in outcomes.dropFirst() {
            guard case .rejected(.diskFailed) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
        }
        #expect(core.alarms.diskRejections == 2)
        #expect(core.commit([large, next]).map(\.offset) == [1, 2])
    }

    @Test("failed appends without end leave no trail of segments")
    func noTrail() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        for _ in 0..<20 {
            // The head of the new segment can be written, the group cannot.
            fail(disk) { $0.failingSyncs = 1 }
            _ = core.commit([Make.entry()])
        }
        for _ in 0..<20 {
            core.mustRotate = true
            fail(disk) { $0.failingWrites = 99 }
            _ = core.commit([Make.entry()])
        }
        #expect(try disk.list().count <= 24 + core.configuration.spareSegmentsMax)
        #expect(core.diskBytes <= core.configuration.quotaBytes)
    }

    @Test("a full disk rejects with its own error, still records uploads, and heals by itself")
    func diskFull() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        disk.capacityBytes = 2 * core.configuration.segmentSizeBytes
        var accepted = 0
        var last = AppendOutcome.duplicate(baseOffset: 0)
        for number in 0..<100 {
            last = core.commit([Make.entry(bytes: 9000, text: "\(number)")])[0]
            if last.lsn == nil { break }
            accepted += 1
        }
        #expect(last == .rejected(.diskFull) && accepted > 30)
        let first = core.segments[1].firstLSN - 1
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: first))
        try core.recordUploaded(sequence: 1, lastLSN: first)
        #expect(core.commit([Make.entry(bytes: 9000)])[0].offset == Int64(accepted))
        #expect(try Make.core(disk, seed: 2).report.isClean)
    }

    @Test("control frames that fail twice say so, and repeating them works")
    func controlFails() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 2)
        fail(disk) { $0.failingWrites = 99 }
        #expect(throws: WALError.self) { try core.recordPlan(plan) }
        #expect(core.uploadState == UploadState())
        disk.faults = SimulatedDisk.Faults()
        try core.recordPlan(plan)
        #expect(core.uploadState.openPlans == [plan])
        #expect(try Make.core(disk, seed: 2).core.uploadState.openPlans == [plan])
    }

    @Test("a read error is an error first, and only if it stays a gap")
    func readErrors() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        fail(disk) { $0.failingReads = 1 }
        #expect(throws: WALError.io(DiskError(.read, "00000000000000000001.seg", errno: EIO))) {
            try core.read(from: 1, maxBytes: 1000, maxCount: 10)
        }
        #expect(try core.readAll().batches.count == 1)
    }

    @Test("a read error during recovery never makes new frames overwrite old ones")
    func readErrorAtStart() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(text: "kept")])
        fail(disk) { $0.failingReads = 4 }
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.hadReadErrors)
        _ = core.commit([Make.entry(text: "new")])
        #expect(core.segments.count == 2)
    }
}
