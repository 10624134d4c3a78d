import KafkaProtocol
import Testing

@testable import Ledger

/// Batches that are durable in the log of a volume, before an object holds them.
@Suite("Logs of volumes") struct LogCommitTests {
    private func registered() throws -> LedgerState {
        var state = try LedgerState.withTopic()
        try state.submit(register())
        return state
    }

    @Test("a volume that is new has no LSN; one that is known tells its last, to whoever takes it over")
    func registration() throws {
        var state = try LedgerState.withTopic()
        #expect(try state.submit(register()) == .volume(lastLSN: 0))
        try state.submit(log(run(at: 7)))
        #expect(try state.decide(register()) == LedgerDecision(answer: .volume(lastLSN: 7)))
        #expect(try state.submit(register(2)) == .volume(lastLSN: 7))
        let other = RegisterVolume(volume: topicID(901), nodeID: 2, nowMs: 1)
        #expect(try state.submit(.registerVolume(other)) == .volume(lastLSN: 0))
        #expect(state.volumes.all[volumeID]?.number == 0)
        #expect(state.volumes.all[topicID(901)]?.number == 1)
        let zero = RegisterVolume(volume: .zero, nodeID: 2, nowMs: 1)
        #expect(state.refusal(of: .registerVolume(zero)) == .invalidText(field: "volume"))
    }

    @Test("batches get offsets and are shown at their place in the log")
    func extents() throws {
        var state = try registered()
        let answer = try state.submit(log(run(at: 3, bytes: 70), run(1, 1, at: 4), run(at: 9, bytes: 80)))
        #expect(
            answer
                == .runs([
                    .committed(baseOffset: 0, logStart: 0), .committed(baseOffset: 0, logStart: 0),
                    .committed(baseOffset: 10, logStart: 0),
                ]))
        let shown = state.shown()
        #expect(shown.map(\.source) == [.log(volume: volumeID, lsn: 3), .log(volume: volumeID, lsn: 9)])
        #expect(shown.map(\.position) == [3, 9])
        #expect(shown.map(\.lengthBytes) == [70, 80])
        #expect(shown.map(\.lastOffset) == [9, 19])
        #expect(state.partition()?.sizeBytes == 150)
        #expect(state.logExtents(of: volumeID).map(\.lsn) == [3, 4, 9])
        #expect(state.logExtents(of: volumeID).map(\.place) == [place(1, 0), place(1, 1), place(1, 0)])
        #expect(state.logExtents(of: topicID(5)).isEmpty)
    }

    @Test("neighbours in a log are not one extent: each batch is uploaded by its own LSN")
    func unmerged() throws {
        var state = try registered()
        try state.submit(log(run(at: 1), run(at: 2)))
        #expect(state.partition()?.extents.count == 2)
    }

    @Test("LSNs rise from run to run and from commit to commit, or all of the commit is refused")
    func order() throws {
        var state = try registered()
        try state.submit(log(run(at: 5)))
        for commit in [log(run(at: 5), run(at: 6)), log(run(at: 4)), log(run(at: 8), run(at: 8)), log(run(at: 0))] {
            #expect(state.refusal(of: commit)?.errorCode == .invalidRequest)
        }
        let refusal = state.refusal(of: log(run(at: 8), run(at: 7)))
        #expect(refusal == .overlappingLSN(firstLSN: 7, expected: 9))
        let beyond = Int64(PackedExtent.lsnMax) + 1
        #expect(state.refusal(of: log(run(at: beyond)))?.errorCode == .invalidRequest)
        #expect(try state.submit(log(run(at: beyond - 1))) == .runs([.committed(baseOffset: 10, logStart: 0)]))
    }

    @Test("the last commit repeated is answered again and changes nothing, also after a restart")
    func repetition() throws {
        var state = try registered()
        let commit = log(run(at: 5, stamps: [stamp(7, 0...9)]), run(8, 0, at: 6))
        let answer = try state.submit(commit)
        #expect(answer == .runs([.committed(baseOffset: 0, logStart: 0), .rejected(.unknownTopicOrPartition)]))
        let reloaded = try LedgerState(decodingSnapshot: state.encodedSnapshot())
        #expect(try reloaded.decide(commit) == LedgerDecision(answer: answer))
        try state.submit(log(run(at: 7)))
        #expect(state.refusal(of: commit)?.errorCode == .invalidRequest)
    }

    @Test("a commit of nothing is nothing")
    func nothing() throws {
        #expect(try registered().decide(log()) == LedgerDecision(answer: .runs([])))
    }

    @Test("a node whose volume was taken over may not commit, nor one of an older epoch, nor to an unknown volume")
    func fencing() throws {
        var state = try registered()
        try state.submit(register(2))
        #expect(state.refusal(of: log(run(at: 1)))?.errorCode == .notLeaderOrFollower)
        #expect(try state.submit(log(run(at: 1), node: 2, epoch: 4)) == .runs([.committed(baseOffset: 0, logStart: 0)]))
        let old = state.refusal(of: log(run(at: 2), node: 2, epoch: 3))
        #expect(old == .nodeFenced(nodeID: 2, epoch: 3, currentEpoch: 4))
        let unknown = LogCommit(volume: topicID(5), nodeID: 1, nodeEpoch: 1, runs: [run(at: 1)], nowMs: 1)
        #expect(state.refusal(of: .commitLog(unknown)) == .invalidText(field: "volume"))
    }

    @Test("duplicates and refused batches are answered one by one, and their LSNs are used up")
    func outcomes() throws {
        var state = try registered()
        let answer = try state.submit(
            log(
                run(at: 1, stamps: [stamp(7, 0...9)]), run(at: 2, stamps: [stamp(7, 0...9)]),
                run(at: 3, stamps: [stamp(7, 20...29)]), run(9, 0, at: 4)))
        #expect(
            answer
                == .runs([
                    .committed(baseOffset: 0, logStart: 0), .duplicate(baseOffset: 0, timestampMs: 2_000),
                    .rejected(.outOfOrderSequenceNumber), .rejected(.unknownTopicOrPartition),
                ]))
        #expect(state.volumes.all[volumeID]?.lastLSN == 4)
        #expect(state.logExtents(of: volumeID).map(\.lsn) == [1])
    }

    @Test("batches of a log join transactions as others do")
    func transactions() throws {
        var state = try registered()
        try state.submit(initialise())
        try state.submit(log(run(at: 1, stamps: [stamp(1, 0...9)], .adds)))
        #expect(state.lastStable() == 0)
        try state.submit(end(.abort, raising: true))
        #expect(state.partition()?.aborted(in: 0..<1).count == 1)
        #expect(
            state.shown().map(\.source)
                == [
                    .log(volume: volumeID, lsn: 1), .marker(TransactionMarker(producerID: 1, epoch: 1, commits: false)),
                ])
    }

    @Test("what lies before the log start or in a deleted topic is not kept in the log any more")
    func released() throws {
        var state = try registered()
        try state.submit(create("other", 2))
        try state.submit(log(run(at: 1), run(2, 0, at: 2), run(at: 3)))
        try state.submit(advance(1, 0, to: 10))
        #expect(state.logExtents(of: volumeID).map(\.lsn) == [2, 3])
        try state.submit(.deleteTopic(DeleteTopic(topic: .id(topicID(2)), nowMs: 1)))
        #expect(state.logExtents(of: volumeID).map(\.lsn) == [3])
        #expect(state.partition()?.sizeBytes == 100)
    }

    @Test("retention takes the records' time, and keeps what has none while only a log has it")
    func retention() throws {
        var state = try registered()
        try state.submit(log(run(at: 1, maxMs: 1_000), run(at: 2, minMs: -1, maxMs: -1), run(at: 3, maxMs: 1_000)))
        let start = state.partition().map { state.logStartAfterRetention($0, olderThanMs: 1_001, sizeBytesMax: nil) }
        #expect(start == 10)
    }

    @Test("a volume whose last LSN is the largest number there is takes no more, and does not trap")
    func largestLSN() throws {
        var state = try registered()
        state.apply(.logCommitted(LogCommitted(volume: volumeID, lastLSN: .max, nodeID: 1, nodeEpoch: 1)))
        #expect(state.refusal(of: log(run(at: 1)))?.errorCode == .invalidRequest)
    }
}
