import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

#if canImport(Glibc)
    import Glibc
#endif

/// A file system of its own for a test, where mounting is permitted.
final class Mounted {
    let path: String
    private(set) var isMounted = false

    init() { path = NSTemporaryDirectory() + "cairn-mount-" + UUID().uuidString }

    deinit {
        if isMounted {
            _ = umount2(path, 2)
            rmdir(path)
        }
    }

    /// False, with a line that says so, where this user may not.
    func tmpfs(sizeBytes: Int) -> Bool {
        mkdir(path, 0o700)
        isMounted = mount("tmpfs", path, "tmpfs", 0, "size=\(sizeBytes)") == 0
        if !isMounted { print("skipped: mount -t tmpfs is not permitted here: \(String(cString: strerror(errno)))") }
        return isMounted
    }

    /// As a kernel does after errors: the file system stays mounted, and may not be written.
    func setReadOnly(_ isReadOnly: Bool) -> Bool {
        mount("none", path, nil, UInt(remountFlag) | (isReadOnly ? UInt(readOnlyFlag) : 0), nil) == 0
    }
    private var remountFlag: Int { 32 }
    private var readOnlyFlag: Int { 1 }
}

@Suite("A disk that is full, read-only or broken", .serialized)
struct DiskTroubleTests {
    private func open(_ path: String) throws -> (log: LaneLog, report: RecoveryReport) {
        try LaneLog.open(Make.configuration(path))
    }

    private func append(_ log: LaneLog, bytes: Int = 9000, _ text: String = "") -> AppendOutcome {
        let done = DispatchSemaphore(value: 0)
        let kept = Kept()
        log.append([Make.entry(bytes: bytes, text: text)]) { outcomes in
            kept.outcome = outcomes[0]
            done.signal()
        }
        done.wait()
        return kept.outcome ?? .rejected(.closed)
    }

    private final class Kept: @unchecked Sendable {  // Written before the semaphore is signalled, read after it.
        var outcome: AppendOutcome?
    }

    private func count(_ log: LaneLog) throws -> Int {
        var (count, next): (Int, UInt64) = (0, 1)
        while next <= log.durableLSN {
            let slice = try log.read(from: next, maxBytes: 1 << 20, maxCount: 100)
            count += slice.batches.count
            next = slice.nextLSN
        }
        return count
    }

    // MARK: Full

    @Test("vector PR 14455, mosquitto #2256: a full file system rejects, keeps what it has, and heals by itself")
    func full() throws {
        let mounted = Mounted()
        guard mounted.tmpfs(sizeBytes: 2 << 20) else { return }
        let path = mounted.path + "/lane"
        var (log, _) = try open(path)
        // Something else takes the rest of the disk.
        let filler = mounted.path + "/filler"
        FileManager.default.createFile(atPath: filler, contents: Data(count: 1_200_000))
        var accepted = 0
        var last = AppendOutcome.duplicate(baseOffset: 0)
        for number in 0..<400 {
            last = append(log, "\(number)")
            if last.lsn == nil { break }
            accepted += 1
        }
        #expect(last == .rejected(.diskFull) && accepted > 20)
        #expect(log.status.isFailing && log.status.alarms.diskRejections > 0)
        // The process restarts on the full disk: the start does not refuse, and says the same.
        log.close()
        let report: RecoveryReport
        (log, report) = try open(path)
        #expect(report.isClean, "\(report)")
        #expect(try count(log) == accepted)
        var outcome = append(log)
        if outcome.lsn != nil { accepted += 1 }
        try FileManager.default.removeItem(atPath: filler)
        for _ in 0..<5 {
            outcome = append(log)
            #expect(outcome.lsn != nil, "\(outcome)")
            accepted += 1
        }
        #expect(!log.status.isFailing)
        log.close()
        let again = try open(path)
        #expect(again.report.isClean)
        #expect(try count(again.log) == accepted)
        again.log.close()
    }

    // MARK: Read-only

    @Test("a file system that turns read-only rejects appends and serves readers, also after a restart, and heals")
    func readOnly() throws {
        let mounted = Mounted()
        guard mounted.tmpfs(sizeBytes: 8 << 20) else { return }
        let path = mounted.path + "/lane"
        _ = try SiteIdentity.open(root: mounted.path)
        let identity = try SiteIdentity.open(root: mounted.path).incarnation
        var (log, _) = try open(path)
        for number in 0..<60 { #expect(append(log, "\(number)").lsn != nil) }
        log.close()
        guard mounted.setReadOnly(true) else {
            print("skipped: remounting read-only is not permitted here: \(String(cString: strerror(errno)))")
            return
        }
        #expect(try SiteIdentity.open(root: mounted.path).incarnation == identity)
        #expect(SiteBoots.open(root: mounted.path).trouble?.contains("Read-only") == true)
        let report: RecoveryReport
        (log, report) = try open(path)
        #expect(report.gaps.isEmpty && report.unreadableSegments.isEmpty && report.segmentCount > 2, "\(report)")
        #expect(try count(log) == 60)
        guard case .rejected(.diskFailed(let reason)) = append(log) else {
            Issue.record("an append to a read-only disk was not refused")
            return
        }
        #expect(reason.contains("Read-only file system"))
        #expect(throws: WALError.locked(path: path + "/lock")) { try self.open(path) }
        #expect(try Inspection.verify(directory: path).isClean)
        #expect(mounted.setReadOnly(false))
        #expect(append(log, "healed").lsn != nil)
        #expect(!log.status.isFailing)
        // The index, which could not be opened, is there again without a restart.
        for _ in 0..<400 where log.indexedLSN < log.durableLSN { usleep(20_000) }
        #expect(try log.fetch(topic: "gnss", partition: 0, offset: 3, maxBytes: 1).batches.first?.baseOffset == 3)
        log.close()
        let again = try open(path)
        #expect(again.report.isClean)
        #expect(try count(again.log) == 61)
        again.log.close()
    }

    @Test("EROFS in the middle of running, on the simulated disk: refused with the reason, nothing lost, healed")
    func readOnlySimulated() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        for number in 0..<50 { _ = core.commit([Make.entry(bytes: 9000, text: "\(number)")]) }
        var faults = SimulatedDisk.Faults()
        faults.isReadOnly = true
        disk.faults = faults
        for _ in 0..<3 {
            guard case .rejected(.diskFailed(let reason)) = core.commit([Make.entry()])[0] else {
                Issue.record("not refused")
                return
            }
            #expect(reason.contains("Read-only"))
        }
        disk.restartProcess()
        disk.faults = faults
        let report: RecoveryReport
        (core, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean && core.durableLSN > 50)
        #expect(try core.readAll().batches.count == 50)
        #expect(core.commit([Make.entry()])[0].rejection != nil)
        disk.faults = SimulatedDisk.Faults()
        #expect(core.commit([Make.entry()])[0].offset == 50)
    }

    // MARK: EIO

    @Test(
        "EIO when a segment is opened at the start: tried again, and if it stays a gap that is told; nothing written over"
    )
    func openErrors() throws {
        for failures in [2, 3] {
            let disk = SimulatedDisk()
            var (core, _) = try Make.core(disk)
            for number in 0..<80 { _ = core.commit([Make.entry(bytes: 9000, text: "\(number)")]) }
            let before = core.segments.map { disk.contents(SegmentName.live($0.sequence)) }
            var faults = SimulatedDisk.Faults()
            faults.failingOpens = failures
            disk.faults = faults
            let report: RecoveryReport
            (core, report) = try Make.core(disk, seed: 2)
            #expect(report.notes.isEmpty == (failures == 2))
            #expect(core.commit([Make.entry(text: "new")])[0].offset == 80)
            // Whole again when the device is: the file was not touched.
            #expect(disk.contents(SegmentName.live(1)) == before[0])
            #expect(try Make.core(disk, seed: 3).core.readAll().batches.count == 81)
        }
    }

    @Test("blocks that can be read and not written do not keep a lane closed for ever")
    func stuckTail() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry(producerID: 5, sequence: 0)])
        disk.restartProcess()
        var faults = SimulatedDisk.Faults()
        // Only settling writes until it gives up; then the new segment can be written.
        faults.failingWrites = 16
        disk.faults = faults
        (core, _) = try Make.core(disk, seed: 2)
        for _ in 0..<14 { #expect(core.commit([Make.entry(text: "x")])[0].rejection != nil) }
        let outcome = core.commit([Make.entry(text: "x")])[0]
        #expect(outcome.offset == 1, "\(outcome)")
        #expect(core.segments.count == 2 && core.alarms.suspectSegments == 1)
        #expect(core.commit([Make.entry(producerID: 5, sequence: 0)])[0] == .duplicate(baseOffset: 0))
        #expect(try Make.core(disk, seed: 3).report.isClean)
    }

    // MARK: Index

    private func lane() throws -> TemporaryDirectory {
        let directory = TemporaryDirectory()
        let log = try open(directory.path).log
        for number in 0..<30 { _ = append(log, "\(number)") }
        log.close()
        return directory
    }

    private func reads(_ log: LaneLog) -> Bool {
        for _ in 0..<400 {
            let fetched = try? log.fetch(topic: "gnss", partition: 0, offset: 3, maxBytes: 1)
            if fetched?.batches.first?.baseOffset == 3 { return true }
            usleep(20_000)
        }
        return false
    }

    @Test("an index that another process has locked holds up nothing, and is used when it is free again")
    func indexLocked() throws {
        let directory = try lane()
        var other: SQLiteConnection? = try SQLiteConnection(path: directory.path + "/index.sqlite")
        try other?.execute("PRAGMA locking_mode = EXCLUSIVE")
        try other?.execute("BEGIN EXCLUSIVE")
        try other?.execute("INSERT OR REPLACE INTO meta VALUES('held', 1)")
        let (log, report) = try open(directory.path)
        #expect(report.isClean && report.durationMs < 2000)
        #expect(append(log).lsn != nil)
        #expect(try count(log) == 31)
        #expect((try? log.fetch(topic: "gnss", partition: 0, offset: 3, maxBytes: 1)) == nil)
        try other?.execute("ROLLBACK")
        other = nil
        #expect(reads(log))
        log.close()
        #expect(directory.files(".broken").isEmpty)
    }

    @Test("an index that is a directory is put aside and made anew")
    func indexIsDirectory() throws {
        let directory = try lane()
        for name in directory.files("index.sqlite") + directory.files("-wal") + directory.files("-shm") {
            try directory.remove(name)
        }
        try FileManager.default.createDirectory(
            atPath: directory.path + "/index.sqlite", withIntermediateDirectories: true)
        let (log, _) = try open(directory.path)
        #expect(append(log).lsn != nil)
        #expect(reads(log))
        log.close()
    }

    // MARK: Identity

    @Test(
        "mosquitto #2639: an identity file of zeros after a power cut is restored from its copy",
        arguments: ["incarnation", "incarnation.copy"])
    func identity(name: String) throws {
        let directory = TemporaryDirectory()
        let incarnation = try SiteIdentity.open(root: directory.path).incarnation
        for damage in [Data(repeating: 0, count: 33), Data(), Data("feed".utf8), nil] {
            if let damage { try directory.write(name, damage) } else { try directory.remove(name) }
            let opened = try SiteIdentity.open(root: directory.path)
            #expect(opened.incarnation == incarnation)
            #expect((opened.replaced == nil) == (damage == nil && name == "incarnation.copy"))
            #expect(try SiteIdentity.open(root: directory.path).replaced == nil)
        }
    }
}
