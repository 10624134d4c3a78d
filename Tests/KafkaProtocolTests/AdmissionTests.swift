import CChecksum
import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Batches that producers send")
struct AdmissionTests {
    static let nowMs: Int64 = 1_700_000_000_000
    static let codecs: [RecordBatchBuilder.Codec] = [.none, .gzip(), .snappy, .lz4(), .zstd()]

    static func rules(_ change: (inout ProduceRules) -> Void = { _ in }) -> ProduceRules {
        var rules = ProduceRules(nowMs: nowMs)
        change(&rules)
        return rules
    }

    /// Times relative to ``nowMs``; every value compresses.
    static func batch(
        _ codec: RecordBatchBuilder.Codec = .none, timesMs: [Int64] = [0, 5, 5, 2], keyed: Bool = true,
        producerID: Int64 = -1, sequence: Int32 = -1, isTransactional: Bool = false, isControl: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            compression: codec, producerID: producerID, producerEpoch: producerID < 0 ? -1 : 0, baseSequence: sequence,
            isTransactional: isTransactional, isControl: isControl)
        for (number, timeMs) in timesMs.enumerated() {
            builder.append(
                timestampMs: nowMs + timeMs, key: keyed || number == 0 ? ByteBuffer(string: "k\(number)") : nil,
                value: ByteBuffer(string: String(repeating: "value \(number) ", count: 30)))
        }
        return builder.finish()
    }

    /// With `bytes` at `index` and a checksum that is right again.
    static func altered(_ batch: ByteBuffer, _ bytes: String, at index: Int) -> ByteBuffer {
        var batch = batch
        batch.setBuffer(ByteBuffer(hex: bytes), at: index)
        let crc = batch.withUnsafeReadableBytes { cairn_crc32c(0, $0.baseAddress! + 21, $0.count - 21) }
        batch.setInteger(crc, at: 17)
        return batch
    }

    static func refusal(_ records: ByteBuffer?, _ rules: ProduceRules = rules()) -> BatchRefusal? {
        guard case .failure(let refusal) = RecordBatch.admit(records, rules: rules) else { return nil }
        return refusal
    }

    @Test("a good batch of any codec is admitted as it is, not copied", arguments: codecs)
    func good(_ codec: RecordBatchBuilder.Codec) throws {
        for producerID in [Int64(-1), 7] {
            let batch = Self.batch(
                codec, producerID: producerID, sequence: producerID < 0 ? -1 : 0, isTransactional: producerID >= 0)
            let admitted = try RecordBatch.admit(batch, rules: Self.rules { $0.isCompacted = true }).get()
            let header = try RecordBatch.validateOne(batch)
            #expect(admitted.batch == batch && admitted.header == header)
            #expect(admitted.maxTimestampMs == Self.nowMs + 5 && admitted.maxTimestampOffsetDelta == 1)
            #expect(admitted.header.compression == codec.compression)
            let given = batch.withUnsafeReadableBytes { $0.baseAddress }
            #expect(admitted.batch.withUnsafeReadableBytes { $0.baseAddress } == given)
        }
    }

    @Test("batches of other clients are admitted")
    func foreign() throws {
        let rules = Self.rules()
        for batch in [CodecTests.snappy, CodecTests.lz4, RecordBatchTests.gzipped, RecordBatchTests.zstandard] {
            #expect(try RecordBatch.admit(batch, rules: rules).get().batch == batch)
        }
        #expect(
            try RecordBatch.admit(RecordBatchTests.reference, rules: Self.rules()).get().maxTimestampOffsetDelta == 1)
    }

    @Test("P1: anything but one whole batch of magic 2 is INVALID_RECORD")
    func oneBatch() {
        let batch = Self.batch()
        var two = batch
        two.writeImmutableBuffer(batch)
        var longer = batch
        longer.writeInteger(UInt8(0))
        let cases = [nil, ByteBuffer(), batch.prefix(60), batch.prefix(batch.readableBytes - 1), two, longer]
        for records in cases { #expect(Self.refusal(records)?.code == .invalidRecord) }
        for magic in ["00", "01", "03"] {
            #expect(Self.refusal(Self.altered(batch, magic, at: 16))?.code == .invalidRecord)
        }
    }

    @Test("P1: zstd needs version 7 of Produce")
    func zstdVersion() {
        let old = Self.rules { $0.produceVersion = 6 }
        #expect(Self.refusal(Self.batch(.zstd()), old)?.code == .unsupportedCompressionType)
        #expect(Self.refusal(Self.batch(.zstd()), Self.rules { $0.produceVersion = 7 }) == nil)
        #expect(Self.refusal(Self.batch(.lz4()), old) == nil)
        #expect(Self.refusal(Self.altered(Self.batch(), "0005", at: 21))?.code == .unsupportedCompressionType)
    }

    @Test("P2: base offset, count, control records and sequences")
    func header() {
        let batch = Self.batch(producerID: 9, sequence: 0)
        let broken = [
            Self.altered(batch, "0000000000000001", at: 0),
            Self.altered(batch, "00000004", at: 23), Self.altered(batch, "ffffffff", at: 23),
            Self.altered(batch, "00000000", at: 57), Self.altered(batch, "ffffffff", at: 57),
            Self.altered(batch, "ffffffff", at: 53), Self.altered(batch, "ffff", at: 51),
            Self.batch(isControl: true), Self.altered(batch, "0040", at: 21),
        ]
        for records in broken {
            let refusal = Self.refusal(records)
            #expect(refusal?.code == .invalidRecord && refusal?.recordErrors == [], "\(records.prefix(61).hex)")
        }
    }

    @Test("P3: a checksum that is wrong, or a length that cannot be, is CORRUPT_MESSAGE")
    func checksum() {
        let batch = Self.batch()
        for index in 17..<batch.readableBytes {
            var flipped = batch
            flipped.setInteger(batch.getInteger(at: index, as: UInt8.self)! ^ 0x40, at: index)
            let expected = index == 22 ? [ErrorCode.corruptMessage, .unsupportedCompressionType] : [.corruptMessage]
            #expect(expected.contains(Self.refusal(flipped)?.code ?? .none), "byte \(index)")
        }
        #expect(Self.refusal(Self.altered(batch, "00000030", at: 8))?.code == .corruptMessage)
    }

    @Test("P4: a batch over the limit is MESSAGE_TOO_LARGE, even with a wrong checksum")
    func size() {
        var batch = Self.batch()
        let bytes = batch.readableBytes
        #expect(Self.refusal(batch, Self.rules { $0.batchBytesMax = bytes }) == nil)
        let tight = Self.rules { $0.batchBytesMax = bytes - 1 }
        #expect(Self.refusal(batch, tight)?.code == .messageTooLarge)
        batch.setInteger(UInt32(1), at: 17)
        #expect(Self.refusal(batch, tight)?.code == .messageTooLarge)
        let little = Self.rules { $0.decompressedBytesMax = 100 }
        #expect(Self.refusal(Self.batch(.gzip()), little)?.code == .messageTooLarge)
    }

    @Test("P5: a compacted topic names each record without a key", arguments: codecs)
    func keys(_ codec: RecordBatchBuilder.Codec) {
        let batch = Self.batch(codec, keyed: false)
        #expect(Self.refusal(batch) == nil)
        let refusal = Self.refusal(batch, Self.rules { $0.isCompacted = true })
        #expect(refusal?.code == .invalidRecord)
        #expect(refusal?.recordErrors.map(\.batchIndex) == [1, 2, 3])
        #expect(refusal?.recordErrors.first?.message?.contains("without a key") == true)
    }

    @Test("P5: a time too early or too late is INVALID_TIMESTAMP with the record's place", arguments: codecs)
    func times(_ codec: RecordBatchBuilder.Codec) {
        let batch = Self.batch(codec, timesMs: [0, 3_600_001, -1000, 3_600_000, -1001])
        #expect(Self.refusal(batch)?.code == .invalidTimestamp)
        #expect(Self.refusal(batch)?.recordErrors.map(\.batchIndex) == [1])
        let narrow = Self.rules { $0.beforeMaxMs = 1000 }
        #expect(Self.refusal(batch, narrow)?.recordErrors.map(\.batchIndex) == [1, 4])
        #expect(Self.refusal(batch, Self.rules { $0.timestampType = .logAppendTime }) == nil)
        #expect(Self.refusal(batch, Self.rules { $0.afterMaxMs = .max }) == nil)
        // A record without a time has none that could be wrong.
        let timeless = Self.batch(codec, timesMs: [-Self.nowMs - 1, -Self.nowMs - 1])
        #expect(Self.refusal(timeless, narrow) == nil)
    }

    @Test("P5: keys and times together are INVALID_RECORD; a long list is cut")
    func mixed() {
        let batch = Self.batch(timesMs: [3_700_000, 0], keyed: false)
        let refusal = Self.refusal(batch, Self.rules { $0.isCompacted = true })
        #expect(refusal?.code == .invalidRecord && refusal?.recordErrors.map(\.batchIndex) == [0, 1])
        let many = Self.batch(timesMs: Array(repeating: 0, count: 500), keyed: false)
        let long = Self.refusal(many, Self.rules { $0.isCompacted = true })
        #expect(long?.recordErrors.count == BatchRefusal.recordErrorsMax && long?.message.hasPrefix("499 ") == true)
    }

    @Test("P5: a producer may not say LogAppendTime")
    func logAppendTimeOfProducer() {
        let batch = Self.altered(Self.batch(), "0008", at: 21)
        #expect(Self.refusal(batch)?.code == .invalidTimestamp)
        #expect(Self.refusal(batch, Self.rules { $0.timestampType = .logAppendTime })?.code == .invalidTimestamp)
    }

    @Test("P5: records that do not parse are INVALID_RECORD, whatever their codec", arguments: codecs)
    func malformed(_ codec: RecordBatchBuilder.Codec) throws {
        let header = try RecordBatch.validateOne(Self.batch())
        // Four records are promised; the payload has other ones.
        for payload in [Self.batch(timesMs: [0, 1, 2]), Self.batch(timesMs: [0, 1, 2, 3, 4])] {
            let wrong = header.batch(CodecTests.payload(of: payload), codec)
            #expect(Self.refusal(wrong)?.code == .invalidRecord)
        }
        let noise = Self.altered(Self.batch(), "000\(codec == .none ? 1 : codec.compression.rawValue)", at: 21)
        #expect(Self.refusal(noise)?.code == .invalidRecord)
    }

    @Test("P6: LogAppendTime sets bit, time and checksum, in a copy", arguments: codecs)
    func logAppendTime(_ codec: RecordBatchBuilder.Codec) throws {
        let batch = Self.batch(codec, producerID: 3, sequence: 5)
        let before = batch.hex
        let admitted = try RecordBatch.admit(batch, rules: Self.rules { $0.timestampType = .logAppendTime }).get()
        #expect(batch.hex == before)
        let header = try RecordBatch.validateOne(admitted.batch)
        #expect(header == admitted.header && header.usesLogAppendTime && header.maxTimestamp == Self.nowMs)
        #expect(header.producerID == 3 && header.baseSequence == 5 && header.compression == codec.compression)
        #expect(admitted.maxTimestampMs == Self.nowMs && admitted.maxTimestampOffsetDelta == 0)
        #expect(CodecTests.payload(of: admitted.batch) == CodecTests.payload(of: batch))
        var reader = try RecordBatchReader(admitted.batch)
        #expect(try reader.readAll().allSatisfy { $0.timestampMs == Self.nowMs })
    }

    @Test("a largest time that is wrong in the header is put right")
    func wrongMaxTimestamp() throws {
        let wrong = Self.altered(Self.batch(), "0000000000000001", at: 35)
        let admitted = try RecordBatch.admit(wrong, rules: Self.rules()).get()
        #expect(admitted.batch == Self.batch() && admitted.maxTimestampMs == Self.nowMs + 5)
    }

    @Test("the codec of the topic replaces every other", arguments: codecs, codecs)
    func recompression(_ from: RecordBatchBuilder.Codec, _ to: RecordBatchBuilder.Codec) throws {
        let batch = Self.batch(from, producerID: 3, sequence: 5, isTransactional: true)
        let admitted = try RecordBatch.admit(batch, rules: Self.rules { $0.compression = .codec(to) }).get()
        if from == to { #expect(admitted.batch == batch) }
        let header = try RecordBatch.validateOne(admitted.batch)
        #expect(header.compression == to.compression && header.isTransactional && header.baseSequence == 5)
        #expect(header.maxTimestamp == Self.nowMs + 5 && header.baseTimestamp == Self.nowMs)
        var stored = try RecordBatchReader(admitted.batch)
        var sent = try RecordBatchReader(batch)
        #expect(try stored.readAll() == sent.readAll())
        let both = Self.rules {
            $0.compression = .codec(to)
            $0.timestampType = .logAppendTime
            $0.batchBytesMax = 400
        }
        // Uncompressed it is over the limit.
        let result = RecordBatch.admit(batch, rules: both)
        guard from != .none, to != .none else {
            #expect(throws: BatchRefusal.self) { try result.get() }
            return
        }
        #expect(try result.get().header.usesLogAppendTime)
    }

    @Test("garbled batches are refused or admitted, never a trap", arguments: codecs)
    func garbled(_ codec: RecordBatchBuilder.Codec) {
        var random = SeededRandom(seed: 5)
        let rules = Self.rules {
            $0.isCompacted = true
            $0.decompressedBytesMax = 1 << 16
            $0.compression = .codec(.gzip())
        }
        for _ in 0..<500 {
            var batch = Self.batch(codec)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 21..<batch.readableBytes, using: &random)
                let byte = UInt8.random(in: 0...255, using: &random)
                batch = Self.altered(batch, (byte < 16 ? "0" : "") + String(byte, radix: 16), at: place)
            }
            guard case .success(let admitted) = RecordBatch.admit(batch, rules: rules) else { continue }
            #expect(throws: Never.self) { try RecordBatch.validateOne(admitted.batch) }
        }
        let batch = Self.batch(codec)
        for cut in 0..<batch.readableBytes { #expect(Self.refusal(batch.prefix(cut)) != nil) }
    }
}
