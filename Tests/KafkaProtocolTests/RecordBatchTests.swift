import NIOCore
import Testing

@testable import KafkaProtocol

@Suite("Record batches")
struct RecordBatchTests {
    /// Written by kafka-python 3.0.12: producer 4711, epoch 3, sequence 42.
    static let reference = ByteBuffer(
        hex: """
            00000000000000000000006c0000000002502caaec0000000000020000018bcfe568000000018bcfe568fa000000000000126700030000
            002a000000034e0000000a62617365311024474e4747412c31040c736f757263650a6e747269700a656d707479011400f403020106d3
            0013000e000104026b0100
            """)
    static let referenceRecords = [
        Record(
            timestampMs: 1_700_000_000_000, offsetDelta: 0, key: ByteBuffer(string: "base1"),
            value: ByteBuffer(string: "$GNGGA,1"),
            headers: [
                RecordHeader(key: "source", value: ByteBuffer(string: "ntrip")), RecordHeader(key: "empty", value: nil),
            ]),
        Record(timestampMs: 1_700_000_000_250, offsetDelta: 1, value: ByteBuffer(hex: "d30013")),
        Record(timestampMs: 1_699_999_999_999, offsetDelta: 2, key: ByteBuffer(string: "k"), value: nil),
    ]
    /// The same author, two values of 120 times "A": gzip and zstd.
    static let gzipped = ByteBuffer(
        hex: """
            00000000000000000000005f0000000002bce616370001000000010000018bcfe568000000018bcfe56801ffffffffffffffffffffffff
            ffff000000021f8b08004cfa046b02ffeb60626060e04a4a2c4e35fcc0e8384080e11f23031313e3003a000053d216cc07010000
            """)
    static let zstandard = ByteBuffer(
        hex: """
            00000000000000000000005a000000000224b313db0004000000010000018bcfe568000000018bcfe56801ffffffffffffffffffffffff
            ffff0000000228b52ffd600700fd0000a888020000000a6261736531f0014100fe0100020201020098605283a64009
            """)

    static func build(_ count: Int, _ codec: RecordBatchBuilder.Codec = .none) -> ByteBuffer {
        var builder = RecordBatchBuilder(compression: codec)
        for number in 0..<count {
            builder.append(timestampMs: Int64(1000 + number), value: ByteBuffer(string: "value number \(number)"))
        }
        return builder.finish()
    }

    @Test("a batch of another implementation is read as it was meant")
    func readsReference() throws {
        let header = try RecordBatch.validateOne(Self.reference)
        #expect(header.baseOffset == 0 && header.batchLength == 108 && header.totalSizeBytes == 120)
        #expect(header.producerID == 4711 && header.producerEpoch == 3)
        #expect(header.baseSequence == 42 && header.lastSequence == 44)
        #expect(header.recordCount == 3 && header.lastOffset == 2 && header.compression == .none)
        #expect(header.baseTimestamp == 1_700_000_000_000 && header.maxTimestamp == 1_700_000_000_250)
        #expect(!header.isControl && !header.isTransactional && !header.usesLogAppendTime)
        var reader = try RecordBatchReader(Self.reference)
        #expect(try reader.readAll() == Self.referenceRecords)
        #expect(try reader.next() == nil)
    }

    @Test("the same records build the same bytes, but for the leader epoch, which nobody knows yet")
    func buildsReference() {
        var builder = RecordBatchBuilder(producerID: 4711, producerEpoch: 3, baseSequence: 42)
        for record in Self.referenceRecords { builder.append(record) }
        #expect(builder.count == 3 && builder.sizeBytes == 120)
        var batch = builder.finish()
        #expect(batch.getInteger(at: 12, as: Int32.self) == -1)
        RecordBatch.setBaseOffset(0, leaderEpoch: 0, in: &batch, at: 0)
        #expect(batch.hex == Self.reference.hex)
    }

    @Test("zstd and gzip of another implementation are opened")
    func foreignCompression() throws {
        #expect(try RecordBatch.validateOne(Self.zstandard).compression == .zstd)
        var reader = try RecordBatchReader(Self.zstandard)
        let values = try reader.readAll().map(\.value)
        #expect(values == [ByteBuffer](repeating: ByteBuffer(string: String(repeating: "A", count: 120)), count: 2))
        #expect(try RecordBatch.validateOne(Self.gzipped).recordCount == 2)
        var unzipped = try RecordBatchReader(Self.gzipped)
        #expect(try unzipped.readAll().map(\.value) == values)
    }

    @Test("records come back from a built batch, compressed or not", arguments: 1...20 as ClosedRange<UInt64>)
    func roundTrip(_ seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let records = Self.randomRecords(&random)
        for codec in [RecordBatchBuilder.Codec.none, .zstd(level: 1), .zstd(level: 19)] {
            var builder = RecordBatchBuilder(compression: codec, producerID: 5, producerEpoch: 0, baseSequence: .max)
            for record in records { builder.append(record) }
            let plainBytes = builder.sizeBytes
            let batch = builder.finish()
            #expect(batch.readableBytes <= plainBytes)
            let header = try RecordBatch.validateOne(batch)
            #expect(header.maxTimestamp == records.map(\.timestampMs).max())
            var reader = try RecordBatchReader(batch)
            #expect(try reader.readAll() == records)
        }
    }

    private static func randomRecords(_ random: inout SeededRandom) -> [Record] {
        (0..<Int32.random(in: 1...60, using: &random)).map { index in
            let isOdd = Int.random(in: 0..<10, using: &random) == 0
            var headers: [RecordHeader] = []
            for number in 0..<Int.random(in: 0...2, using: &random) {
                headers.append(RecordHeader(key: "h\(number)", value: isOdd ? nil : random.bytes(number)))
            }
            return Record(
                timestampMs: isOdd ? Int64(bitPattern: random.next()) : 1_700_000_000_000 + Int64(index),
                offsetDelta: index, key: isOdd ? nil : random.bytes(Int.random(in: 0...9, using: &random)),
                value: isOdd ? nil : ByteBuffer(repeating: 65, count: Int.random(in: 0...300, using: &random)),
                headers: headers)
        }
    }

    @Test("a flushed builder begins again, its sequences going on over the wrap")
    func flush() throws {
        var builder = RecordBatchBuilder(producerID: 1, producerEpoch: 0, baseSequence: .max - 1, capacityBytes: 500)
        var flushed: [RecordBatchHeader] = []
        for count in [3, 1, 2] {
            for number in 0..<count { builder.append(timestampMs: Int64(100 * count + number), value: nil) }
            flushed.append(try RecordBatch.validateOne(builder.flush()))
            #expect(builder.isEmpty && builder.sizeBytes == RecordBatchHeader.sizeBytes)
        }
        #expect(flushed.map(\.baseSequence) == [.max - 1, 1, 2])
        #expect(flushed.map(\.lastSequence) == [0, 1, 3])
        #expect(flushed.map(\.maxTimestamp) == [302, 100, 201])
    }

    @Test("a payload that does not shrink is stored uncompressed")
    func incompressible() throws {
        var builder = RecordBatchBuilder(compression: .zstd(level: 1))
        builder.append(timestampMs: 0, value: SeededRandom(seed: 3).withBytes(500))
        let batch = builder.finish()
        #expect(try RecordBatch.validateOne(batch).compression == .none)
    }

    @Test("base offset and leader epoch can be set without the checksum changing, and without touching other slices")
    func setBaseOffset() throws {
        let original = Self.build(3)
        var batches = original
        batches.writeImmutableBuffer(Self.build(2))
        var offset: Int64 = 70
        for header in try RecordBatch.validate(batches) {
            let at = offset == 70 ? 0 : original.readableBytes
            RecordBatch.setBaseOffset(offset, leaderEpoch: 9, in: &batches, at: at)
            offset += Int64(header.recordCount)
        }
        let headers = try RecordBatch.validate(batches)
        #expect(headers.map(\.baseOffset) == [70, 73] && headers.map(\.partitionLeaderEpoch) == [9, 9])
        #expect(try RecordBatch.validateOne(original).baseOffset == 0)
    }

    @Test("the header of a batch in the middle of a buffer is read where it stands")
    func headerAt() throws {
        var buffer = ByteBuffer(string: "before")
        buffer.writeImmutableBuffer(Self.reference)
        buffer.moveReaderIndex(forwardBy: 2)
        #expect(try RecordBatchHeader(reading: buffer, at: 6).producerID == 4711)
        for index in [-1, 1, 67, 126, Int.max] {
            #expect(throws: RecordBatchError.self) { try RecordBatchHeader(reading: buffer, at: index) }
        }
    }
}
