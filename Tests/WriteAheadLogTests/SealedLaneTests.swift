import Foundation
import KafkaProtocol
import NIOCore
import Sealing
import Testing

@testable import WriteAheadLog

/// Everything that reads a lane from outside or by offset, on sealed segments of a real file system.
@Suite("A sealed lane on the real file system")
struct SealedLaneTests {
    private let root = TemporaryDirectory()
    private var lane: String { root.path + "/test" }
    private static let mark = "not for strangers"

    private func open(
        _ sealing: LogSealing?, _ change: (inout LaneConfiguration) -> Void = { _ in }
    ) throws -> (log: LaneLog, report: RecoveryReport) {
        var configuration = Make.configuration(lane)
        change(&configuration)
        return try LaneLog.openBeside(configuration, sealing: sealing)
    }

    /// Two topics, in groups of several entries.
    @discardableResult
    private func fill(_ log: LaneLog, from first: Int = 0, groups: Int = 30) async -> [LogEntry] {
        var sent: [LogEntry] = []
        for number in first..<first + groups {
            let entries = (0..<4).map {
                Make.entry("t\($0 % 2)", records: 2, bytes: 4000, text: "\(Self.mark) \(number) \($0)")
            }
            let outcomes = await log.append(entries)
            #expect(outcomes.allSatisfy { $0.offset != nil })
            sent += entries
        }
        return sent
    }

    private func files(_ directory: String) throws -> [String: Data] {
        var all: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name != "lock" {
            all[name] = FileManager.default.contents(atPath: directory + "/" + name)
        }
        return all
    }

    private func checkFetches(_ log: LaneLog, _ sent: [LogEntry]) throws {
        for topic in ["t0", "t1"] {
            let batches = try log.fetchAll(topic)
            let expected = sent.filter { $0.topic == topic }
            #expect(batches.count == expected.count)
            for (batch, entry) in zip(batches, expected) {
                var patched = entry.batch
                RecordBatch.setBaseOffset(batch.baseOffset, leaderEpoch: 0, in: &patched, at: patched.readerIndex)
                #expect(batch.batch == patched)
            }
        }
    }

    @Test("fetches by offset work from the list, from the index, and after the index was made anew")
    func fetch() async throws {
        let sealing = try Make.sealing("a")
        var (log, _) = try open(sealing)
        let sent = await fill(log)
        try checkFetches(log, sent)
        try await log.waitForIndex()
        log.close()
        (log, _) = try open(sealing)
        #expect(log.status.keyID == "a")
        try checkFetches(log, sent)
        #expect(try log.offset(topic: "t0", partition: 0, timestampMs: 1_700_000_000_000)?.offset == 0)
        log.close()
        try FileManager.default.removeItem(atPath: lane + "/index.sqlite")
        (log, _) = try open(sealing)
        try await log.waitForIndex()
        try checkFetches(log, sent)
        log.close()
        for (name, bytes) in try files(lane) { #expect(bytes.range(of: Data(Self.mark.utf8)) == nil, "\(name)") }
        let ring = try Make.ring("a")
        #expect(throws: WALError.self) { try Inspection.rebuildIndex(directory: lane) }
        #expect(try Inspection.rebuildIndex(directory: lane, keys: ring).batchCount == sent.count)
        (log, _) = try open(sealing)
        try checkFetches(log, sent)
        log.close()
    }

    @Test("inspect, verify and the count of needed keys tell what is there, with the keys and without")
    func inspection() async throws {
        var (log, _) = try open(nil)
        let plain = await fill(log, groups: 3)
        log.close()
        (log, _) = try open(try Make.sealing("a"))
        let sealed = await fill(log, from: 3)
        log.close()
        let ring = try Make.ring("b", "a")
        let verified = try Inspection.verify(directory: lane, keys: ring)
        #expect(verified.isClean && verified.batchCount == plain.count + sealed.count, "\(verified)")
        let inspected = try Inspection.inspect(directory: lane, keys: ring)
        #expect(inspected.segments.first?.keyID == nil && inspected.segments.last?.keyID == "a")
        #expect("\(inspected)".contains("sealed with key a"))
        #expect(try Inspection.obstacle(directory: lane, keys: ring) == nil)

        let without = try Inspection.verify(directory: lane)
        #expect(!without.isClean && without.untouchable?.reason == .noKeys(id: "a"))
        #expect(without.batchCount == plain.count)
        #expect(try Inspection.obstacle(directory: lane, keys: nil)?.reason == .noKeys(id: "a"))
        let needs = try LaneKeyNeeds(directory: lane)
        #expect(needs.plain == 1 && needs.byKey == ["a": inspected.segments.count - 1] && needs.unknown == 0)
    }

    @Test("without the key the lane goes on beside, sealed with the key there is; with it both are there")
    func beside() async throws {
        var (log, _) = try open(try Make.sealing("a"))
        let sent = await fill(log, groups: 3)
        log.close()
        let before = try files(lane)
        for _ in 0..<2 {
            let (other, report) = try open(try Make.sealing("b"))
            #expect(other.laneName == "test-v1" && other.status.keyID == (report.segmentCount == 0 ? nil : "b"))
            #expect(report.leftUntouched.map(\.reason) == [.keyMissing(id: "a")] && !report.isClean)
            #expect(other.status.alarms.untouched?.contains("sealed with key a, which is not in the key file") == true)
            await fill(other, groups: 1)
            other.close()
        }
        #expect(try files(lane) == before)
        let (none, report) = try open(nil)
        #expect(none.laneName == "test-v1-2" && report.leftUntouched.count == 2)
        none.close()
        let both = try Make.sealing("b", "a")
        (log, _) = try open(both)
        #expect(log.laneName == "test" && log.status.alarms.untouched == nil)
        try checkFetches(log, sent)
        log.close()
        var configuration = Make.configuration(lane + "-v1")
        configuration.name = "test-v1"
        let (second, _) = try LaneLog.open(configuration, sealing: both)
        #expect(try second.fetchAll("t0").count == 4)
        second.close()
    }

    @Test("salvage gets all groups but the damaged one out of a sealed lane, and writes a sealed one")
    func salvage() async throws {
        let sealing = try Make.sealing("a")
        let (log, _) = try open(sealing)
        let sent = await fill(log)
        let view = log.published.view
        log.close()
        let ring = try Make.ring("new", "a")
        // In the middle of a group of the first segment.
        let victim = lane + "/" + SegmentName.live(view.segments[0].sequence)
        var bytes = try Data(contentsOf: URL(fileURLWithPath: victim))
        bytes[70_000] ^= 1
        try bytes.write(to: URL(fileURLWithPath: victim))
        let target = root.path + "/saved"
        let report = try Salvage.run(directory: lane, to: target, keys: ring)
        #expect(!report.isWhole && report.lost.reduce(0) { $0 + $1.count } == 4, "\(report)")
        #expect(report.batchCount == sent.count - 4)
        let needs = try LaneKeyNeeds(directory: target)
        #expect(needs.plain == 0 && needs.unknown == 0 && Array(needs.byKey.keys) == ["new"])
        for (name, bytes) in try files(target) { #expect(bytes.range(of: Data(Self.mark.utf8)) == nil, "\(name)") }
        var configuration = Make.configuration(target)
        configuration.name = "test"
        let (saved, recovery) = try LaneLog.open(configuration, sealing: try Make.sealing("new"))
        #expect(recovery.leftUntouched.isEmpty)
        let known = Set(sent.map { Array($0.batch.readableBytesView) })
        var read = 0
        var next: UInt64 = 1
        while next <= saved.durableLSN {
            let slice = try saved.read(from: next, maxBytes: 50_000, maxCount: 50)
            for batch in slice.batches { #expect(known.contains(Array(batch.batch.readableBytesView))) }
            read += slice.batches.count
            next = slice.nextLSN
        }
        saved.close()
        #expect(read == sent.count - 4)
        let without = try Salvage.run(directory: lane, to: nil)
        #expect(without.batchCount == 0 && without.notes.contains { $0.contains("sealed with key a") })
    }

    @Test("the scrubber finds rot in a sealed segment and in the record of its key, and calls nothing rot that is none")
    func scrub() async throws {
        let sealing = try Make.sealing("a")
        let (log, _) = try open(sealing)
        await fill(log)
        let view = log.published.view
        let first = view.segments[0]
        let check = SegmentCheck(
            disk: log.reader.disk, segment: first, limitLSN: view.limitLSN(of: 0), hasNeighbour: true)
        #expect(try check.run { _ in true }?.isClean == true)
        log.close()
        let path = lane + "/" + SegmentName.live(first.sequence)
        let pristine = try Data(contentsOf: URL(fileURLWithPath: path))
        for (place, isHead) in [(70_000, false), (100, true)] {
            var bytes = pristine
            bytes[place] ^= 4
            try bytes.write(to: URL(fileURLWithPath: path))
            let finding = try #require(try check.run { _ in true })
            #expect(finding.isHeadDamaged == isHead && finding.gaps.isEmpty == isHead)
        }
    }

    @Test("readers that come back for one frame after another open a group once")
    func openedGroups() async throws {
        let sealing = try Make.sealing("a")
        let (log, _) = try open(sealing)
        await fill(log, groups: 2)
        let segment = log.published.view.segments[0]
        let place = OpenedGroups.Place(sequence: segment.sequence, salt: segment.salt)
        let groups = OpenedGroups()
        let window = ScanWindow(disk: log.reader.disk)
        var scan = SegmentScan(
            window: window, segment: segment, endBytes: segment.endBytes, expectedLSN: 1, openedGroups: groups)
        var offsets: [Int] = []
        while case .frame(let frame)? = try scan.next() { offsets.append(frame.offset) }
        let kept = offsets.compactMap { groups.group(holding: $0, of: place) }
        // The checkpoint's group has one frame and is not kept.
        #expect(kept.count == 8 && Set(kept.map(ObjectIdentifier.init)).count == 2)
        #expect(groups.group(holding: offsets[1], of: OpenedGroups.Place(sequence: 2, salt: segment.salt)) == nil)
        log.close()
    }
}
