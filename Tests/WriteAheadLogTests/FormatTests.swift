import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

/// "WAL format readable by the previous slot (rollback) and older binary refuses cleanly": the gateway checklist of the
/// field notes. mosquitto #3160: a broker that meets a store of another version refuses to start.
@Suite("Segments of newer programs")
struct FormatTests {
    private let directory = TemporaryDirectory()

    /// A lane with some closed segments, spares and an index, closed in order.
    private func fill(_ path: String, name: String = "test") throws {
        var configuration = Make.configuration(path)
        configuration.name = name
        let log = try LaneLog.open(configuration).log
        let done = DispatchSemaphore(value: 0)
        log.append((0..<90).map { Make.entry(bytes: 9000, text: "\($0)") }) { outcomes in
            for outcome in outcomes { #expect(outcome.lsn != nil) }
            done.signal()
        }
        done.wait()
        log.close()
    }

    private func files(_ path: String) throws -> [String: Data] {
        var found: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: path) {
            found[name] = FileManager.default.contents(atPath: path + "/" + name)
        }
        return found
    }

    private func setFormat(_ path: String, version: UInt32, mustUnderstand: UInt32 = 0, mayIgnore: UInt32 = 0) throws {
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
        bytes.setFormat(version: version, mustUnderstand: mustUnderstand, mayIgnore: mayIgnore)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
    }

    @Test(
        "a segment of a newer version, or with a feature that must be understood, is refused and not a byte is changed",
        arguments: [(UInt32(2), UInt32(0)), (1, 4)])
    func refused(version: UInt32, flags: UInt32) throws {
        try fill(directory.path)
        try directory.write("00000000000000000099.tmp", Data("unfinished".utf8))
        let newest = try #require(directory.files(".seg").last)
        try setFormat(directory.path + "/" + newest, version: version, mustUnderstand: flags)
        let before = try files(directory.path)
        let newer = UntouchableSegments(
            directory: directory.path, sequences: [try #require(SegmentName.sequence(newest))],
            reason: .newerFormat(NewerFormat(version: version, flags: flags)))
        #expect(throws: WALError.untouchable(newer)) { try LaneLog.open(Make.configuration(directory.path)) }
        #expect(throws: WALError.untouchable(newer)) { try Inspection.rebuildIndex(directory: directory.path) }
        let verified = try Inspection.verify(directory: directory.path)
        #expect(verified.untouchable == newer && !verified.isClean)
        #expect(try files(directory.path) == before)
    }

    @Test("a feature that may be ignored is ignored, and kinds of frames that are not known are passed over")
    func ignored() throws {
        let disk = SimulatedDisk()
        var segment = RawSegment(
            SegmentHeader(sequence: 1, salt: 77, segmentSizeBytes: 256 << 10, firstLSN: 1, bootEpoch: 3))
        segment.add([Make.entry(text: "before")], baseOffset: 0, bootEpoch: 3)
        segment.add(kind: 200, payload: ByteBuffer(string: "of the future"), bootEpoch: 3)
        segment.add([Make.entry(text: "after")], baseOffset: 1, bootEpoch: 4)
        var bytes = segment.padded
        bytes.setFormat(version: 1, mayIgnore: 0xFF)
        disk.place(SegmentName.live(1), bytes)
        var (core, report) = try Make.core(disk)
        #expect(report.isClean && report.tornTailBytes == 0 && report.durableLSN == 4)
        #expect(core.bootEpoch == 5)
        #expect(core.commit([Make.entry(text: "now")])[0] == .appended(lsn: 5, baseOffset: 2))
        let all = try core.readAll()
        #expect(all.gaps.isEmpty && all.batches.map(\.lsn) == [2, 4, 5])
        #expect(all.batches.map(\.bootEpoch) == [3, 4, 5])
        // Also in front of the last group, where a bad frame would be cut as a torn write.
        #expect(try Make.core(disk, seed: 2).report.isClean)
    }

    @Test("a flipped bit in the version is damage, not a newer format", arguments: 0..<32)
    func flippedVersion(bit: Int) throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        disk.corrupt(SegmentName.live(1), at: 8 + bit / 8) { $0 ^= 1 << UInt8(bit % 8) }
        let (reopened, report) = try Make.core(disk, seed: 2)
        #expect(report.isClean)
        #expect(try reopened.readAll().batches.count == 1)
    }

    @Test("with its header lost, groups of a newer version still tell")
    func newerGroups() throws {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        _ = core.commit([Make.entry()])
        var bytes = try #require(disk.contents(SegmentName.live(1)))
        bytes.replaceSubrange(0..<4096, with: [UInt8](repeating: 0, count: 4096))
        bytes.withUnsafeMutableBytes { bytes in
            let group = UnsafeMutableRawBufferPointer(rebasing: bytes[4096...])
            group.set(GroupHeader.sealedVersion + 1, at: 8)
            let salt = UnsafeRawBufferPointer(group).field(UInt64.self, at: 40)
            group.set(GroupHeader.checksum(UnsafeRawBufferPointer(group), salt: salt), at: 4)
        }
        disk.place(SegmentName.live(1), bytes)
        let operations = disk.operations
        #expect(throws: WALError.self) { try Make.core(disk, seed: 2) }
        #expect(disk.operations == operations && disk.contents(SegmentName.live(1)) == bytes)
    }

    @Test(
        "mosquitto #3160: rolled back, the lane goes on beside what the newer program wrote; rolled forward, both are there"
    )
    func beside() throws {
        let lane = directory.path + "/test"
        try fill(lane)
        let newest = lane + "/" + (try #require(try files(lane).keys.filter { $0.hasSuffix(".seg") }.max()))
        try setFormat(newest, version: 9)
        let before = try files(lane)
        for start in 0..<3 {
            let (log, report) = try LaneLog.openBeside(Make.configuration(lane))
            #expect(log.laneName == "test-v1" && log.configuration.directory == lane + "-v1")
            #expect(report.leftUntouched.map(\.reason) == [.newerFormat(NewerFormat(version: 9))])
            #expect(log.status.alarms.untouchedDirectories == 1)
            #expect(log.status.alarms.untouched?.contains("format 9") == true)
            let done = DispatchSemaphore(value: 0)
            log.append([Make.entry(text: "\(start)")]) { outcomes in
                #expect(outcomes[0].offset == Int64(start))
                done.signal()
            }
            done.wait()
            log.close()
        }
        #expect(try files(lane) == before)
        // The one beside is of the newer format as well by now, after another turn forward and back.
        let second = lane + "-v1/" + SegmentName.live(1)
        try setFormat(second, version: 9)
        let (third, report) = try LaneLog.openBeside(Make.configuration(lane))
        #expect(third.laneName == "test-v1-2" && report.leftUntouched.count == 2)
        third.close()
        for path in [newest, second] { try setFormat(path, version: 1) }
        for name in ["test", "test-v1"] {
            let (log, report) = try LaneLog.openBeside(Make.configuration(directory.path + "/" + name))
            #expect(report.isClean)
            #expect(try log.read(from: 1, maxBytes: 1 << 20, maxCount: 1).batches.count == 1)
            log.close()
        }
    }
}
