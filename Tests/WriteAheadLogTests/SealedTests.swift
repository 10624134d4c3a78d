import KafkaProtocol
import NIOCore
import Sealing
import Testing

@testable import WriteAheadLog

/// The format of sealed segments and what a lane does with and without their key, on a simulated disk.
@Suite("Sealed segments")
struct SealedTests {
    private let disk = SimulatedDisk()
    private static let mark = "not for strangers"

    @discardableResult
    private func append(
        _ core: inout LaneCore<SimulatedDisk>, _ count: Int, bytes: Int = 300, from first: Int = 0, seconds: UInt64 = 0
    ) -> [LogEntry] {
        (first..<first + count).map { number in
            var entry = Make.entry(bytes: bytes, text: "\(Self.mark) \(number)")
            entry.monotonicNs = UInt64(1 + seconds) * 1_000_000_000
            #expect(core.commit([entry])[0].offset != nil)
            return entry
        }
    }

    private var segments: [String] {
        ((try? disk.list()) ?? []).map(\.name).filter { SegmentName.sequence($0) != nil }
    }

    private func header(_ name: String) throws -> SegmentHeader {
        let bytes = try #require(disk.contents(name))
        return try #require(bytes.withUnsafeBytes { SegmentHeader(reading: $0) })
    }

    private func files() throws -> [String: [UInt8]] {
        var all: [String: [UInt8]] = [:]
        for entry in try disk.list() { all[entry.name] = disk.contents(entry.name) }
        return all
    }

    private func holdsPlainText(_ bytes: [UInt8]) -> Bool {
        let mark = Array(Self.mark.utf8)
        return bytes.indices.dropLast(mark.count).contains {
            bytes[$0] == mark[0] && bytes[$0..<$0 + mark.count].elementsEqual(mark)
        }
    }

    private func reason(_ body: () throws -> Void) -> UntouchableReason? {
        do { try body() } catch WALError.untouchable(let segments) { return segments.reason } catch {
            Issue.record("\(error)")
        }
        return nil
    }

    @Test("what goes in comes out, now and after a restart, and nothing of it can be read in the files")
    func roundTrip() throws {
        let sealing = try Make.sealing("a")
        var (core, _) = try Make.core(disk, sealing: sealing)
        // Many small groups, some of several entries, some larger than the piece that is sealed at once.
        var sent = append(&core, 40)
        let group = (0..<20).map { Make.entry(bytes: 1500, text: "\(Self.mark) in a group \($0)") }
        #expect(core.commit(group).allSatisfy { $0.offset != nil })
        sent += group + append(&core, 30, bytes: 20_000)
        #expect(core.segments.count > 2)
        for (name, bytes) in try files() {
            #expect(!holdsPlainText(bytes), "\(name)")
            #expect(try header(name).isSealed)
        }
        let expected = sent.map(\.batch)
        #expect(try core.readAll().batches.map(\.batch) == expected)
        let (reopened, report) = try Make.core(disk, seed: 2, sealing: sealing)
        #expect(report.isClean && report.durableLSN == core.durableLSN)
        let all = try reopened.readAll()
        #expect(all.gaps.isEmpty && all.batches.map(\.batch) == expected)
    }

    @Test("a group of more than one sealed piece, alone and beside another")
    func largeGroups() throws {
        let sealing = try Make.sealing("a")
        func grow(_ configuration: inout LaneConfiguration) {
            configuration.segmentSizeBytes = 4 << 20
            configuration.quotaBytes = 32 << 20
            configuration.groupBytesMax = 1 << 20
            configuration.pendingBytesMax = 4 << 20
        }
        var (core, _) = try Make.core(disk, sealing: sealing, grow)
        // Odd sizes, so that pieces end anywhere in a cipher block.
        let first = (0..<30).map { Make.entry(bytes: 9001 + 977 * $0, text: "\(Self.mark) \($0)") }
        let second = (0..<7).map { Make.entry(bytes: 70_001 + $0, text: "\(Self.mark) second \($0)") }
        #expect(core.commitOverlapped(first, second).allSatisfy { $0.offset != nil })
        #expect(try core.readAll().batches.map(\.batch) == (first + second).map(\.batch))
        #expect(try files().values.allSatisfy { !holdsPlainText($0) })
    }

    @Test("every start seals with a data key of its own, in the segment where the last one ended")
    func newKeyAfterRecovery() throws {
        let sealing = try Make.sealing("a")
        let nonces = NonceWatch()
        disk.observe { nonces.note($0, at: $1) }
        for start in 1...70 {
            let (made, report) = try Make.core(disk, seed: UInt64(start), sealing: sealing)
            var core = made
            #expect(report.isClean)
            append(&core, 1, from: start)
            // An orderly end changes nothing: a copy of the disk from before may be put back.
            if start % 2 == 0 { core.seal() }
        }
        #expect(segments.count == 2 && nonces.recordCount >= 70)
        let (core, _) = try Make.core(disk, seed: 99, sealing: sealing)
        #expect(try core.readAll().batches.count == 70)
    }

    @Test("whoever watches for nonces that serve twice would see one")
    func watched() throws {
        let (nonces, writes) = (NonceWatch(), Writes())
        disk.observe { writes.add($0, $1) }
        var (core, _) = try Make.core(disk, sealing: try Make.sealing("a"))
        append(&core, 2)
        for (bytes, offset) in writes.all { nonces.note(bytes, at: offset) }
        var (bytes, offset) = try #require(writes.all.last)
        nonces.note(bytes, at: offset)
        bytes[GroupHeader.sealedSizeBytes] ^= 1
        withKnownIssue { nonces.note(bytes, at: offset) }
        offset += Block.sizeBytes
        nonces.note(bytes, at: offset)
    }

    private final class Writes: @unchecked Sendable {  // One thread.
        private(set) var all: [(bytes: [UInt8], offset: Int)] = []
        func add(_ bytes: [UInt8], _ offset: Int) { all.append((bytes, offset)) }
    }

    @Test("set back to an older copy of itself, a disk gets other data at the same place under another key")
    func setBack() throws {
        let sealing = try Make.sealing("a")
        let nonces = NonceWatch()
        disk.observe { nonces.note($0, at: $1) }
        var (core, _) = try Make.core(disk, sealing: sealing)
        append(&core, 2)
        core.seal()
        let copy = try #require(disk.contents(segments[0]))
        for turn in 0..<3 {
            disk.place(segments[0], copy)
            (core, _) = try Make.core(disk, seed: UInt64(10 + turn), sealing: sealing)
            append(&core, 2, from: 100 * (1 + turn))
            #expect(try core.readAll().batches.count == 4)
        }
        #expect(nonces.recordCount == 4)
    }

    @Test(
        "on a full disk uploads are recorded after a restart too, whatever was switched, which frees segments and heals it",
        arguments: [["a"], ["b", "a"]], [(true, true), (true, false), (false, true)])
    func fullDisk(names: [String], seals: (before: Bool, after: Bool)) throws {
        let before = seals.before ? try Make.sealing("a") : nil
        let keys = try names.map { try Make.ring($0).first }
        let ring = try #require(KeyRing(keys))
        let sealing = LogSealing(ring: { ring }, seals: seals.after)
        let small = SimulatedDisk(capacityBytes: 3 * 256 << 10)
        var (core, _) = try Make.core(small, sealing: before) { $0.spareSegmentsMax = 0 }
        var refusal: AppendRejection?
        while refusal == nil { refusal = core.commit([Make.entry(bytes: 20_000)])[0].rejection }
        #expect(refusal == .diskFull)
        (core, _) = try Make.core(small, seed: 2, sealing: sealing) { $0.spareSegmentsMax = 0 }
        try core.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: core.durableLSN))
        try core.recordUploaded(sequence: 1, lastLSN: core.uploadState.openPlans[0].lastLSN)
        #expect(core.commit([Make.entry(bytes: 20_000)])[0].offset != nil)
    }

    @Test("a failed write or sync leads to a new segment with another key", arguments: [true, false])
    func newKeyAfterFailure(writes: Bool) throws {
        let nonces = NonceWatch()
        disk.observe { nonces.note($0, at: $1) }
        var (core, _) = try Make.core(disk, sealing: try Make.sealing("a"))
        append(&core, 3)
        var faults = SimulatedDisk.Faults()
        if writes { faults.failingWrites = 1 } else { faults.failingSyncs = 1 }
        disk.faults = faults
        append(&core, 3, from: 3)
        // Two heads, six groups, and the one that failed, which came again at another place with another key.
        #expect(segments.count == 2 && nonces.count == 9)
        #expect(try header(segments[0]).key != header(segments[1]).key)
        #expect(try core.readAll().batches.count == 6)
    }

    @Test("without its key a lane is left as it is, says which key it needs, and is all there when the key is back")
    func withoutKey() throws {
        var (core, _) = try Make.core(disk, sealing: try Make.sealing("a"))
        append(&core, 5)
        let before = try files()
        let operations = disk.operations
        #expect(reason { _ = try Make.core(disk, seed: 2) } == .noKeys(id: "a"))
        #expect(reason { _ = try Make.core(disk, seed: 2, sealing: try Make.sealing("b")) } == .keyMissing(id: "a"))
        let wrong = try Make.ring("a", salt: 1)
        #expect(reason { _ = try Make.core(disk, seed: 2, sealing: LogSealing(ring: { wrong })) } == .keyWrong(id: "a"))
        #expect(
            reason { _ = try Make.core(disk, seed: 2, sealing: try Make.sealing("a")) { $0.name = "other" } }
                == .otherLane("test"))
        #expect(try files() == before && disk.operations == operations)
        let (reopened, report) = try Make.core(disk, seed: 2, sealing: try Make.sealing("b", "a"))
        #expect(try report.isClean && reopened.readAll().batches.count == 5)
    }

    @Test("plain and sealed segments stand in one lane, whichever way it is switched")
    func mixed() throws {
        let (on, off) = (try Make.sealing("a"), try Make.sealing("a", seals: false))
        var sent: [ByteBuffer] = []
        for (start, sealing) in [nil, on, off, on, on, off].enumerated() {
            var (core, report) = try Make.core(disk, seed: UInt64(start), sealing: sealing)
            #expect(report.isClean)
            sent += append(&core, 3, from: 3 * start).map(\.batch)
            let newest = try #require(segments.last)
            #expect(try header(newest).isSealed == (sealing?.seals == true))
            #expect(try core.readAll().batches.map(\.batch) == sent)
        }
        #expect(try segments.map { try header($0).isSealed } == [false, true, false, true, false])
    }

    @Test("files with plain text are not used again for sealed segments")
    func sparesWithPlainText() throws {
        var (core, _) = try Make.core(disk)
        append(&core, 30, bytes: 25_000)
        func uploadAll(_ core: inout LaneCore<SimulatedDisk>) throws {
            let state = core.uploadState
            let plan = UploadPlan(
                sequence: state.nextSequence, firstLSN: state.nextPlanLSN, lastLSN: core.durableLSN)
            try core.recordPlan(plan)
            try core.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        }
        try uploadAll(&core)
        #expect(core.spares.count == 2)
        var (sealed, _) = try Make.core(disk, seed: 2, sealing: try Make.sealing("a"))
        #expect(sealed.spares.isEmpty)
        append(&sealed, 30, bytes: 25_000)
        try uploadAll(&sealed)
        append(&sealed, 10, bytes: 25_000)
        // Sealed ones are used again, plain ones went.
        try uploadAll(&sealed)
        #expect(!sealed.spares.isEmpty)
        #expect(try files().values.allSatisfy { !holdsPlainText($0) })
        let reopened = try Make.core(disk, seed: 3, sealing: try Make.sealing("a")).core
        #expect(Set(reopened.spares) == Set(sealed.spares))
    }

    @Test(
        "once another key is first, what comes is sealed with it within seconds, and the old one still opens the rest")
    func rotation() throws {
        let rings = Rings(try Make.ring("a"))
        let sealing = LogSealing(ring: { rings.current })
        var (core, _) = try Make.core(disk, sealing: sealing)
        append(&core, 3)
        rings.set(try Make.ring("b", "a"))
        // The keys were looked at a moment ago.
        append(&core, 1, from: 3)
        append(&core, 2, from: 4, seconds: 5)
        #expect(try segments.map { try header($0).key?.keyID } == ["a", "b"])
        #expect(try core.readAll().batches.count == 6)
        #expect(reason { _ = try Make.core(disk, sealing: try Make.sealing("b")) } == .keyMissing(id: "a"))
        #expect(try Make.core(disk, sealing: try Make.sealing("b", "a")).core.readAll().batches.count == 6)
    }

    private final class Rings: @unchecked Sendable {  // One thread.
        private(set) var current: KeyRing
        init(_ ring: KeyRing) { current = ring }
        func set(_ ring: KeyRing) { current = ring }
    }

    @Test("a plain group is not believed in a sealed segment, nor a sealed one in a plain segment")
    func slippedIn() throws {
        let sealing = try Make.sealing("a")
        var (core, _) = try Make.core(disk, sealing: sealing)
        append(&core, 2)
        let head = try header(segments[0])
        var forged = RawSegment(
            SegmentHeader(sequence: head.sequence, salt: head.salt, segmentSizeBytes: 256 << 10, firstLSN: 1))
        forged.add([Make.entry(text: "x")], baseOffset: 0, bootEpoch: 1)
        forged.add([Make.entry(text: "y")], baseOffset: 1, bootEpoch: 1)
        // The same LSNs, salt and checksums, only not sealed.
        disk.overwrite(segments[0], at: 8192, with: Array(forged.bytes[8192...]))
        let (reopened, _) = try Make.core(disk, seed: 2, sealing: sealing)
        #expect(try reopened.readAll().batches.isEmpty)
    }

    @Test(
        "with block 0 lost, or only the record of the key in it, a group tells what it said", arguments: [0, 64, 130])
    func lostHead(at: Int) throws {
        let sealing = try Make.sealing("a")
        var (core, _) = try Make.core(disk, sealing: sealing)
        append(&core, 5)
        let name = segments[0]
        disk.overwrite(name, at: at, with: [UInt8](repeating: 0xA5, count: 16))
        #expect(reason { _ = try Make.core(disk, seed: 2) } == .noKeys(id: "a"))
        let (reopened, report) = try Make.core(disk, seed: 2, sealing: sealing)
        #expect(try report.isClean && reopened.readAll().batches.count == 5)
        // The checkpoint's group has lost its copy as well: the next one has another.
        disk.overwrite(name, at: 4096 + GroupHeader.keyAt, with: [UInt8](repeating: 0xA5, count: 16))
        let (again, second) = try Make.core(disk, seed: 3, sealing: sealing)
        #expect(try second.isClean && again.readAll().batches.count == 5)
    }

    @Test("a flipped bit anywhere costs at most the group it is in, never gives other data, and never stops a start")
    func flips() throws {
        let sealing = try Make.sealing("a")
        var (core, _) = try Make.core(disk, sealing: sealing)
        append(&core, 4)
        let group = (0..<3).map { Make.entry(bytes: 200, text: "\(Self.mark) group \($0)") }
        #expect(core.commit(group).allSatisfy { $0.offset != nil })
        append(&core, 2, from: 4)
        core.seal()
        let name = segments[0]
        let pristine = try #require(disk.contents(name))
        let sent = Dictionary(uniqueKeysWithValues: try core.readAll().batches.map { ($0.lsn, $0.batch) })
        #expect(sent.count == 9)
        let used = core.view.segments[0].endBytes
        var random = SeededGenerator(seed: 5)
        // Every byte of headers, some of the rest, one bit of each.
        let places = (0..<used).filter { $0 % 4096 < GroupHeader.sealedSizeBytes || $0 % 29 == 0 }
        for at in places {
            disk.place(name, pristine)
            disk.corrupt(name, at: at) { $0 ^= 1 << UInt8.random(in: 0..<8, using: &random) }
            let (damaged, report) = try Make.core(disk, seed: 2, sealing: sealing)
            let all = try damaged.readAll()
            var missing = 0
            for (lsn, batch) in sent {
                let found = all.batches.first { $0.lsn == lsn }
                if let found { #expect(found.batch == batch, "byte \(at), LSN \(lsn)") } else { missing += 1 }
            }
            #expect(all.batches.allSatisfy { sent[$0.lsn] != nil } && missing <= 3, "byte \(at)")
            let counted = report.gaps.reduce(0) { $0 + Int($1.count) }
            #expect(missing <= counted, "byte \(at): \(missing) missing, \(counted) counted")
            for entry in try disk.list() where entry.name != name { disk.erase(entry.name) }
        }
    }

    @Test("a file cut anywhere gives nothing wrong", arguments: 0..<8)
    func cuts(part: Int) throws {
        let sealing = try Make.sealing("a")
        var (core, _) = try Make.core(disk, sealing: sealing)
        let sent = append(&core, 6, bytes: 9000).map(\.batch)
        let bytes = try #require(disk.contents(segments[0]))
        for cut in stride(from: 4096 * part + 1, to: core.view.segments[0].endBytes, by: 8 * 4096 - 3) {
            disk.place(segments[0], Array(bytes[..<cut]))
            let found = try Make.core(disk, seed: 2, sealing: sealing).core.readAll().batches.map(\.batch)
            #expect(found == Array(sent.prefix(found.count)))
        }
    }
}
