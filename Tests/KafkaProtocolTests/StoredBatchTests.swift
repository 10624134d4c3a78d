import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Batches of a compacted log")
struct StoredBatchTests {
    static let codecs = AdmissionTests.codecs
    static let nowMs = AdmissionTests.nowMs

    /// Eight records at offsets 100 to 107, times from ``nowMs`` on, out of order.
    static func batch(_ codec: RecordBatchBuilder.Codec, logAppendTimeMs: Int64? = nil) throws -> ByteBuffer {
        let sent = AdmissionTests.batch(
            codec, timesMs: [3, 9, 1, 9, 4, 7, 2, 8], producerID: 5, sequence: 40, isTransactional: true)
        var rules = ProduceRules(nowMs: logAppendTimeMs ?? nowMs)
        if logAppendTimeMs != nil { rules.timestampType = .logAppendTime }
        var batch = try RecordBatch.admit(sent, rules: rules).get().batch
        RecordBatch.setBaseOffset(100, leaderEpoch: 6, in: &batch, at: batch.readerIndex)
        return batch
    }

    static func records(_ batch: ByteBuffer) throws -> [Record] {
        var reader = try RecordBatchReader(stored: batch)
        return try reader.readAll()
    }

    @Test("K1: records go, offsets and producer stay, the checksum is right", arguments: codecs)
    func filtering(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec)
        let original = try RecordBatch.validateOneStored(batch)
        for kept in [[Int32(0)], [7], [2, 5], [0, 1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]] {
            let filtered = try #require(
                try RecordBatch.filtering(batch, deleteHorizonMs: nil) { kept.contains($0.offsetDelta) })
            let header = try RecordBatch.validateOneStored(filtered)
            #expect(header.recordCount == Int32(kept.count) && header.lastOffsetDelta == 7)
            #expect(header.baseOffset == 100 && header.lastOffset == 107 && header.partitionLeaderEpoch == 6)
            #expect(header.producerID == 5 && header.producerEpoch == 0 && header.lastSequence == original.lastSequence)
            #expect(header.isTransactional && !header.hasDeleteHorizon)
            let expected = try Self.records(batch).filter { kept.contains($0.offsetDelta) }
            #expect(try Self.records(filtered) == expected)
            #expect(header.maxTimestamp == expected.map(\.timestampMs).max())
            if kept.count > 1 { #expect(header.compression == codec.compression) }
            // A producer's batch may not look so.
            #expect(throws: RecordBatchError.self) { try RecordBatch.validateOne(filtered) }
            var strict = try RecordBatchReader(filtered)
            if kept != [0], kept != [0, 1, 2, 3, 4, 5, 6] {
                #expect(throws: RecordBatchError.self) { try strict.readAll() }
            }
        }
    }

    @Test("a batch of which all is kept is not written again", arguments: codecs)
    func unchanged(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec)
        #expect(try RecordBatch.filtering(batch, deleteHorizonMs: nil) { _ in true } == nil)
        let marked = try #require(try RecordBatch.filtering(batch, deleteHorizonMs: 55) { _ in true })
        #expect(try RecordBatch.filtering(marked, deleteHorizonMs: 55) { _ in true } == nil)
        #expect(try RecordBatch.filtering(marked, deleteHorizonMs: nil) { _ in true } == nil)
    }

    @Test("K1: a batch of which nothing is kept is a header of 61 bytes", arguments: codecs)
    func emptied(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec)
        let empty = try #require(try RecordBatch.filtering(batch, deleteHorizonMs: 9) { _ in false })
        let header = try RecordBatch.validateOneStored(empty)
        #expect(empty.readableBytes == RecordBatchHeader.sizeBytes && header.recordCount == 0)
        #expect(header.baseOffset == 100 && header.lastOffset == 107 && header.lastSequence == 47)
        #expect(header.producerID == 5 && header.isTransactional && header.compression == .none)
        #expect(header.maxTimestamp == Self.nowMs + 9 && header.baseTimestamp == -1 && !header.hasDeleteHorizon)
        #expect(try Self.records(empty) == [])
        #expect(try RecordBatch.filtering(empty, deleteHorizonMs: 9) { _ in true } == nil)
        #expect(try RecordBatch.recordWithMaxTimestamp(in: empty) == nil)
        #expect(try RecordBatch.firstRecord(in: empty, atOrAfter: 0) == nil)
        #expect(RecordBatch.empty(like: header) == empty)
    }

    @Test("K2: the delete horizon stands in the first timestamp and no record changes", arguments: codecs)
    func deleteHorizon(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec)
        #expect(try RecordBatch.validateOneStored(batch).deleteHorizonMs == nil)
        let horizonMs = Self.nowMs + 86_400_000
        let marked = try #require(
            try RecordBatch.filtering(batch, deleteHorizonMs: horizonMs) { $0.offsetDelta != 3 })
        let header = try RecordBatch.validateOneStored(marked)
        #expect(header.deleteHorizonMs == horizonMs && header.maxTimestamp == Self.nowMs + 9)
        #expect(try Self.records(marked) == Self.records(batch).filter { $0.offsetDelta != 3 })
        let later = try #require(try RecordBatch.filtering(marked, deleteHorizonMs: nil) { $0.offsetDelta != 4 })
        #expect(try RecordBatch.validateOneStored(later).deleteHorizonMs == horizonMs)
        #expect(try Self.records(later).map(\.offsetDelta) == [0, 1, 2, 5, 6, 7])
    }

    @Test("the broker's time stays the time of every record", arguments: codecs)
    func logAppendTime(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec, logAppendTimeMs: Self.nowMs + 500)
        var seenMs: Set<Int64> = []
        let filtered = try #require(
            try RecordBatch.filtering(batch, deleteHorizonMs: nil) { record in
                seenMs.insert(record.timestampMs)
                return record.offsetDelta > 4
            })
        #expect(seenMs == [Self.nowMs + 500])
        let header = try RecordBatch.validateOneStored(filtered)
        #expect(header.usesLogAppendTime && header.maxTimestamp == Self.nowMs + 500)
        let first = RecordPosition(offset: 105, timestampMs: Self.nowMs + 500)
        #expect(try RecordBatch.recordWithMaxTimestamp(in: filtered) == first)
        #expect(try RecordBatch.firstRecord(in: filtered, atOrAfter: Self.nowMs + 500) == first)
        #expect(try RecordBatch.firstRecord(in: filtered, atOrAfter: Self.nowMs + 501) == nil)
    }

    @Test("L1, L2: the record at a time, and the first with the largest, of any codec", arguments: codecs)
    func timestamps(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = try Self.batch(codec)
        func position(_ offset: Int64, _ timeMs: Int64) -> RecordPosition {
            RecordPosition(offset: offset, timestampMs: Self.nowMs + timeMs)
        }
        for (timeMs, expected) in [
            (Int64(-5), position(100, 3)), (3, position(100, 3)), (4, position(101, 9)), (9, position(101, 9)),
        ] {
            #expect(try RecordBatch.firstRecord(in: batch, atOrAfter: Self.nowMs + timeMs) == expected)
        }
        #expect(try RecordBatch.firstRecord(in: batch, atOrAfter: Self.nowMs + 10) == nil)
        #expect(try RecordBatch.recordWithMaxTimestamp(in: batch) == position(101, 9))
        let filtered = try #require(
            try RecordBatch.filtering(batch, deleteHorizonMs: 1) { [3, 6].contains($0.offsetDelta) })
        #expect(try RecordBatch.recordWithMaxTimestamp(in: filtered) == position(103, 9))
        #expect(try RecordBatch.firstRecord(in: filtered, atOrAfter: 0) == position(103, 9))
    }

    @Test("offsets that fall, repeat or leave the batch are errors in a stored batch too")
    func sparseDefects() throws {
        func stored(_ deltas: [Int64], last: Int32) -> ByteBuffer {
            var payload = ByteBuffer()
            for delta in deltas {
                payload.writeRecord(timestampDelta: 0, offsetDelta: delta, key: nil, value: nil, headers: [])
            }
            var header = RecordBatchHeader()
            header.recordCount = Int32(deltas.count)
            header.lastOffsetDelta = last
            return header.batch(payload, .none)
        }
        #expect(try Self.records(stored([0, 4, 9], last: 9)).map(\.offsetDelta) == [0, 4, 9])
        #expect(try Self.records(stored([Int64(Int32.max)], last: .max)).map(\.offsetDelta) == [.max])
        let cases: [([Int64], Int32, Int, Int32, Int64)] = [
            ([0, 4, 10], 9, 2, 5, 10), ([4, 4], 9, 1, 5, 4), ([4, 3], 9, 1, 5, 3), ([-1], 9, 0, 0, -1),
            ([Int64(Int32.max) + 1], .max, 0, 0, Int64(Int32.max) + 1),
        ]
        for (deltas, last, index, expected, found) in cases {
            let error = RecordBatchError.recordMalformed(
                index: index, reason: .offsetDeltaInvalid(expected: expected, found: found))
            #expect(throws: error) { try Self.records(stored(deltas, last: last)) }
            #expect(throws: error) { try RecordBatch.recordWithMaxTimestamp(in: stored(deltas, last: last)) }
        }
        #expect(throws: RecordBatchError.self) { try RecordBatch.validateOneStored(stored([0, 1], last: 0)) }
        #expect(throws: RecordBatchError.self) { try RecordBatch.validateOneStored(stored([], last: -1)) }
        #expect(throws: Never.self) { try RecordBatch.validateOneStored(stored([], last: 0)) }
        var log = stored([0, 4], last: 9)
        log.writeImmutableBuffer(stored([], last: 3))
        #expect(try RecordBatch.validateStored(log).map(\.recordCount) == [2, 0])
    }

    @Test("garbled stored batches never trap", arguments: codecs)
    func garbled(_ codec: RecordBatchBuilder.Codec) throws {
        var random = SeededRandom(seed: 23)
        let batch = try Self.batch(codec)
        for _ in 0..<400 {
            var garbled = batch
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 17..<batch.readableBytes, using: &random)
                garbled.setInteger(UInt8.random(in: 0...255, using: &random), at: place)
            }
            _ = try? RecordBatch.recordWithMaxTimestamp(in: garbled)
            _ = try? RecordBatch.controlType(of: garbled)
            let filtered = try? RecordBatch.filtering(garbled, deleteHorizonMs: 7) { $0.offsetDelta & 1 == 0 }
            guard let filtered else { continue }
            _ = try? Self.records(filtered)
        }
        for cut in 0..<batch.readableBytes {
            #expect(throws: RecordBatchError.self) { try Self.records(batch.prefix(cut)) }
        }
    }
}
