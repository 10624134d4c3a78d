import KafkaProtocol
import NIOCore
import Testing

@testable import Uplink
@testable import WriteAheadLog

@Suite("Batch merger")
struct BatchMergerTests {
    @Test("small batches become one compressed batch with the same records")
    func merges() throws {
        var batches: [StoredBatch] = []
        for index in 0..<100 {
            let batch = Batches.plain(["$GPGGA,0927\(index),5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76"])
            batches.append(try Batches.stored(batch, offset: Int64(index) + 7))
        }
        let outputs = BatchMerger().merge(batches)
        #expect(outputs.count == 1)
        #expect(outputs[0].localOffset == 7)
        let header = try RecordBatch.validateOne(outputs[0].batch)
        #expect(header.compression == .zstd)
        #expect(header.recordCount == 100)
        #expect(
            try placed(outputs)
                == placed(batches.map { BatchMerger.Output(batch: $0.batch, localOffset: $0.baseOffset) }))
        #expect(outputs[0].batch.readableBytes * 4 < batches.reduce(0) { $0 + $1.batch.readableBytes })
    }

    @Test("records out are records in, in order, and what is not ours to touch is byte for byte", arguments: 0..<60)
    func fidelity(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        var batches: [StoredBatch] = []
        var kept: [ByteBuffer] = []
        var offset: Int64 = 0
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            let batch: ByteBuffer
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                batch = Batches.random(using: &random, compression: .zstd(level: 3))
                if try RecordBatch.validateOne(batch).compression == .zstd { kept.append(batch) }
            case 1:
                batch = Batches.random(using: &random, producerID: 77)
                kept.append(batch)
            case 2:
                batch = Batches.random(using: &random, producerID: 78, isTransactional: true)
                kept.append(batch)
            case 3:
                batch = with(codec: .lz4, Batches.random(using: &random))
                kept.append(batch)
            default: batch = Batches.random(using: &random)
            }
            if Int.random(in: 0..<15, using: &random) == 0 { offset += 5 }
            let stored = try Batches.stored(batch, offset: offset)
            batches.append(stored)
            offset += Int64(stored.header.recordCount)
        }
        let settings = BatchMerger.Settings(
            mergedBytesMax: Int.random(in: 100...20_000, using: &random),
            mergedRecordsMax: Int.random(in: 1...300, using: &random))
        let outputs = BatchMerger(settings: settings).merge(batches)
        let inputs = batches.map { BatchMerger.Output(batch: $0.batch, localOffset: $0.baseOffset) }
        #expect(try placed(outputs) == placed(inputs))
        for batch in kept { #expect(outputs.contains { $0.batch == batch }) }
        #expect(outputs.count <= inputs.count)
        #expect(BatchMerger(settings: settings).merge(batches) == outputs)
        for output in outputs { _ = try RecordBatch.validateOne(output.batch) }
    }

    @Test("a group ends at its limits of bytes and records")
    func limits() throws {
        let batches = try (0..<10).map { index in
            try Batches.stored(
                Batches.plain(Array(repeating: "the same text again", count: 10)), offset: Int64(index * 10))
        }
        let byRecords = BatchMerger(settings: .init(mergedRecordsMax: 30)).merge(batches)
        #expect(try byRecords.map { try RecordBatch.validateOne($0.batch).recordCount } == [30, 30, 30, 10])
        let size = batches[0].batch.readableBytes
        let byBytes = BatchMerger(settings: .init(mergedBytesMax: size * 2)).merge(batches)
        #expect(try byBytes.map { try RecordBatch.validateOne($0.batch).recordCount } == Array(repeating: 20, count: 5))
    }

    @Test("what does not shrink stays as it was")
    func incompressible() throws {
        var random = SeededRandom(seed: 5)
        var builder = RecordBatchBuilder()
        let noise = (0..<2000).map { _ in UInt8.random(in: 0...255, using: &random) }
        builder.append(timestampMs: 1, value: ByteBuffer(bytes: noise))
        let batch = builder.finish()
        let outputs = BatchMerger().merge([try Batches.stored(batch, offset: 3)])
        #expect(outputs == [BatchMerger.Output(batch: batch, localOffset: 3)])
    }

    @Test("a batch that does not decode is passed on as it is, and so are those beside it")
    func undecodable() throws {
        var broken = Batches.plain(["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b"])
        broken.setInteger(UInt8(0x7e), at: 61)
        let batches = [
            try Batches.stored(Batches.plain(["a", "b"]), offset: 0), try Batches.stored(broken, offset: 2),
            try Batches.stored(Batches.plain(["c"]), offset: 4),
        ]
        #expect(BatchMerger().merge(batches).map(\.batch) == batches.map(\.batch))
    }

    @Test("a garbled record never traps, and spoils nothing but its own batch", arguments: 0..<6)
    func garbled(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let good = Batches.plain(["good", "better"])
        var victim = Batches.random(using: &random)
        while victim.readableBytes > 300 { victim = Batches.random(using: &random) }
        for index in RecordBatchHeader.sizeBytes..<victim.readableBytes {
            for mask in [UInt8(0x01), 0x80, 0xff] {
                var bad = victim
                bad.setInteger((bad.getInteger(at: index, as: UInt8.self) ?? 0) ^ mask, at: index)
                var inputs: [BatchMerger.Output] = []
                var offset: Int64 = 0
                for batch in [good, bad, good] {
                    inputs.append(BatchMerger.Output(batch: batch, localOffset: offset))
                    offset += Int64(try RecordBatchHeader(reading: batch, at: 0).recordCount)
                }
                let outputs = BatchMerger().merge(
                    try inputs.map { try Batches.stored($0.batch, offset: $0.localOffset) })
                if (try? Batches.records(bad)) == nil {
                    #expect(outputs == inputs)
                } else {
                    #expect(try unchecked(outputs) == unchecked(inputs))
                }
            }
        }
    }

    @Test("a batch whose base time lies after all its records is not merged into an invalid one")
    func lyingBaseTime() throws {
        var builder = RecordBatchBuilder()
        for back in 0..<20 { builder.append(timestampMs: Int64(-back), value: ByteBuffer(string: "some text again")) }
        var lying = builder.finish()
        lying.setInteger(UInt8(1), at: 63)  // the first record's time: one before the base
        let outputs = BatchMerger().merge([try Batches.stored(lying, offset: 0)])
        #expect(outputs.map(\.batch) == [lying])
    }

    @Test("a batch of more than a small one's size stays as it is")
    func largeStays() throws {
        let batch = Batches.plain([String(repeating: "x", count: 2000)])
        let merger = BatchMerger(settings: .init(mergeableBytesMax: 1000))
        #expect(merger.merge([try Batches.stored(batch, offset: 0)]).map(\.batch) == [batch])
        #expect(BatchMerger().merge([try Batches.stored(batch, offset: 0)]).map(\.batch) != [batch])
    }

    private func unchecked(_ outputs: [BatchMerger.Output]) throws -> [PlacedRecord] {
        try outputs.flatMap { output in
            try Batches.records(output.batch).map { PlacedRecord($0, baseOffset: output.localOffset) }
        }
    }

    @Test("no batches, no output")
    func empty() {
        #expect(BatchMerger().merge([]).isEmpty)
    }

    /// Records by offset; a batch of a codec we do not open counts as its bytes.
    private func placed(_ outputs: [BatchMerger.Output]) throws -> [PlacedRecord] {
        try outputs.flatMap { output -> [PlacedRecord] in
            let header = try RecordBatch.validateOne(output.batch)
            guard header.compression == .none || header.compression == .zstd else {
                return [
                    PlacedRecord(Record(timestampMs: 0, value: output.batch), baseOffset: output.localOffset)
                ]
            }
            return try Batches.records(output.batch).map { PlacedRecord($0, baseOffset: output.localOffset) }
        }
    }

    /// The batch with another codec's number, and its CRC set right: a client's payload that we cannot read.
    private func with(codec: Compression, _ batch: ByteBuffer) -> ByteBuffer {
        var batch = batch
        batch.setInteger(Int16(codec.rawValue), at: 21)
        var crc = ~UInt32(0)
        for byte in batch.readableBytesView.dropFirst(21) {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0x82F6_3B78 }
        }
        batch.setInteger(~crc, at: 17)
        return batch
    }
}
