import Foundation
import KafkaProtocol
import NIOCore
import Testing

@testable import WriteAheadLog

@Suite("The SQLite index is only an index")
struct IndexTests {
    private let directory = TemporaryDirectory()
    private let file = IndexSchema.fileName

    /// 60 batches of two topics in several segments, closed in order.
    private func prepare() async throws -> [ByteBuffer] {
        let (log, _) = try openLane(directory)
        var batches: [ByteBuffer] = []
        for number in 0..<60 {
            let entry = Make.entry("even-odd-\(number % 2)", bytes: 8000, text: "\(number)")
            batches.append(entry.batch)
            #expect(await log.append([entry])[0].lsn != nil)
        }
        log.close()
        return batches
    }

    /// Everything is there by offset, and new appends go on.
    private func check(_ log: LaneLog, _ batches: [ByteBuffer]) async throws {
        try await log.waitForIndex()
        for topic in 0...1 {
            let fetched = try log.fetchAll("even-odd-\(topic)")
            #expect(fetched.count == 30)
            for (place, batch) in fetched.enumerated() {
                #expect(
                    try RecordBatch.validateOne(batch.batch).crc
                        == RecordBatch.validateOne(batches[place * 2 + topic]).crc)
            }
        }
        #expect(await log.append([Make.entry("even-odd-0")])[0].offset == 30)
        #expect(try log.fetchAll("even-odd-0", from: 30).count == 1)
    }

    @Test("bits that flip in it cost nothing of the log, and make nothing up", arguments: 0..<24)
    func flipped(seed: UInt64) async throws {
        let batches = try await prepare()
        let before = try openLane(directory)
        let lsn = before.log.durableLSN
        before.log.close()
        var random = SeededGenerator(seed: seed)
        var data = directory.contents(file)
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            data[Int.random(in: data.indices, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        try directory.write(file, data)
        let (log, report) = try openLane(directory)
        #expect(report.gaps.isEmpty && report.quarantined.isEmpty)
        #expect(log.durableLSN <= lsn + 2)
        // As the uplink reads it.
        var read: [UInt32] = []
        var next: UInt64 = 1
        while next <= log.durableLSN {
            let slice = try log.read(from: next, maxBytes: 1 << 20, maxCount: 100)
            #expect(slice.gaps.isEmpty)
            read += try slice.batches.map { try RecordBatch.validateOne($0.batch).crc }
            guard slice.nextLSN > next else { break }
            next = slice.nextLSN
        }
        #expect(try read == batches.map { try RecordBatch.validateOne($0).crc })
        #expect(await log.append([Make.entry("even-odd-0")])[0].offset == 30)
        log.close()
    }

    @Test("the mark of how far it goes is believed only as far as rows show it")
    func flippedMark() async throws {
        let batches = try await prepare()
        let connection = try SQLiteConnection(path: directory.path + "/" + file)
        try connection.execute("UPDATE meta SET value = value + 4294967296 WHERE key = 'indexed_through_lsn'")
        try connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        let (log, report) = try openLane(directory)
        #expect(report.gaps.isEmpty, "\(report.gaps)")
        try await check(log, batches)
        log.close()
    }

    @Test("offsets of a damaged frame that nothing else remembers are not given out again, and the loss is described")
    func offsetsOfTheLost() async throws {
        var (log, _) = try openLane(directory)
        _ = await log.append([Make.entry("first", bytes: 3000, text: "lost")])
        _ = await log.append([Make.entry("first", records: 4, bytes: 3000, text: "spoilt"), Make.entry("second")])
        try await log.waitForIndex()
        log.close()
        let name = SegmentName.live(1)
        var data = directory.contents(name)
        let place = try #require(data.range(of: Data("spoilt".utf8)))
        data[place.lowerBound] ^= 1
        try directory.write(name, data)
        let report: RecoveryReport
        (log, report) = try openLane(directory)
        let gap = try #require(report.gaps.first)
        #expect(await log.append([Make.entry("first")])[0].offset == 5)
        let told = try #require(log.describe(lost: [gap]).first).partitions
        #expect(told.map(\.topic) == ["first"] && told.map(\.firstOffset) == [1] && told.map(\.lastOffset) == [4])
        log.close()
    }

    @Test("deleted, it is rebuilt; appends are accepted at once")
    func deleted() async throws {
        let batches = try await prepare()
        for name in directory.files("") where name.hasPrefix(file) { try directory.remove(name) }
        let (log, report) = try openLane(directory)
        #expect(report.index == .rebuilding(reason: "the file is missing"))
        try await check(log, batches)
        log.close()
        #expect(try openLane(directory).report.index == .current)
    }

    @Test("garbage, an empty file or half a file is put aside and rebuilt", arguments: [0, 1, 2])
    func garbage(kind: Int) async throws {
        let batches = try await prepare()
        let good = directory.contents(file)
        switch kind {
        case 0: try directory.write(file, Data((0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }))
        case 1: try directory.write(file, Data())
        default: try directory.write(file, good.prefix(good.count / 2))
        }
        for name in directory.files("") where name.hasPrefix(file + "-") { try directory.remove(name) }
        let (log, report) = try openLane(directory)
        if kind < 2 {
            guard case .rebuilding = report.index else {
                Issue.record("\(report.index)")
                return
            }
        }
        try await check(log, batches)
        log.close()
    }

    @Test("every page of it may be destroyed: the answer is right, or an error and then right")
    func destroyedPages() async throws {
        let batches = try await prepare()
        let good = directory.contents(file)
        for page in 0..<good.count / 4096 {
            var bad = good
            bad.replaceSubrange(page * 4096..<(page + 1) * 4096, with: Data(repeating: 0xA5, count: 4096))
            for name in directory.files("") where name.hasPrefix(file) { try directory.remove(name) }
            try directory.write(file, bad)
            let (log, _) = try openLane(directory)
            for topic in 0...1 {
                var fetched: [StoredBatch]?
                while fetched == nil {
                    do {
                        fetched = try log.fetchAll("even-odd-\(topic)")
                    } catch {
                        try await Task.sleep(for: .milliseconds(10))
                    }
                }
                for batch in fetched ?? [] {
                    let sent = batches[Int(batch.baseOffset) * 2 + topic]
                    #expect(try RecordBatch.validateOne(batch.batch).crc == RecordBatch.validateOne(sent).crc)
                }
            }
            log.close()
        }
    }

    @Test(
        "of another version or another program, it is put aside",
        arguments: ["user_version = 99", "application_id = 5"])
    func foreign(pragma: String) async throws {
        let batches = try await prepare()
        do {
            let connection = try SQLiteConnection(path: directory.path + "/" + file)
            try connection.execute("PRAGMA \(pragma)")
        }
        let (log, report) = try openLane(directory)
        guard case .rebuilding = report.index else {
            Issue.record("\(report.index)")
            return
        }
        #expect(directory.files(".broken").count == 1)
        try await check(log, batches)
        log.close()
    }

    @Test("of another log, it is put aside")
    func otherLog() async throws {
        let batches = try await prepare()
        let other = TemporaryDirectory()
        do {
            let (log, _) = try openLane(other)
            for _ in 0..<70 { _ = await log.append([Make.entry("elsewhere", bytes: 8000)]) }
            log.close()
        }
        for name in directory.files("") where name.hasPrefix(file) { try directory.remove(name) }
        try directory.write(file, other.contents(file))
        let (log, report) = try openLane(directory)
        #expect(report.index == .rebuilding(reason: "the file belongs to another log"))
        #expect(report.isClean)
        try await check(log, batches)
        log.close()
    }

    @Test("it follows by itself, also when many batches come at once and then none")
    func follows() async throws {
        let (log, _) = try openLane(directory)
        let outcomes = await log.append((0..<20).map { Make.entry(text: "\($0)") })
        try await log.waitForIndex()
        #expect(log.indexedLSN >= outcomes[19].lsn ?? .max)
        log.close()
    }

    @Test("stale, only what it lacks is read")
    func stale() async throws {
        _ = try await prepare()
        let old = directory.contents(file)
        do {
            let (log, _) = try openLane(directory)
            for number in 60..<90 { _ = await log.append([Make.entry("even-odd-1", bytes: 8000, text: "\(number)")]) }
            log.close()
        }
        for name in directory.files("") where name.hasPrefix(file) { try directory.remove(name) }
        try directory.write(file, old)
        let (log, report) = try openLane(directory)
        guard case .stale(let lsn) = report.index else {
            Issue.record("\(report.index)")
            return
        }
        #expect(lsn > 60)
        try await log.waitForIndex()
        #expect(try log.fetchAll("even-odd-1").count == 60)
        log.close()
    }

    @Test("when the newest segment is gone the index still knows what was given out, so nothing is given twice")
    func witness() async throws {
        _ = try await prepare()
        let newest = try #require(directory.files(".seg").last)
        let before = try Inspection.inspect(directory: directory.path)
        try directory.remove(newest)
        let (log, report) = try openLane(directory)
        #expect(report.gaps.last?.lastLSN == before.lastLSN)
        #expect(await log.append([Make.entry("even-odd-0")])[0].offset == 30)
        #expect(log.durableLSN > before.lastLSN)
        log.close()
        #expect(try Inspection.verify(directory: directory.path).gaps.count == 1)
    }

    @Test("inspect, verify and rebuild-index see a closed lane; the first two also one in use")
    func inspection() async throws {
        let batches = try await prepare()
        let (log, _) = try openLane(directory)
        _ = await log.append([Make.entry("even-odd-0")])
        #expect(throws: WALError.self) { try Inspection.rebuildIndex(directory: directory.path) }
        let verified = try Inspection.verify(directory: directory.path)
        #expect(verified.isClean && verified.batchCount == 61, "\(verified)")
        let inspected = try Inspection.inspect(directory: directory.path)
        #expect(inspected.partitions.map(\.highWatermark) == [31, 30], "\(inspected)")
        #expect(inspected.lastLSN == log.durableLSN)
        log.close()
        let rebuilt = try Inspection.rebuildIndex(directory: directory.path)
        #expect(rebuilt.batchCount == 61 && rebuilt.gaps.isEmpty)
        let (again, report) = try openLane(directory)
        #expect(report.index == .current)
        #expect(try again.fetchAll("even-odd-1").count == batches.count / 2)
        again.close()
        #expect(throws: WALError.self) { try Inspection.inspect(directory: "/nonexistent") }
    }

    @Test("verify names what is damaged")
    func verifyDamage() async throws {
        _ = try await prepare()
        let name = directory.files(".seg")[1]
        var bytes = directory.contents(name)
        bytes[60_000] ^= 0xFF
        try directory.write(name, bytes)
        let verified = try Inspection.verify(directory: directory.path)
        #expect(
            !verified.isClean && verified.gaps.count == 1 && verified.quarantined.first?.segment == 2, "\(verified)")
        let (log, _) = try openLane(directory)
        try await log.waitForIndex()
        let kept = try log.fetchAll("even-odd-0").count + log.fetchAll("even-odd-1").count
        #expect(kept == 59)
        #expect(log.status.alarms.lostLSNs == 1)
        log.close()
    }

    /// A log whose last group holds several frames, as a kill -9 leaves it: the index has its newest rows in its `-wal` file. Returns
    /// the LSN of the second frame of that group, which is damaged.
    private func killed(_ target: TemporaryDirectory) async throws -> UInt64 {
        let (log, _) = try openLane(directory)
        _ = await log.append([Make.entry("even-odd-0", bytes: 8000)])
        let last = await log.append((0..<4).map { Make.entry("even-odd-1", bytes: 3000, text: "last \($0)") })
        try await log.waitForIndex()
        try FileManager.default.createDirectory(atPath: target.path, withIntermediateDirectories: true)
        for name in directory.files("") { try target.write(name, directory.contents(name)) }
        log.close()
        let name = try #require(target.files(".seg").last)
        var bytes = target.contents(name)
        let mark = try #require(bytes.range(of: Data("last 1".utf8)))
        bytes[mark.lowerBound] ^= 1
        try target.write(name, bytes)
        return try #require(last[1].lsn)
    }

    @Test("after a kill -9 damage in the last group is damage, because the index knows; nothing is changed")
    func rotInTheLastGroup() async throws {
        let left = TemporaryDirectory()
        let bad = try await killed(left)
        #expect(!left.contents(file + "-wal").isEmpty, "the index has not been put together")
        let before = left.files("").map { ($0, left.contents($0)) }
        let verified = try Inspection.verify(directory: left.path)
        #expect(verified.gaps == [LSNGap(firstLSN: bad, lastLSN: bad)], "\(verified)")
        #expect(!verified.isClean && verified.tornTailBytes == 0 && verified.indexTrouble == nil)
        _ = try Inspection.inspect(directory: left.path)
        #expect(left.files("") == before.map(\.0) && before.allSatisfy { left.contents($0.0) == $0.1 })
    }

    @Test("where the index cannot tell, verify says so", arguments: [0, 1, 2])
    func cannotTell(kind: Int) async throws {
        let left = TemporaryDirectory()
        _ = try await killed(left)
        switch kind {
        case 0: for name in left.files("") where name.hasPrefix(file) { try left.remove(name) }
        case 1: try left.remove(file + "-shm")
        default:
            for name in left.files("") where name.hasPrefix(file) { try left.remove(name) }
            try left.write(file, Data(repeating: 7, count: 20_000))
        }
        let names = left.files("")
        let verified = try Inspection.verify(directory: left.path)
        #expect(verified.gaps.isEmpty && verified.tornTailBytes > 0, "\(verified)")
        #expect(verified.description.contains("or damage; cannot tell which: "), "\(verified)")
        #expect(left.files("") == names)
    }

    @Test("a newest segment that is gone is lost to verify too, and an index that was put together tells the same")
    func newestSegmentGone() async throws {
        _ = try await prepare()
        let whole = try Inspection.verify(directory: directory.path)
        let names = directory.files("")
        #expect(whole.isClean && whole.indexTrouble == nil, "\(whole)")
        #expect(directory.files("") == names, "no file is made beside the index")
        try directory.remove(try #require(directory.files(".seg").last))
        let verified = try Inspection.verify(directory: directory.path)
        #expect(verified.gaps == [LSNGap(firstLSN: verified.lastLSN + 1, lastLSN: whole.lastLSN)], "\(verified)")
    }

    @Test("the index of another log tells verify nothing")
    func strangeIndex() async throws {
        _ = try await prepare()
        let other = TemporaryDirectory()
        let (log, _) = try openLane(other)
        for number in 0..<70 { _ = await log.append([Make.entry("other", bytes: 8000, text: "\(number)")]) }
        log.close()
        try directory.write(file, other.contents(file))
        #expect(try Inspection.verify(directory: directory.path).isClean)
    }
}
