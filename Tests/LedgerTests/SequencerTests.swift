import KafkaProtocol
import NIOCore
import Synchronization
import Testing

@testable import Ledger

@Suite struct SequencerTests {
    private func open(
        _ log: MemoryFencedLog, _ configuration: LedgerConfiguration = LedgerConfiguration()
    ) throws -> Sequencer {
        try Sequencer(log: log, configuration: configuration)
    }

    private func opened(_ log: MemoryFencedLog = MemoryFencedLog()) throws -> (Sequencer, MemoryFencedLog) {
        var sequencer = try open(log)
        _ = sequencer.run([create("gnss", 1)])
        return (sequencer, log)
    }

    private func failAppend(_ log: MemoryFencedLog, _ fault: MemoryFencedLog.Fault, times: Int) {
        let left = Counter(times)
        log.setFaults { operation in
            guard case .append = operation, left.take() else { return nil }
            return fault
        }
    }

    private final class Counter: Sendable {
        private let left: Mutex<Int>
        init(_ count: Int) { left = Mutex(count) }
        func take() -> Bool {
            left.withLock { left in
                left -= 1
                return left >= 0
            }
        }
    }

    @Test func aGroupIsOneBlobAndEachCommandSeesThoseBeforeIt() throws {
        var (sequencer, log) = try opened()
        let results = sequencer.run([object("o1", run()), object("o2", run()), object("o1", run()), create("gnss", 2)])
        #expect(log.blobs.count == 2)
        #expect(results[0] == .success(.runs([.committed(baseOffset: 0, logStart: 0)])))
        #expect(results[1] == .success(.runs([.committed(baseOffset: 10, logStart: 0)])))
        #expect(results[2] == results[0])
        #expect(results[3] == .failure(.refused(.topicExists(name: "gnss", id: topicID(1)))))
        #expect(sequencer.view.partition(topicID(1), 0)?.highWatermark == 20)
    }

    @Test func refusalsAndRepeatedAnswersWriteNothing() throws {
        var (sequencer, log) = try opened()
        _ = sequencer.run([object("o1", run())])
        _ = sequencer.run([object("o1", run()), create("gnss", 2)])
        #expect(log.blobs.count == 2)
    }

    @Test func aBlobIsBoundedAndTheRestWaits() throws {
        var configuration = LedgerConfiguration()
        configuration.blobBytesMax = 300
        var sequencer = try open(MemoryFencedLog(), configuration)
        _ = sequencer.run([create("gnss", 1)])
        let commands = (0..<20).map { object("o\($0)", run()) }
        let first = sequencer.run(commands[...])
        #expect(first.count > 1)
        #expect(first.count < 20)
        let second = sequencer.run(commands[first.count...])
        #expect(second.first == .success(.runs([.committed(baseOffset: Int64(first.count) * 10, logStart: 0)])))
    }

    @Test func aFailedAppendFailsItsGroupAndShowsNothing() throws {
        var (sequencer, log) = try opened()
        failAppend(log, .errorBeforeEffect, times: 2)
        let results = sequencer.run([object("o1", run()), object("o2", run())])
        for result in results {
            guard case .failure(.unavailable) = result else {
                Issue.record("\(result)")
                continue
            }
        }
        #expect(sequencer.view.partition(topicID(1), 0)?.highWatermark == 0)
        #expect(sequencer.run([object("o2", run())]) == [.success(.runs([.committed(baseOffset: 0, logStart: 0)]))])
    }

    @Test func oneErrorIsRiddenOut() throws {
        var (sequencer, log) = try opened()
        failAppend(log, .errorBeforeEffect, times: 1)
        #expect(sequencer.run([object("o1", run())]) == [.success(.runs([.committed(baseOffset: 0, logStart: 0)]))])
    }

    @Test func anErrorAfterTheEffectIsFoundInTheLogAndAnswered() throws {
        var (sequencer, log) = try opened()
        failAppend(log, .errorAfterEffect, times: 1)
        #expect(sequencer.run([object("o1", run())]) == [.success(.runs([.committed(baseOffset: 0, logStart: 0)]))])
        #expect(log.blobs.count == 2)
    }

    @Test func anAppendThatLandedUnseenIsShownLaterAndItsRetryAnsweredOnce() throws {
        var (sequencer, log) = try opened()
        log.setFaults { operation in
            switch operation {
            case .append: .errorAfterEffect
            case .read: .errorBeforeEffect
            default: nil
            }
        }
        guard case .failure(.unavailable) = sequencer.run([object("o1", run())])[0] else {
            Issue.record("the outcome cannot be known yet")
            return
        }
        guard case .failure(.unavailable) = sequencer.run([object("o2", run())])[0] else {
            Issue.record("nothing can be decided while the log cannot be read")
            return
        }
        #expect(sequencer.view.partition(topicID(1), 0)?.highWatermark == 0)
        log.setFaults(nil)
        #expect(
            sequencer.run([object("o2", run()), object("o1", run())])
                == [
                    .success(.runs([.committed(baseOffset: 10, logStart: 0)])),
                    .success(.runs([.committed(baseOffset: 0, logStart: 0)])),
                ])
        #expect(sequencer.view.partition(topicID(1), 0)?.highWatermark == 20)
    }

    @Test func anAppendThatArrivesLateKeepsItsPlaceAndTheNextGroupComesAfterIt() throws {
        var (sequencer, log) = try opened()
        let faults = Mutex<[MemoryFencedLog.Fault]>([.errorBeforeLateEffect, .errorBeforeEffect])
        log.setFaults { operation in
            guard case .append = operation else { return nil }
            return faults.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        }
        guard case .failure(.unavailable) = sequencer.run([object("o1", run())])[0] else {
            Issue.record("the append has not arrived yet")
            return
        }
        #expect(sequencer.run([object("o2", run())]) == [.success(.runs([.committed(baseOffset: 10, logStart: 0)]))])
        #expect(sequencer.run([object("o1", run())]) == [.success(.runs([.committed(baseOffset: 0, logStart: 0)]))])
        #expect(sequencer.view.extents(topicID(1), 0, from: 0, maxBytes: .max).map(\.objectKey) == ["o1", "o2"])
    }

    @Test func aZombieIsFencedAtTheLogAndStaysSo() throws {
        var (zombie, log) = try opened()
        var heir = try open(log)
        _ = heir.run([object("o1", run())])
        let fenced = LedgerError.fenced(epoch: 1, currentEpoch: 2)
        #expect(zombie.run([object("o2", run())]) == [.failure(fenced)])
        #expect(zombie.run([object("o3", run())]) == [.failure(fenced)])
        #expect(!zombie.isServing)
        #expect(zombie.view.partition(topicID(1), 0)?.highWatermark == 0)
        #expect(heir.run([object("o2", run())]) == [.success(.runs([.committed(baseOffset: 10, logStart: 0)]))])
    }

    @Test func aSnapshotReplacesTheLogBeforeItAndOpensToTheSameState() throws {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 10
        configuration.snapshotPieceBytes = 64
        let log = MemoryFencedLog()
        var sequencer = try open(log, configuration)
        _ = sequencer.run([create("gnss", 1)])
        for number in 0..<25 {
            _ = sequencer.run([object("o\(number)", run())])
            while sequencer.housekeep() {}
        }
        #expect(sequencer.statistics.snapshots == 2)
        #expect(log.blobs.count == 6)
        let reopened = try open(log, configuration)
        #expect(reopened.recovery.snapshotSequence == 20)
        #expect(reopened.recovery.blobsReplayed == 6)
        #expect(reopened.view.copy().encodedSnapshot() == sequencer.view.copy().encodedSnapshot())
    }

    @Test func commandsGoOnBetweenThePiecesOfASnapshot() throws {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 4
        configuration.snapshotPieceBytes = 16
        let log = MemoryFencedLog()
        var sequencer = try open(log, configuration)
        _ = sequencer.run([create("gnss", 1)])
        for number in 0..<60 {
            _ = sequencer.run([object("o\(number)", run())])
            _ = sequencer.housekeep()
        }
        #expect(sequencer.statistics.snapshots > 0)
        let reopened = try open(log, configuration)
        #expect(reopened.recovery.snapshotSequence > 0)
        #expect(reopened.view.copy().encodedSnapshot() == sequencer.view.copy().encodedSnapshot())
    }

    @Test func aFailedSnapshotLosesNothingAndIsTakenLater() throws {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 10
        configuration.snapshotPieceBytes = 64
        let log = MemoryFencedLog()
        var sequencer = try open(log, configuration)
        _ = sequencer.run([create("gnss", 1)])
        log.setFaults { $0 == .putSnapshot(piece: 2) ? .errorBeforeEffect : nil }
        for number in 0..<15 {
            _ = sequencer.run([object("o\(number)", run())])
            while sequencer.housekeep() {}
        }
        #expect(sequencer.statistics.snapshots == 0)
        #expect(log.blobs.count == 16)
        log.setFaults(nil)
        _ = sequencer.run([object("x", run())])
        while sequencer.housekeep() {}
        #expect(sequencer.statistics.snapshots == 1)
    }

    @Test func aNewerLogIsRefusedBeforeItsWriterIsFenced() throws {
        let (_, log) = try opened()
        log.replaceBlobs { $0[0].blob.setInteger(9 as UInt16, at: 4) }
        #expect(
            throws: LedgerError.corrupt(
                .newerVersion(what: "ledger log blob", found: 9, supported: Int(LedgerFrame.version)))
        ) {
            _ = try open(log)
        }
        #expect(try log.beginEpoch() == 2)
    }

    @Test func aDamagedBlobAndAHoleAreTypedErrors() throws {
        var (sequencer, log) = try opened()
        for number in 0..<3 { _ = sequencer.run([object("o\(number)", run())]) }
        log.replaceBlobs { $0[1].blob.setInteger(0xFF as UInt8, at: 20) }
        #expect {
            _ = try open(log)
        } throws: { error in
            guard case .corrupt(.checksum) = error as? LedgerError else { return false }
            return true
        }
        log.replaceBlobs { $0.remove(at: 1) }
        #expect(throws: LedgerError.corrupt(.sequence(expected: 2, found: 3))) { _ = try open(log) }
    }

    /// Faults at every step, by seed: acknowledged commits are there after every reopening, exactly once; the high
    /// watermark never moves back; what was once visible stays; offsets are dense.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func noFaultLosesOrDoublesACommit(seed: UInt64) throws {
        var configuration = LedgerConfiguration()
        configuration.snapshotEveryBlobs = 7
        configuration.snapshotPieceBytes = 200
        let log = MemoryFencedLog()
        let random = Mutex(SeededRandom(seed: seed))
        var sequencer = try open(log, configuration)
        while (try? sequencer.run([create("gnss", 1, partitions: 1)])[0].get()) == nil {}
        var acknowledged: [String: LedgerAnswer] = [:]
        var pending: [String] = []
        var highest: Int64 = 0
        log.setFaults { _ in
            random.withLock { random in
                switch Int.random(in: 0..<12, using: &random) {
                case 0: .errorBeforeEffect
                case 1: .errorAfterEffect
                case 2: .errorBeforeLateEffect
                case 3: Int.random(in: 0..<20, using: &random) == 0 ? .fencedBefore : nil
                default: nil
                }
            }
        }
        for step in 0..<60 {
            // New commands, retries of failed ones, and repeats of acknowledged ones.
            pending += (0..<random.withLock { Int.random(in: 0...3, using: &$0) }).map { "s\(step)-\($0)" }
            let repeats = acknowledged.keys.sorted().prefix(random.withLock { Int.random(in: 0...2, using: &$0) })
            let keys = pending + repeats
            let results = sequencer.run(keys.map { object($0, run()) }[...])
            for (key, result) in zip(keys, results) {
                guard let answer = try? result.get() else { continue }
                #expect(acknowledged[key, default: answer] == answer, "seed \(seed)")
                acknowledged[key] = answer
            }
            pending.removeAll { acknowledged[$0] != nil }
            _ = sequencer.housekeep()
            if !sequencer.isServing || random.withLock({ Int.random(in: 0..<8, using: &$0) == 0 }) {
                // Opening fails while faults strike; it is tried again as a supervisor would.
                while true {
                    guard let next = try? open(log, configuration) else { continue }
                    sequencer = next
                    break
                }
            }
            let mark = sequencer.view.partition(topicID(1), 0)?.highWatermark ?? -1
            #expect(mark >= highest, "seed \(seed)")
            highest = mark
        }
        log.setFaults(nil)
        let final = try open(log, configuration)
        let bases = acknowledged.values.compactMap { answer -> Int64? in
            guard case .runs(let runs) = answer, case .committed(let base, _) = runs.first else { return nil }
            return base
        }
        #expect(bases.count == acknowledged.count, "seed \(seed)")
        #expect(Set(bases).count == bases.count, "seed \(seed)")
        for (key, _) in acknowledged { #expect(final.view.object(key)?.extentCount == 1, "seed \(seed)") }
        let extents = final.view.extents(topicID(1), 0, from: 0, maxBytes: .max, maxCount: .max)
        #expect(extents.map(\.baseOffset) == (0..<extents.count).map { Int64($0 * 10) }, "seed \(seed)")
        #expect(Set(extents.map(\.objectKey)).count == extents.count, "seed \(seed)")
        #expect((final.view.partition(topicID(1), 0)?.highWatermark ?? -1) >= highest, "seed \(seed)")
        #expect(!acknowledged.isEmpty, "seed \(seed)")
    }
}
