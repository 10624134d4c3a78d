import KafkaProtocol
import NIOCore
import Testing

@testable import Ledger

@Suite struct CodingTests {
    @Test(arguments: sampleCommands)
    func aCommandReadsBackAsItWasWritten(command: LedgerCommand) throws {
        #expect(try LedgerCommand(decoding: command.encoded()) == command)
    }

    @Test(arguments: sampleRecords)
    func aRecordReadsBackAsItWasWritten(record: LedgerRecord) throws {
        let batch = LedgerBatch(sequence: 1 << 40, epoch: 3, records: [record, record])
        #expect(try LedgerBatch(decoding: batch.encoded()) == batch)
    }

    @Test func theSamplesHoldEveryKindOfRecordAndCommand() {
        #expect(
            Set(sampleRecords.map { firstBodyByte(LedgerBatch(sequence: 1, epoch: 1, records: [$0]).encoded(), at: 3) })
                .count == 29)
        #expect(Set(sampleCommands.map { firstBodyByte($0.encoded(), at: 0) }).count == 29)
    }

    private func firstBodyByte(_ frame: ByteBuffer, at index: Int) -> UInt8? {
        frame.getInteger(at: LedgerFrame.headerBytes + index)
    }

    @Test func everyCutOfABlobIsAnError() throws {
        let frame = LedgerBatch(sequence: 9, epoch: 2, records: sampleRecords).encoded()
        for length in 0..<frame.readableBytes {
            let cut = try #require(frame.getSlice(at: 0, length: length))
            #expect(throws: LedgerFormatError.self) { try LedgerBatch(decoding: cut) }
        }
    }

    @Test func everyCutOfABodyUnderAGoodChecksumIsAnError() throws {
        let body = try #require(bodyBytes(LedgerBatch(sequence: 9, epoch: 2, records: sampleRecords).encoded()))
        for length in 0..<body.count {
            let frame = LedgerFrame.blob.wrap(Array(body.prefix(length)))
            #expect(throws: LedgerFormatError.self) { try LedgerBatch(decoding: frame) }
        }
    }

    @Test func everyFlippedByteOfABlobIsAnError() throws {
        let frame = LedgerBatch(sequence: 9, epoch: 2, records: sampleRecords).encoded()
        for index in 0..<frame.readableBytes {
            var flipped = frame
            flipped.setInteger(~(frame.getInteger(at: index) as UInt8? ?? 0), at: index)
            #expect(throws: LedgerFormatError.self) { try LedgerBatch(decoding: flipped) }
        }
    }

    /// Under a good checksum a changed byte may be another value: then it must apply and encode without a trap.
    @Test(arguments: 0..<100 as Range<UInt64>)
    func changedBytesUnderAGoodChecksumNeverTrap(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        for (frame, wrap) in try fuzzSubjects() {
            var bytes = try #require(bodyBytes(frame))
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let changed = wrap.wrap(bytes)
            if let batch = try? LedgerBatch(decoding: changed) {
                var state = try LedgerState.withTopic()
                for record in batch.records { state.apply(record) }
                _ = state.encodedSnapshot()
            }
            if let state = try? LedgerState(decodingSnapshot: changed) { _ = state.encodedSnapshot() }
            if let command = try? LedgerCommand(decoding: changed) {
                var state = try LedgerState.withTopic()
                _ = try? state.submit(command)
            }
        }
    }

    private func fuzzSubjects() throws -> [(ByteBuffer, LedgerFrame)] {
        [
            (LedgerBatch(sequence: 9, epoch: 2, records: sampleRecords).encoded(), .blob),
            (try richState(scale: 1).encodedSnapshot(), .snapshot),
        ] + sampleCommands.map { ($0.encoded(), .command) }
    }

    private func bodyBytes(_ frame: ByteBuffer) -> [UInt8]? {
        frame.getBytes(at: LedgerFrame.headerBytes, length: frame.readableBytes - LedgerFrame.headerBytes)
    }

    @Test(arguments: 0..<100 as Range<UInt64>)
    func garbageIsAnError(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(throws: LedgerFormatError.self) { try LedgerBatch(decoding: ByteBuffer(bytes: bytes)) }
        #expect(throws: LedgerFormatError.self) { try LedgerState(decodingSnapshot: ByteBuffer(bytes: bytes)) }
        #expect(throws: LedgerFormatError.self) { try LedgerCommand(decoding: ByteBuffer(bytes: bytes)) }
    }

    @Test func aPromisedCountBeyondTheBytesIsAnErrorAndNotAnAllocation() {
        var writer = LedgerWriter()
        for number in [1, 1, UInt64.max] { writer.write(number) }
        #expect(throws: LedgerFormatError.self) {
            try LedgerBatch(decoding: LedgerFrame.blob.wrap(writer.bytes))
        }
    }

    @Test func aNewerFormatIsRefusedWithBothVersions() throws {
        let (newer, own) = (LedgerFrame.version + 1, Int(LedgerFrame.version))
        let blob = LedgerBatch(sequence: 1, epoch: 1, records: []).encoded(version: newer)
        #expect(throws: LedgerFormatError.newerVersion(what: "ledger log blob", found: own + 1, supported: own)) {
            try LedgerBatch(decoding: blob)
        }
        let snapshot = LedgerState().encodedSnapshot(version: newer)
        #expect(throws: LedgerFormatError.newerVersion(what: "ledger snapshot", found: own + 1, supported: own)) {
            try LedgerState(decodingSnapshot: snapshot)
        }
        var command = LedgerCommand.allocateProducerID(count: 1).encoded()
        command.setInteger(newer, at: 4)
        #expect(throws: LedgerFormatError.newerVersion(what: "ledger command", found: own + 1, supported: own)) {
            try LedgerCommand(decoding: command)
        }
    }

    @Test func aBlobUnderAnothersNumberIsRefused() {
        let blob = LedgerBatch(sequence: 4, epoch: 1, records: []).encoded()
        #expect(throws: LedgerFormatError.sequence(expected: 5, found: 4)) {
            try LedgerBatch(LogBlob(sequence: 5, epoch: 1, blob: blob))
        }
    }

    @Test func aSnapshotReadsBackAsTheSameStateAndTheSameBytes() throws {
        let state = try richState()
        let bytes = state.encodedSnapshot()
        let read = try LedgerState(decodingSnapshot: bytes)
        #expect(read.encodedSnapshot() == bytes)
        #expect(read.counts() == state.counts())
        #expect(read.objects.all == state.objects.all)
        #expect(read.sites.all == state.sites.all)
        #expect(read.transactions.all == state.transactions.all)
        #expect(read.transactions.ongoing == state.transactions.ongoing)
        #expect(read.transactions.idByProducer == state.transactions.idByProducer)
        #expect(read.volumes.all == state.volumes.all)
        let partitions = state.topics.all.values.map(\.partitions).joined()
        #expect(partitions.contains { !$0.open.isEmpty })
        #expect(partitions.contains { !$0.aborted.isEmpty })
    }

    @Test func everyCutOfASnapshotsBodyIsAnError() throws {
        let body = try #require(bodyBytes(richState(scale: 1).encodedSnapshot()))
        for length in 0..<body.count {
            let frame = LedgerFrame.snapshot.wrap(Array(body.prefix(length)))
            #expect(throws: LedgerFormatError.self) { try LedgerState(decodingSnapshot: frame) }
        }
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 63, 64, 1 << 40, .max])
    func signedNumbersReadBack(value: Int64) throws {
        var writer = LedgerWriter()
        writer.write(signed: value)
        var reader = LedgerReader(ByteBuffer(bytes: writer.bytes))
        #expect(try reader.readSigned() == value)
        try reader.expectEnd()
    }
}

/// A state with something in every corner.
func richState(scale: Int = 100) throws -> LedgerState {
    var state = try richStateOfVersion1(scale: scale)
    for id in ["open", "aborted", "offsets"] {
        try state.submit(.initTransaction(InitTransaction(transactionalID: id, timeoutMs: 60_000, nowMs: 9_100)))
    }
    let ids = ["open", "aborted", "offsets"].compactMap { state.transactions.all[$0]?.producerID }
    try state.submit(object("tx", run(3, 0, stamps: [stamp(ids[0], 0...9)], .adds)))
    try state.submit(object("ty", run(3, 0, stamps: [stamp(ids[1], 0...9)], .adds), run(3, 0, at: 100)))
    let end = EndTransaction(
        transactionalID: "aborted", producerID: ids[1], epoch: 0, commits: false, raisesEpoch: true, nowMs: 9_200)
    try state.submit(.endTransaction(end))
    let offset = CommitGroupOffsets.Item(topicID: topicID(3), partition: 0, offset: 3, metadata: "y")
    let offsets = CommitTransactionOffsets(
        transactionalID: "offsets", producerID: ids[2], epoch: 0, group: "h", items: [offset], addsGroup: true,
        nowMs: 9_300)
    try state.submit(.commitTransactionOffsets(offsets))
    try state.submit(.registerVolume(RegisterVolume(volume: topicID(77), nodeID: 9, nowMs: 9_400)))
    let log = LogCommit(
        volume: topicID(77), nodeID: 9, nodeEpoch: 1, runs: [run(3, 0, at: 5), run(8, 0, at: 6)], nowMs: 9_500)
    try state.submit(.commitLog(log))
    try state.submit(state.rewrite("merged", topic: 3, 0, from: 0, through: 9))
    return state
}

/// All of it that format version 1 could say.
func richStateOfVersion1(scale: Int = 100) throws -> LedgerState {
    var state = try LedgerState.withTopic()
    try state.submit(create("doomed", 2))
    for number in 0..<Int64(6 * scale) {
        try state.submit(
            object(
                "o\(number)", nowMs: 5_000 + number, run(1, Int32(number % 3), stamps: [stamp(number % 7, 0...9)]),
                run(1, Int32(number % 3), at: 100, minMs: number, maxMs: number * 3), run(8, 0, at: 200)))
    }
    for number in 0..<(50 * scale) { try state.submit(object("d\(number)", nowMs: 1, run(2, 0))) }
    try state.submit(advance(1, 0, to: 15))
    try state.submit(
        adoption(1, lsn: 3...9, creating: [NewTopic(name: "s", id: topicID(3), partitionCount: 1)], siteRun("s")))
    try state.submit(adoption(2, lsn: 12...19, siteRun("s"), siteRun("nowhere", at: 100)))
    let offset = CommitGroupOffsets.Item(topicID: topicID(1), partition: 0, offset: 3, leaderEpoch: 0, metadata: "x")
    try state.submit(.commitGroupOffsets(CommitGroupOffsets(group: "g", items: [offset], nowMs: 4)))
    try state.submit(.registerNode(nodeID: 9, nowMs: 1))
    try state.submit(.deleteTopic(DeleteTopic(topic: .name("doomed"), nowMs: 8_000)))
    try state.submit(.markObjectsDeleting(keys: ["d0", "orphan"], nowMs: 9_000))
    try state.submit(.forgetObjects(keys: ["orphan"], nowMs: 9_001))
    try state.submit(.registerSite(site: "idle", nowMs: 5))
    return state
}
