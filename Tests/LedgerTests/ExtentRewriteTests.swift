import KafkaProtocol
import Testing

@testable import Ledger

/// Objects that take the place of extents: uploads of a log, merged and compacted objects.
@Suite("Rewritten extents") struct ExtentRewriteTests {
    private func filled(objects count: Int) throws -> LedgerState {
        var state = try LedgerState.withTopic()
        for number in 0..<count { try state.submit(object("o\(number)", run())) }
        return state
    }

    private let done = LedgerAnswer.runs([.committed(baseOffset: 0, logStart: 0)])
    private let refused = LedgerAnswer.runs([.rejected(.offsetOutOfRange)])

    @Test("the batches of a log are in an object afterwards, under the same offsets")
    func upload() throws {
        var state = try LedgerState.withTopic()
        try state.submit(register())
        try state.submit(log(run(at: 1), run(1, 1, at: 2), run(at: 3), run(at: 4)))
        let runs = [state.rewritten(from: 0, through: 19), state.rewritten(1, from: 0, through: 9, at: 50)]
        #expect(
            try state.submit(state.rewrite("u", runs))
                == .runs([.committed(baseOffset: 0, logStart: 0), .committed(baseOffset: 0, logStart: 0)]))
        let shown = state.shown()
        #expect(shown.map(\.source) == [.object, .log(volume: volumeID, lsn: 4)])
        #expect(shown.map(\.objectKey)[0] == "u")
        #expect(shown.map(\.baseOffset) == [0, 20])
        #expect(shown.map(\.lastOffset) == [19, 29])
        #expect(shown[0].committedMs == 4_000)
        #expect(state.logExtents(of: volumeID).map(\.lsn) == [4])
        #expect(state.objects.facts("u")?.extentCount == 2)
        #expect(state.watermarks() == [0, 30])
    }

    @Test("objects and markers are merged, and what nothing names any more can be deleted")
    func merge() throws {
        var state = try filled(objects: 2)
        try state.submit(initialise())
        try state.submit(object("tx", run(stamps: [stamp(1, 0...9)], .adds), run(1, 1, at: 100)))
        try state.submit(end(.abort))
        #expect(state.partition()?.sizeBytes == 300 + Int64(TransactionMarker.batchBytes))
        #expect(try state.submit(state.rewrite("m", from: 0, through: 30, holdsOffsets: true, nowMs: 9_000)) == done)
        #expect(state.shown().map(\.source) == [.objectWithOffsets])
        #expect(state.partition()?.sizeBytes == 50)
        #expect(state.partition()?.aborted(in: 0..<100).count == 1)
        #expect(state.objects.unreferenced(since: 9_000, limit: 9).map(\.key) == ["o0", "o1"])
        #expect(state.objects.facts("tx")?.state == .live)
        #expect(state.objects.facts("m")?.state == .live)
        let marks = try state.submit(.markObjectsDeleting(keys: ["o0", "tx", "m"], nowMs: 9_001))
        #expect(marks == .objects(ObjectMarks(marked: ["o0"], refused: ["tx", "m"])))
        let reloaded = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(reloaded.shown() == state.shown())
        #expect(reloaded.objects.all == state.objects.all)
    }

    /// Two aborted transactions of producer 1: records 0 to 9 with the marker 10, records 11 to 20 with the marker 21.
    private func aborted() throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(initialise())
        for (number, key) in ["x", "y"].enumerated() {
            let first = Int32(number) * 10
            try state.submit(object(key, run(stamps: [stamp(1, first...first + 9)], .adds)))
            try state.submit(end(.abort))
        }
        return state
    }

    private let first = AbortedTransaction(producerID: 1, firstOffset: 0)
    private let second = AbortedTransaction(producerID: 1, firstOffset: 11)

    private func named(_ state: LedgerState) -> [Int64] {
        state.partition()?.aborted(in: 0..<100).map(\.firstOffset) ?? []
    }

    @Test("K2: a rewrite forgets the aborted transactions that end in it, and no others")
    func forgotten() throws {
        var state = try aborted()
        #expect(named(state) == [0, 11])
        var run = state.rewritten(from: 0, through: 10)
        run.forgotten = [first, second, AbortedTransaction(producerID: 2, firstOffset: 0)]
        guard case .extentsRewritten(let record) = try state.decide(state.rewrite("m", [run])).records.first else {
            Issue.record("no rewrite")
            return
        }
        #expect(record.runs.map(\.forgotten) == [[first]], "what the log is told is what was known")
        try state.submit(state.rewrite("m", [run]))
        #expect(named(state) == [11])
        var rest = state.rewritten(from: 11, through: 21)
        rest.forgotten = [AbortedTransaction(producerID: 2, firstOffset: 11)]
        try state.submit(state.rewrite("other producer", [rest]))
        #expect(named(state) == [11])
        let reloaded = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(named(reloaded) == [11])
    }

    @Test("K2: a rewrite that is refused forgets nothing, nor does one repeated forget anew")
    func forgottenAndRefused() throws {
        var state = try aborted()
        var run = state.rewritten(from: 0, through: 21)
        run.forgotten = [first, second]
        run.fingerprint ^= 1
        #expect(try state.submit(state.rewrite("m", [run])) == refused)
        #expect(named(state) == [0, 11])
        run.fingerprint ^= 1
        let command = state.rewrite("n", [run])
        #expect(try state.submit(command) == done)
        #expect(named(state) == [])
        #expect(try state.decide(command) == LedgerDecision(answer: done))
        var many = state.rewritten(from: 0, through: 21)
        many.forgotten = Array(repeating: first, count: LedgerLimits.forgottenPerRunMax + 1)
        #expect(state.refusal(of: state.rewrite("many", [many])) != nil)
    }

    @Test("a key repeated gets its first answer, a tombstoned one is refused")
    func repeated() throws {
        var state = try filled(objects: 2)
        let command = state.rewrite("m", from: 0, through: 19)
        try state.submit(command)
        #expect(try state.decide(command) == LedgerDecision(answer: done))
        try state.submit(.markObjectsDeleting(keys: ["late"], nowMs: 1))
        #expect(state.refusal(of: state.rewrite("late", from: 0, through: 19)) == .tombstoned(key: "late"))
    }

    @Test("a rewrite of extents that another has rewritten, or the log start has left, changes nothing")
    func lost() throws {
        var state = try filled(objects: 3)
        let rival = state.rewrite("rival", from: 0, through: 19)
        let late = state.rewrite("late", from: 0, through: 19)
        let whole = state.rewrite("whole", from: 0, through: 29)
        try state.submit(rival)
        #expect(try state.submit(late) == refused)
        #expect(try state.submit(whole) == refused)
        #expect(try state.decide(late) == LedgerDecision(answer: refused))
        #expect(state.shown().map(\.objectKey) == ["rival", "o2"])
        #expect(state.objects.unreferenced(since: .max, limit: 9).map(\.key) == ["o0", "o1", "late", "whole"])
        let tail = state.rewrite("tail", from: 0, through: 29)
        try state.submit(advance(1, 0, to: 20))
        #expect(try state.submit(tail) == refused)
        #expect(state.shown().map(\.objectKey) == ["o2"])
    }

    @Test("a log start inside the first extent is no obstacle")
    func logStartInside() throws {
        var state = try filled(objects: 2)
        try state.submit(advance(1, 0, to: 5))
        let answer = try state.submit(state.rewrite("m", from: 0, through: 19))
        #expect(answer == .runs([.committed(baseOffset: 0, logStart: 5)]))
        #expect(state.shown().map(\.objectKey) == ["m"])
        #expect(state.watermarks() == [5, 20])
    }

    @Test("only whole extents are replaced, by the exact fingerprint")
    func exact() throws {
        var state = try filled(objects: 3)
        for (first, last) in [(0, 18), (1, 19), (0, 30), (-1, 9), (9, 0), (20, 40)] as [(Int64, Int64)] {
            #expect(state.extentRange(topicID(1), 0, from: first, through: last) == nil)
            var run = state.rewritten(from: 0, through: 9)
            run.baseOffset = first
            run.lastOffset = last
            #expect(try state.submit(state.rewrite("x\(first)-\(last)", [run])) == refused)
        }
        var other = state.rewritten(from: 0, through: 9)
        other.fingerprint ^= 1
        #expect(try state.submit(state.rewrite("other", [other])) == refused)
        var nowhere = state.rewritten(from: 0, through: 9)
        nowhere.partition = 7
        #expect(try state.submit(state.rewrite("nowhere", [nowhere])) == .runs([.rejected(.unknownTopicOrPartition)]))
        #expect(state.shown().map(\.objectKey) == ["o0", "o1", "o2"])
    }

    @Test("extents that differ in one number have another fingerprint")
    func fingerprints() throws {
        let base = PackedExtent(
            baseOffset: 5, object: 3, minTimestampMs: 0, maxTimestampMs: 0, position: 7, lengthBytes: 9)
        let changes: [(inout PackedExtent) -> Void] = [
            { _ in }, { $0.baseOffset = 6 }, { $0.object = -3 }, { $0.position = 9 }, { $0.lengthBytes = 7 },
        ]
        let prints = changes.map { change in
            var extent = base
            change(&extent)
            var list = ExtentList()
            list.appendUnmerged(extent)
            return list.fingerprint(0..<1)
        }
        #expect(Set(prints).count == prints.count)
    }

    @Test("several runs of one partition rise, each is taken or refused alone")
    func severalRuns() throws {
        var state = try filled(objects: 6)
        var broken = state.rewritten(from: 20, through: 29, at: 100)
        broken.fingerprint ^= 1
        let runs = [
            state.rewritten(from: 0, through: 19), broken, state.rewritten(from: 40, through: 59, at: 200),
            state.rewritten(from: 30, through: 39, at: 300), state.rewritten(from: 50, through: 59, at: 400),
        ]
        #expect(
            try state.submit(state.rewrite("m", runs))
                == .runs([
                    .committed(baseOffset: 0, logStart: 0), .rejected(.offsetOutOfRange),
                    .committed(baseOffset: 40, logStart: 0), .rejected(.offsetOutOfRange), .rejected(.offsetOutOfRange),
                ]))
        #expect(state.shown().map(\.objectKey) == ["m", "o2", "o3", "m"])
        #expect(state.shown().map(\.baseOffset) == [0, 20, 30, 40])
        #expect(state.objects.facts("m")?.extentCount == 2)
        #expect(state.partition()?.sizeBytes == 300)
        #expect(state.objects.unreferenced(since: .max, limit: 9).map(\.key) == ["o0", "o1", "o4", "o5"])
    }

    @Test("neighbouring runs of one object stay two extents, also after a snapshot")
    func neighbours() throws {
        var state = try filled(objects: 2)
        let runs = [state.rewritten(from: 0, through: 9), state.rewritten(from: 10, through: 19, at: 50)]
        try state.submit(state.rewrite("m", runs))
        #expect(state.objects.facts("m")?.extentCount == 2)
        #expect(state.shown().count == 2)
        #expect(try LedgerState(decodingSnapshot: state.encodedSnapshot()).shown() == state.shown())
        try state.submit(object("next", run(at: 100)))
        #expect(state.shown().count == 3)
    }

    @Test("a node of an older epoch is fenced, a run outside its object refuses all of it")
    func limits() throws {
        var state = try filled(objects: 1)
        var run = state.rewritten(from: 0, through: 9)
        run.position = 9_960
        #expect(state.refusal(of: state.rewrite("m", [run]))?.errorCode == .invalidRequest)
        try state.submit(.registerNode(nodeID: 1, nowMs: 0))
        #expect(state.refusal(of: state.rewrite("m", from: 0, through: 9))?.errorCode == .notLeaderOrFollower)
    }

    @Test(
        "extents that are out of order, as only a damaged record makes them, do not trap",
        arguments: 0..<50 as Range<UInt64>)
    func damaged(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var state = try LedgerState.withTopic()
        let bases: [Int64] = [50, 0, 40, 10, .min, 90, .max - 9, 20, 100].shuffled(using: &random)
        for (number, base) in bases.enumerated() {
            let object = PlacedObject(
                key: "o\(number)", sizeBytes: 100, nowMs: 1, outcomes: [.committed(baseOffset: base, logStart: 0)],
                committed: [run()])
            state.apply(.objectCommitted(ObjectCommitted(object: object, nodeID: 1, nodeEpoch: 1)))
        }
        for base in bases {
            _ = state.extents(topicID(1), 0, from: base, maxBytes: .max, maxCount: .max)
        }
        for first in bases {
            for next in bases + [state.watermarks()?[1] ?? 0] {
                var run = state.rewritten(from: 0, through: 0)
                (run.baseOffset, run.lastOffset) = (first, next &- 1)
                var copy = state
                copy.apply(.extentsRewritten(ExtentsRewritten(key: "m", sizeBytes: 100, runs: [run])))
                #expect(copy.partition()?.extents.isEmpty == false)
            }
        }
    }
}
