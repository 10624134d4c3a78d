import Foundation
import NIOCore
import Testing

@testable import WriteAheadLog

/// vector #19154: the only mending of a damaged buffer is deleting gigabytes. vector #20561: a check that passes over a
/// corrupt buffer.
@Suite("Salvaging damaged lanes")
struct SalvageTests {
    private let root = TemporaryDirectory()
    private var lane: String { root.path + "/lane" }
    private var target: String { root.path + "/saved" }

    /// Four or more segments in a real directory, with some uploaded; every batch by LSN.
    private func fill(groups: Int = 40) throws -> [UInt64: ByteBuffer] {
        let disk = SimulatedDisk()
        var (core, _) = try Make.core(disk)
        var batches: [UInt64: ByteBuffer] = [:]
        for group in 0..<groups {
            let entries = (0..<3).map { number in
                Make.entry(
                    partition: Int32(number % 2), bytes: 7000, text: "\(group) \(number)", producerID: Int64(number),
                    sequence: Int32(group))
            }
            for (entry, outcome) in zip(entries, core.commit(entries)) {
                batches[try #require(outcome.lsn)] = entry.batch
            }
        }
        let plan = UploadPlan(sequence: 1, firstLSN: 1, lastLSN: 4)
        try core.recordPlan(plan)
        try core.recordUploaded(sequence: 1, lastLSN: 4)
        try core.recordPlan(UploadPlan(sequence: 2, firstLSN: 5, lastLSN: 9))
        try FileManager.default.createDirectory(atPath: lane, withIntermediateDirectories: true)
        for entry in try disk.list() {
            let bytes = Data(try #require(disk.contents(entry.name)))
            try bytes.write(to: URL(fileURLWithPath: lane + "/" + entry.name))
        }
        return batches
    }

    private func edit(_ name: String, _ change: (inout Data) -> Void) throws {
        let url = URL(fileURLWithPath: lane + "/" + name)
        var bytes = try Data(contentsOf: url)
        change(&bytes)
        try bytes.write(to: url)
    }

    private var segments: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: lane)) ?? []).filter { $0.hasSuffix(".seg") }.sorted()
    }

    /// What a lane opened on `target` reads, with every promise of salvage checked on the way.
    private func check(_ report: SalvageReport, _ batches: [UInt64: ByteBuffer]) throws -> [UInt64: ByteBuffer] {
        let verified = try Inspection.verify(directory: target)
        #expect(verified.quarantined.isEmpty && verified.unreadableSegments.isEmpty && verified.invalidBatches.isEmpty)
        #expect(verified.tornTailBytes == 0 && verified.notes.isEmpty)
        let (log, recovery) = try LaneLog.open(Make.configuration(target))
        defer { log.close() }
        #expect(
            recovery.quarantined.isEmpty && recovery.unreadableSegments.isEmpty && recovery.notes.isEmpty, "\(recovery)"
        )
        var found: [UInt64: ByteBuffer] = [:]
        var next: UInt64 = 1
        while next <= log.durableLSN {
            let slice = try log.read(from: next, maxBytes: 1 << 20, maxCount: 50)
            for batch in slice.batches {
                #expect(batch.batch == batches[batch.lsn])
                found[batch.lsn] = batch.batch
            }
            next = slice.nextLSN
        }
        // Each batch is there or in the list of losses, never both.
        // What was before the first segment that is left is lost if it was not uploaded, through LSN 4 here.
        for lsn in batches.keys where lsn >= report.firstLSN || lsn > 4 {
            let isLost = report.lost.contains { $0.firstLSN <= lsn && lsn <= $0.lastLSN }
            #expect((found[lsn] == nil) == isLost, "LSN \(lsn)")
        }
        #expect(report.batchCount == found.count)
        let done = DispatchSemaphore(value: 0)
        let highest = batches.keys.max() ?? 0
        log.append([Make.entry(text: "after")]) { outcomes in
            #expect(outcomes[0].lsn ?? 0 > highest)
            done.signal()
        }
        done.wait()
        return found
    }

    @Test("an undamaged lane comes out whole: batches, offsets, producers, plans and uploads")
    func whole() throws {
        let batches = try fill()
        let report = try Salvage.run(directory: lane, to: target)
        #expect(report.isWhole && report.batchCount == batches.count && report.foreign.isEmpty, "\(report)")
        let (before, after) = (try Inspection.inspect(directory: lane), try Inspection.inspect(directory: target))
        #expect(after.partitions == before.partitions && after.uploads == before.uploads)
        #expect(after.producerCount == before.producerCount)
        #expect(after.uploads.openPlans == [UploadPlan(sequence: 2, firstLSN: 5, lastLSN: 9)])
        #expect(try check(report, batches).count == batches.count)
    }

    @Test("without a target it only says what there is, and changes nothing")
    func listing() throws {
        _ = try fill()
        let before = try FileManager.default.contentsOfDirectory(atPath: lane).sorted()
        let report = try Salvage.run(directory: lane, to: nil)
        #expect(report.writtenTo == nil && report.isWhole && report.segments.count == segments.count)
        #expect(try FileManager.default.contentsOfDirectory(atPath: lane).sorted() == before)
    }

    @Test("a destroyed group header loses nothing: the frames behind it verify by themselves")
    func groupHeader() throws {
        let batches = try fill()
        var scanned = try LaneWalk(directory: lane, keys: nil)
        var starts: [Int] = []
        try scanned.walk { place, item in
            if place == 1, case .frame(let frame) = item, frame.header.kind == .batch {
                starts.append(frame.groupOffset)
            }
        }
        scanned = try LaneWalk(directory: lane, keys: nil)
        let start = starts[4]
        try edit(segments[1]) { $0.replaceSubrange(start..<start + 48, with: Data(repeating: 0xEE, count: 48)) }
        #expect(try Inspection.verify(directory: lane).gaps.map(\.count) == [3])
        let report = try Salvage.run(directory: lane, to: target)
        #expect(report.isWhole, "\(report)")
        #expect(try check(report, batches).count == batches.count)
    }

    @Test("lost header, foreign files, a wrong name, a second copy and a torn end together")
    func mixed() throws {
        let batches = try fill()
        let names = segments
        try edit(names[0]) { $0.replaceSubrange(0..<4096, with: Data(count: 4096)) }
        try edit(names[1]) { $0.replaceSubrange(0..<12288, with: Data(count: 12288)) }
        try FileManager.default.moveItem(atPath: lane + "/" + names[2], toPath: lane + "/lost+found-17")
        try FileManager.default.copyItem(atPath: lane + "/" + names[0], toPath: lane + "/copy.bak")
        try Data("not ours".utf8).write(to: URL(fileURLWithPath: lane + "/notes.txt"))
        try Data(count: 100_000).write(to: URL(fileURLWithPath: lane + "/zeros"))
        try edit(try #require(names.last)) { $0.removeLast($0.count - 4096 * 30 - 77) }
        let report = try Salvage.run(directory: lane, to: target)
        #expect(report.foreign == ["notes.txt", "zeros"])
        #expect(report.segments.count == names.count)
        #expect(report.notes.contains { $0.hasPrefix("copy.bak: another copy") })
        let found = try check(report, batches)
        #expect(found.count > batches.count * 2 / 3)
    }

    @Test("a missing segment is named by LSN and by offsets")
    func missing() throws {
        let batches = try fill()
        let names = segments
        let inspected = try Inspection.inspect(directory: lane)
        try FileManager.default.removeItem(atPath: lane + "/" + names[1])
        let report = try Salvage.run(directory: lane, to: target)
        #expect(
            report.lost == [
                LSNGap(firstLSN: inspected.segments[1].firstLSN, lastLSN: inspected.segments[2].firstLSN - 1)
            ])
        #expect(report.lostOffsets.map(\.partition).sorted() == [0, 1])
        let lostRecords = report.lostOffsets.reduce(0) { $0 + Int($1.lastOffset - $1.firstOffset + 1) }
        #expect(try check(report, batches).count == batches.count - lostRecords)
    }

    @Test(
        "random damage of every kind: what verifies is had, what is lost is told, nothing wrong comes out",
        arguments: 0..<24 as Range<UInt64>)
    func random(seed: UInt64) throws {
        let batches = try fill()
        var random = SeededGenerator(seed: seed)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard let name = segments.randomElement(using: &random) else { break }
            let kind = Int.random(in: 0...5, using: &random)
            if kind == 5, segments.count > 2 {
                try FileManager.default.removeItem(atPath: lane + "/" + name)
                continue
            }
            try edit(name) { bytes in
                guard bytes.count > 8192 else { return }
                let at = Int.random(in: 0..<bytes.count - 4096, using: &random)
                switch kind {
                case 0: for _ in 0..<20 { bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 0x11 }
                case 1: bytes.replaceSubrange(at..<at + 4096, with: Data(count: 4096))
                case 2:
                    bytes.replaceSubrange(
                        at..<at + 700, with: Data((0..<700).map { _ in UInt8.random(in: 0...255, using: &random) }))
                case 3: bytes.removeLast(bytes.count - at)
                default:
                    bytes.replaceSubrange(0..<min(bytes.count, 20_000), with: Data(count: min(bytes.count, 20_000)))
                }
            }
        }
        let report = try Salvage.run(directory: lane, to: target)
        // The last segment's end may be lost without anybody knowing how far it went: those are not in the list.
        let known = batches.filter { $0.key <= report.lastLSN }
        #expect(try check(report, known).count > 0)
    }

    @Test("a lane in use, and a target that holds something, are refused")
    func refused() throws {
        _ = try fill()
        let log = try LaneLog.open(Make.configuration(lane)).log
        #expect(throws: WALError.locked(path: lane + "/lock")) { try Salvage.run(directory: lane, to: target) }
        log.close()
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        try Data("x".utf8).write(to: URL(fileURLWithPath: target + "/something"))
        #expect(throws: WALError.self) { try Salvage.run(directory: lane, to: target) }
        #expect(throws: WALError.self) { try Salvage.run(directory: root.path + "/nowhere", to: nil) }
    }
}
