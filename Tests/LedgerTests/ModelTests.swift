import KafkaProtocol
import Testing

@testable import Ledger

/// The state against a twin so simple that it is seen to be right: every partition is the list of its records' origins.
@Suite struct ModelTests {
    private struct Twin {
        struct Partition {
            /// One entry per record ever committed: the object it lies in.
            var records: [String] = []
            var logStart = 0
        }
        var partitions: [TopicPartition: Partition] = [:]
        var answers: [String: [RunOutcome]] = [:]
        var tombstones: Set<String> = []

        mutating func commit(_ commit: ObjectCommit) -> [RunOutcome]? {
            if tombstones.contains(commit.key) { return nil }
            if let answer = answers[commit.key] { return answer }
            let outcomes = commit.runs.map { run -> RunOutcome in
                let place = TopicPartition(topicID: run.topicID, partition: run.partition)
                guard let partition = partitions[place] else { return .rejected(.unknownTopicOrPartition) }
                let base = partition.records.count
                partitions[place]?.records += Array(repeating: commit.key, count: Int(run.recordCount))
                return .committed(baseOffset: Int64(base), logStart: Int64(partition.logStart))
            }
            answers[commit.key] = outcomes
            return outcomes
        }

        func isNamed(_ key: String) -> Bool {
            partitions.values.contains { $0.records[$0.logStart...].contains(key) }
        }
    }

    @Test(arguments: 0..<30 as Range<UInt64>)
    func theStateDoesWhatItsTwinDoes(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        var state = LedgerState()
        var twin = Twin()
        for topic in 1...2 as ClosedRange<UInt64> {
            try state.submit(create("t\(topic)", topic, partitions: 2))
            for partition in 0..<2 as Range<Int32> { twin.partitions[place(topic, partition)] = .init() }
        }
        for step in 0..<150 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6: try commit(&state, &twin, step, &random)
            case 6..<8: try advanceSome(&state, &twin, &random)
            default: try mark(&state, &twin, step, &random)
            }
            if step % 25 == 0 { state = try LedgerState(decodingSnapshot: state.encodedSnapshot()) }
            check(state, twin)
        }
    }

    private func commit(
        _ state: inout LedgerState, _ twin: inout Twin, _ step: Int, _ random: inout SeededRandom
    ) throws {
        // Now and then a key of before: a retry, or a late commit.
        let number = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0...step, using: &random) : step
        var position: Int64 = 0
        let runs = (0..<Int.random(in: 0...4, using: &random))
            .map { _ in
                defer { position += 100 }
                return run(
                    UInt64.random(in: 1...2, using: &random), Int32.random(in: 0...2, using: &random), at: position,
                    records: Int64.random(in: 1...5, using: &random))
            }
        let commit = ObjectCommit(
            key: "o\(number)", sizeBytes: 10_000, nodeID: 1, nodeEpoch: 1, runs: runs, nowMs: Int64(step))
        let expected = twin.commit(commit)
        guard let expected else {
            #expect(state.refusal(of: .commitObject(commit)) == .tombstoned(key: commit.key))
            return
        }
        let answer = try state.submit(.commitObject(commit))
        #expect(answer == .runs(expected))
    }

    private func advanceSome(_ state: inout LedgerState, _ twin: inout Twin, _ random: inout SeededRandom) throws {
        let topic = UInt64.random(in: 1...2, using: &random)
        let partition = Int32.random(in: 0..<2, using: &random)
        let count = twin.partitions[place(topic, partition)]?.records.count ?? 0
        let wanted = Int.random(in: 0...(count + 1), using: &random)
        try state.submit(advance(topic, partition, to: Int64(wanted)))
        guard wanted <= count else { return }
        let present = twin.partitions[place(topic, partition)]?.logStart ?? 0
        twin.partitions[place(topic, partition)]?.logStart = max(present, wanted)
    }

    private func mark(
        _ state: inout LedgerState, _ twin: inout Twin, _ step: Int, _ random: inout SeededRandom
    ) throws {
        let key = "o\(Int.random(in: 0...step, using: &random))"
        let answer = try state.submit(.markObjectsDeleting(keys: [key], nowMs: Int64(step)))
        let isNamed = twin.isNamed(key)
        #expect(answer == .objects(isNamed ? ObjectMarks(refused: [key]) : ObjectMarks(marked: [key])))
        if !isNamed { twin.tombstones.insert(key) }
    }

    private func check(_ state: LedgerState, _ twin: Twin) {
        for (place, partition) in twin.partitions {
            let facts = state.topics.partition(place.topicID, place.partition)?.facts
            #expect(facts?.highWatermark == Int64(partition.records.count))
            #expect(facts?.logStart == Int64(partition.logStart))
            let extents = state.extents(
                place.topicID, place.partition, from: Int64(partition.logStart), maxBytes: .max, maxCount: .max)
            var next = Int64(partition.logStart)
            for extent in extents {
                #expect(extent.baseOffset <= next)
                for offset in next...extent.lastOffset {
                    #expect(partition.records[Int(offset)] == extent.objectKey)
                }
                next = extent.lastOffset + 1
            }
            #expect(next == Int64(partition.records.count))
        }
    }

    @Test(arguments: 0..<5 as Range<UInt64>)
    func equalCommandsMakeEqualSnapshotBytesAlsoAcrossAReopening(seed: UInt64) throws {
        var plain = try LedgerState.withTopic()
        var reopened = try LedgerState.withTopic()
        var random = SeededRandom(seed: seed)
        for step in 0..<800 {
            let partition = Int32.random(in: 0..<3, using: &random)
            let command =
                switch Int.random(in: 0..<20, using: &random) {
                case 0: advance(1, partition, to: Int64.random(in: 0...Int64(step), using: &random))
                case 1: LedgerCommand.markObjectsDeleting(keys: ["o\(step / 3)", "x\(step)"], nowMs: Int64(step))
                case 2: LedgerCommand.forgetObjects(keys: ["o\(step / 5)"], nowMs: Int64(step))
                default:
                    object(
                        "o\(step)", nowMs: Int64(step), run(1, partition, stamps: [stamp(Int64(step % 50), 0...9)]),
                        run(1, partition, at: 100), run(1, partition, at: 200 + Int64(step % 2)))
                }
            _ = try? plain.submit(command)
            _ = try? reopened.submit(command)
            if step % 97 == 0 { reopened = try LedgerState(decodingSnapshot: reopened.encodedSnapshot()) }
        }
        #expect(plain.encodedSnapshot() == reopened.encodedSnapshot())
    }
}
