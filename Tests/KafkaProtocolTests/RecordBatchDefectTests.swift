import CChecksum
import CZstd
import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Bad record batches")
struct RecordBatchDefectTests {
    /// The reference batch with `bytes` at `index` and a checksum that is right again.
    private func altered(_ bytes: String, at index: Int, of batch: ByteBuffer = RecordBatchTests.reference)
        -> ByteBuffer
    {
        var batch = batch
        batch.setBuffer(ByteBuffer(hex: bytes), at: index)
        return sealed(batch)
    }

    private func sealed(_ batch: ByteBuffer) -> ByteBuffer {
        var batch = batch
        let crc = batch.withUnsafeReadableBytes { cairn_crc32c(0, $0.baseAddress! + 21, $0.count - 21) }
        batch.setInteger(crc, at: 17)
        return batch
    }

    /// A batch of `count` records whose payload is `payload`.
    private func batch(count: Int32, attributes: Int16 = 0, payload: ByteBuffer) -> ByteBuffer {
        var batch = RecordBatchTests.reference.prefix(RecordBatchHeader.sizeBytes)
        batch.setInteger(attributes, at: 21)
        batch.setInteger(count - 1, at: 23)
        batch.setInteger(count, at: 57)
        batch.writeImmutableBuffer(payload)
        batch.setInteger(Int32(batch.readableBytes - 12), at: 8)
        return sealed(batch)
    }

    @Test("each check of the header refuses with its own error and numbers")
    func headerChecks() {
        let cases: [(ByteBuffer, RecordBatchError)] = [
            (altered("01", at: 16), .magicUnsupported(1)),
            (altered("00000030", at: 8), .lengthInvalid(lengthBytes: 48)),
            (altered("ffffffff", at: 8), .lengthInvalid(lengthBytes: -1)),
            (altered("0000006d", at: 8), .truncated(neededBytes: 121, availableBytes: 120)),
            (altered("7fffffff", at: 8), .truncated(neededBytes: Int(Int32.max) + 12, availableBytes: 120)),
            (altered("0005", at: 21), .compressionUnknown(codec: 5)),
            (altered("00000003", at: 23), .countInvalid(recordCount: 3, lastOffsetDelta: 3, payloadBytes: 59)),
            (altered("00000000", at: 57), .countInvalid(recordCount: 0, lastOffsetDelta: 2, payloadBytes: 59)),
            (altered("ffffffff", at: 57), .countInvalid(recordCount: -1, lastOffsetDelta: 2, payloadBytes: 59)),
            (altered("80000000", at: 57), .countInvalid(recordCount: .min, lastOffsetDelta: 2, payloadBytes: 59)),
            (
                altered("0000000000000000", at: 35),
                .timestampsInvalid(baseMs: 1_700_000_000_000, maxMs: 0)
            ),
        ]
        for (bytes, error) in cases {
            #expect(throws: error) { try RecordBatch.validateOne(bytes) }
            #expect(throws: error) { try RecordBatch.validate(bytes) }
        }
    }

    @Test("a count that the bytes cannot hold is refused before anybody trusts it")
    func countClaim() {
        var batch = altered("00000063", at: 23)
        batch = altered("00000064", at: 57, of: batch)
        #expect(throws: RecordBatchError.countInvalid(recordCount: 100, lastOffsetDelta: 99, payloadBytes: 59)) {
            try RecordBatch.validateOne(batch)
        }
    }

    @Test("the first timestamp may be larger than the maximum where it means something else")
    func timestampExceptions() throws {
        let early = altered("0000000000000001", at: 35)
        for attributes in ["0008", "0040"] {
            #expect(throws: Never.self) { try RecordBatch.validateOne(altered(attributes, at: 21, of: early)) }
        }
        var reader = try RecordBatchReader(altered("0008", at: 21, of: early))
        #expect(try reader.readAll().map(\.timestampMs) == [1, 1, 1])
    }

    @Test("every flipped byte from the attributes on is seen by the checksum")
    func flipped() {
        for index in 17..<RecordBatchTests.reference.readableBytes {
            var batch = RecordBatchTests.reference
            batch.setInteger(batch.getInteger(at: index, as: UInt8.self)! ^ 0x10, at: index)
            #expect(throws: RecordBatchError.self, "byte \(index)") { try RecordBatch.validateOne(batch) }
        }
    }

    @Test("a batch cut anywhere, or with more behind it, is not one batch")
    func cuts() {
        let whole = RecordBatchTests.reference
        for cut in 0..<whole.readableBytes {
            #expect(throws: RecordBatchError.self) { try RecordBatch.validateOne(whole.prefix(cut)) }
            if cut > 0 { #expect(throws: RecordBatchError.self) { try RecordBatch.validate(whole.prefix(cut)) } }
            #expect(throws: RecordBatchError.self) { try RecordBatchReader(whole.prefix(cut)) }
        }
        var two = whole
        two.writeImmutableBuffer(whole)
        #expect(throws: RecordBatchError.trailingBytes(batchBytes: 120, bufferBytes: 240)) {
            try RecordBatch.validateOne(two)
        }
        #expect(throws: Never.self) { try RecordBatch.validate(two) }
        #expect(throws: Never.self) { try RecordBatch.validate(ByteBuffer()) }
        two.writeInteger(UInt8(0))
        #expect(throws: RecordBatchError.truncated(neededBytes: 61, availableBytes: 1)) {
            try RecordBatch.validate(two)
        }
    }

    @Test("each defect inside a record is named, with the record's place")
    func recordDefects() throws {
        // Length, attributes, two deltas, key, value, header count.
        let good = "10 00 00 00 0261 0262 00"
        let cases: [(String, Int, RecordDefect)] = [
            ("", 0, .truncated),
            ("ffffffffffffffffffffff 00000000000000", 0, .varintTooLong),
            ("01 00 00 00 01 01 00", 0, .lengthInvalid(-1)),
            ("7e 00 00 00 01 01 00", 0, .lengthInvalid(63)),
            ("0c 00 00 02 01 01 00", 0, .offsetDeltaInvalid(expected: 0, found: 1)),
            ("0c 00 00 00 03 01 00", 0, .lengthInvalid(-2)),
            ("0c 00 00 00 7e 01 00", 0, .lengthInvalid(63)),
            ("0c 00 00 00 01 01 04", 0, .lengthInvalid(2)),
            ("12 00 00 00 01 01 02 02ff 01", 0, .headerKeyNotUTF8),
            ("12 00 00 00 01 01 02 01 01 00", 0, .lengthInvalid(-1)),
            ("10 00 00 00 01 01 00 aabb", 0, .trailingBytes(2)),
            (good + "10 00 00 00 0261 0262 00", 1, .offsetDeltaInvalid(expected: 1, found: 0)),
            (good + "10 00 00 02 0261 0262 00 77", 2, .trailingBytes(1)),
        ]
        for (hex, index, defect) in cases {
            let bad = batch(count: 2, payload: ByteBuffer(hex: hex))
            #expect(throws: RecordBatchError.recordMalformed(index: index, reason: defect), "\(hex)") {
                try RecordBatch.validateRecords(of: bad)
            }
            var reader = try RecordBatchReader(bad)
            #expect(throws: RecordBatchError.recordMalformed(index: index, reason: defect), "\(hex)") {
                try reader.readAll()
            }
        }
    }

    @Test("records that are as they should be pass, compressed ones unopened")
    func goodRecords() {
        for batch in [RecordBatchTests.reference, RecordBatchTests.gzipped, RecordBatchTests.zstandard] {
            #expect(throws: Never.self) { try RecordBatch.validateRecords(of: batch) }
        }
        #expect(throws: RecordBatchError.truncated(neededBytes: 120, availableBytes: 119)) {
            try RecordBatch.validateRecords(of: RecordBatchTests.reference.prefix(119))
        }
    }

    @Test("garbled records never trap, whatever the checksum says", arguments: 1...200 as ClosedRange<UInt64>)
    func garbledRecords(_ seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for original in [RecordBatchTests.reference, RecordBatchTests.zstandard] {
            var batch = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let at = Int.random(in: 21..<batch.readableBytes, using: &random)
                batch.setInteger(UInt8(truncatingIfNeeded: random.next()), at: at)
            }
            guard var reader = try? RecordBatchReader(batch, decompressedBytesMax: 1 << 16) else { continue }
            let isReadable = (try? reader.readAll()) != nil
            guard reader.header.compression == .none else { continue }
            // The two walks over the same bytes must agree.
            #expect(((try? RecordBatch.validateRecords(of: batch)) != nil) == isReadable)
        }
    }

    @Test("a count of two thousand million in a small batch takes no memory")
    func hugeCount() throws {
        var reader = try RecordBatchReader(batch(count: .max, payload: ByteBuffer(hex: "10 00 00 00 0261 0262 00")))
        #expect(throws: RecordBatchError.recordMalformed(index: 1, reason: .truncated)) { try reader.readAll() }
        let negative = batch(count: -5, payload: ByteBuffer())
        #expect(throws: RecordBatchError.countInvalid(recordCount: -5, lastOffsetDelta: -6, payloadBytes: 0)) {
            try RecordBatchReader(negative)
        }
    }

    @Test("a payload that grows over the limit is refused, with and without its size in the frame")
    func decompressionLimit() throws {
        var builder = RecordBatchBuilder(compression: .zstd(level: 1))
        builder.append(timestampMs: 0, value: ByteBuffer(repeating: 0, count: 4 << 20))
        let plainBytes = builder.sizeBytes - RecordBatchHeader.sizeBytes
        let bomb = builder.finish()
        #expect(bomb.readableBytes < 2000)
        #expect(throws: RecordBatchError.decompressedTooLarge(limitBytes: 1 << 20)) {
            try RecordBatchReader(bomb, decompressedBytesMax: 1 << 20)
        }
        #expect(throws: RecordBatchError.decompressedTooLarge(limitBytes: plainBytes - 1)) {
            try RecordBatchReader(bomb, decompressedBytesMax: plainBytes - 1)
        }
        var reader = try RecordBatchReader(bomb, decompressedBytesMax: plainBytes)
        #expect(try reader.next()?.value?.readableBytes == 4 << 20)
    }

    @Test("a zstd frame that is cut or is none is an error; several frames are one payload")
    func frames() throws {
        let record = ByteBuffer(hex: "0c 00 00 00 01 01 00")
        #expect(throws: RecordBatchError.self) {
            try RecordBatchReader(batch(count: 1, attributes: 4, payload: record))
        }
        let frame = compressed(record)
        for cut in 1..<frame.readableBytes {
            #expect(throws: RecordBatchError.self, "cut \(cut)") {
                try RecordBatchReader(batch(count: 1, attributes: 4, payload: frame.prefix(cut)))
            }
        }
        var two = frame
        two.writeImmutableBuffer(compressed(ByteBuffer(hex: "0c 00 00 02 01 01 00")))
        var reader = try RecordBatchReader(batch(count: 2, attributes: 4, payload: two))
        #expect(try reader.readAll().count == 2)
    }

    private func compressed(_ bytes: ByteBuffer) -> ByteBuffer {
        var output = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.readableBytes))
        let size = bytes.withUnsafeReadableBytes {
            ZSTD_compress(&output, output.count, $0.baseAddress, $0.count, 1)
        }
        return ByteBuffer(bytes: output[..<size])
    }
}
