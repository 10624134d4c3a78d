import CSQLite
import Glibc
import NIOCore
import Testing

@testable import Ledger

/// A directory of its own, removed at the end.
final class Scratch: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/cairn-ledger-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw FencedLogError.closed }
        path = String(cString: made)
    }

    deinit {
        for name in ["log", "log-wal", "log-shm", "log.lock"] { unlink("\(path)/\(name)") }
        rmdir(path)
    }

    var file: String { "\(path)/log" }

    func execute(_ sql: String) throws {
        let connection = try SQLiteConnection(path: file)
        try connection.execute(sql)
    }
}

@Suite struct SQLiteFencedLogTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func blob(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }

    @Test func blobsReadBackInOrderAfterReopening() throws {
        var log = try SQLiteFencedLog(path: scratch.file)
        let epoch = try log.beginEpoch()
        for number in 1...5 as ClosedRange<UInt64> {
            #expect(try log.append(epoch: epoch, sequence: number, blob: blob("b\(number)")) == .done)
        }
        log.close()
        log = try SQLiteFencedLog(path: scratch.file)
        let blobs = try log.read(from: 2, bytesMax: .max)
        #expect(blobs.map(\.sequence) == [2, 3, 4, 5])
        #expect(blobs.first == LogBlob(sequence: 2, epoch: epoch, blob: blob("b2")))
        #expect(try log.read(from: 2, bytesMax: 1).count == 1)
        #expect(try log.read(from: 6, bytesMax: 1).isEmpty)
    }

    @Test func anEmptyBlobIsABlob() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        let epoch = try log.beginEpoch()
        #expect(try log.append(epoch: epoch, sequence: 1, blob: ByteBuffer()) == .done)
        #expect(try log.read(from: 1, bytesMax: 1).map(\.blob) == [ByteBuffer()])
    }

    @Test func aSequenceThatIsNotTheNextIsAConflict() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        let epoch = try log.beginEpoch()
        #expect(try log.append(epoch: epoch, sequence: 2, blob: blob("x")) == .conflict(nextSequence: 1))
        #expect(try log.append(epoch: epoch, sequence: 1, blob: blob("x")) == .done)
        #expect(try log.append(epoch: epoch, sequence: 1, blob: blob("y")) == .conflict(nextSequence: 2))
        #expect(try log.read(from: 1, bytesMax: 100).map(\.blob) == [blob("x")])
    }

    @Test func anOlderEpochIsFencedInEveryWrite() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        let old = try log.beginEpoch()
        let new = try log.beginEpoch()
        let fenced = FencedAppend.fenced(currentEpoch: new)
        #expect(try log.append(epoch: old, sequence: 1, blob: blob("x")) == fenced)
        #expect(try log.putSnapshot(epoch: old, through: 1, piece: 0, bytes: blob("x"), isLast: true) == fenced)
        #expect(try log.trim(epoch: old, through: 0) == fenced)
        #expect(try log.read(from: 1, bytesMax: 100).isEmpty)
        #expect(try log.readSnapshot() == nil)
    }

    @Test func epochsGrowAcrossReopening() throws {
        for expected in 1...3 as ClosedRange<UInt64> {
            let log = try SQLiteFencedLog(path: scratch.file)
            #expect(try log.beginEpoch() == expected)
            log.close()
        }
    }

    @Test func aSecondOpenerIsRefusedWhileTheFirstHoldsTheFile() throws {
        let first = try SQLiteFencedLog(path: scratch.file)
        #expect(throws: FencedLogError.heldByAnother(path: scratch.file + ".lock")) {
            try SQLiteFencedLog(path: scratch.file)
        }
        first.close()
        _ = try SQLiteFencedLog(path: scratch.file)
    }

    @Test func aSnapshotCountsOnlyOnceItsLastPieceIsThere() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        let epoch = try log.beginEpoch()
        for number in 1...4 as ClosedRange<UInt64> {
            _ = try log.append(epoch: epoch, sequence: number, blob: blob("b"))
        }
        func put(_ through: UInt64, _ piece: Int, _ text: String, last: Bool) throws -> FencedAppend {
            try log.putSnapshot(epoch: epoch, through: through, piece: piece, bytes: blob(text), isLast: last)
        }
        #expect(try put(2, 0, "a", last: false) == .done)
        #expect(try log.readSnapshot() == nil)
        #expect(try log.trim(epoch: epoch, through: 1) == .conflict(nextSequence: 5))
        #expect(try put(2, 2, "c", last: true) == .conflict(nextSequence: 5))
        #expect(try put(2, 1, "b", last: true) == .done)
        #expect(try log.readSnapshot() == LogSnapshot(sequence: 2, pieces: [blob("a"), blob("b")]))
        #expect(try put(4, 0, "new", last: false) == .done)
        #expect(try log.readSnapshot()?.sequence == 2)
        #expect(try put(3, 0, "other", last: true) == .done)
        #expect(try log.readSnapshot() == LogSnapshot(sequence: 3, pieces: [blob("other")]))
        #expect(try log.trim(epoch: epoch, through: 3) == .done)
        #expect(try log.read(from: 1, bytesMax: 100).map(\.sequence) == [4])
    }

    @Test func numberingGoesOnAfterEverythingWasTrimmed() throws {
        var log = try SQLiteFencedLog(path: scratch.file)
        let epoch = try log.beginEpoch()
        _ = try log.append(epoch: epoch, sequence: 1, blob: blob("x"))
        _ = try log.putSnapshot(epoch: epoch, through: 1, piece: 0, bytes: blob("s"), isLast: true)
        _ = try log.trim(epoch: epoch, through: 1)
        log.close()
        log = try SQLiteFencedLog(path: scratch.file)
        let next = try log.beginEpoch()
        #expect(try log.append(epoch: next, sequence: 1, blob: blob("y")) == .conflict(nextSequence: 2))
        #expect(try log.append(epoch: next, sequence: 2, blob: blob("y")) == .done)
    }

    @Test func aNewerLayoutIsRefusedWithBothVersions() throws {
        try SQLiteFencedLog(path: scratch.file).close()
        try scratch.execute("PRAGMA user_version = 5")
        #expect(throws: FencedLogError.newerVersion(path: scratch.file, found: 5, supported: 1)) {
            try SQLiteFencedLog(path: scratch.file)
        }
    }

    @Test func aFileOfSomethingElseIsRefusedAndLeftAlone() throws {
        try scratch.execute("CREATE TABLE mine (a)")
        #expect(throws: FencedLogError.self) { try SQLiteFencedLog(path: scratch.file) }
        try scratch.execute("INSERT INTO mine VALUES (1)")
        let garbage = try Scratch()
        let descriptor = Glibc.open(garbage.file, O_CREAT | O_WRONLY, 0o644)
        let text = Array("this is no database, by any measure at all".utf8)
        #expect(write(descriptor, text, text.count) == text.count)
        Glibc.close(descriptor)
        #expect(throws: FencedLogError.self) { try SQLiteFencedLog(path: garbage.file) }
    }

    @Test func aClosedLogSaysSo() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        log.close()
        #expect(throws: FencedLogError.closed) { try log.beginEpoch() }
    }

    @Test func theStateIsTheSameAfterReopeningAtEveryPrefix() throws {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 6
        configuration.snapshotPieceBytes = 100
        var twin = LedgerState()
        let commands =
            [create("gnss", 1)] + (0..<20).map { object("o\($0)", run(1, $0 % 3, stamps: [stamp(4, $0...$0)])) }
            + [advance(1, 0, to: 15), .markObjectsDeleting(keys: ["o0"], nowMs: 4)]
        for (number, command) in commands.enumerated() {
            let log = try SQLiteFencedLog(path: scratch.file)
            var sequencer = try Sequencer(log: log, configuration: configuration)
            var shown = sequencer.view.copy()
            shown.sequence = 0
            #expect(shown.encodedSnapshot() == twin.encodedSnapshot(), "after \(number) commands")
            let answer = try twin.submit(command)
            #expect(sequencer.run([command]) == [.success(answer)])
            while sequencer.housekeep() {}
            // Dropped without a word every other time, as by kill -9.
            if number % 2 == 0 { log.close() }
        }
    }

    private func copy(_ from: String, to: String, bytesMax: Int = .max) throws -> Int {
        let source = Glibc.open(from, O_RDONLY)
        let target = Glibc.open(to, O_CREAT | O_WRONLY | O_TRUNC, 0o644)
        defer {
            Glibc.close(source)
            Glibc.close(target)
        }
        var bytes = [UInt8](repeating: 0, count: 4 << 20)
        let count = min(bytesMax, read(source, &bytes, bytes.count))
        try #require(write(target, bytes, count) == count)
        return count
    }

    /// What a power cut leaves: the files as they are in the middle of it all, the journal cut anywhere.
    @Test func theFilesOfARunningLedgerOpenToAllThatWasAnsweredAndCutOnesToAPrefix() throws {
        let log = try SQLiteFencedLog(path: scratch.file)
        var sequencer = try Sequencer(log: log, configuration: LedgerConfiguration())
        var prefixes: [ByteBuffer] = [LedgerState().encodedSnapshot()]
        for command in [create("gnss", 1)] + (0..<12).map({ object("o\($0)", run(1, $0 % 3)) }) {
            _ = try sequencer.run([command])[0].get()
            prefixes.append(sequencer.view.copy().encodedSnapshot())
            #expect(try stateOfCopy(journalBytesMax: .max) == prefixes.last)
        }
        for cut in stride(from: 0, through: 60_000, by: 1_999) {
            #expect(prefixes.contains(try stateOfCopy(journalBytesMax: cut)))
        }
    }

    private func stateOfCopy(journalBytesMax: Int) throws -> ByteBuffer {
        let other = try Scratch()
        _ = try copy(scratch.file, to: other.file)
        _ = try copy(scratch.file + "-wal", to: other.file + "-wal", bytesMax: journalBytesMax)
        let log = try SQLiteFencedLog(path: other.file)
        return try Sequencer(log: log, configuration: LedgerConfiguration()).view.copy().encodedSnapshot()
    }
}
