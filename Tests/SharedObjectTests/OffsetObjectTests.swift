import KafkaProtocol
import NIOCore
import Testing

@testable import SharedObject

@Suite("Objects whose batches hold their offsets")
struct OffsetObjectTests {
    private static let header = ObjectHeader.cloudWithOffsets(nodeID: "1", epoch: 4, sequence: 5, createdMs: 6)

    private static func batch(at offset: Int64, keeping kept: Int32...) throws -> ByteBuffer {
        var batch = Sample.batch(records: 5, producerID: 9, sequence: 0)
        RecordBatch.setBaseOffset(offset, leaderEpoch: 0, in: &batch, at: 0)
        return try RecordBatch.filtering(batch, deleteHorizonMs: nil) { kept.contains($0.offsetDelta) } ?? batch
    }

    @Test("batches keep their bytes, holes between them and missing records included; the footer stays readable")
    func sparse() throws {
        let batches = [
            try Self.batch(at: 100, keeping: 0, 4), try Self.batch(at: 1_000_000_000_000),
            try Self.batch(at: 2_000_000_000_000, keeping: 0, 1, 2, 3, 4),
        ]
        var writer = try ObjectWriter(header: Self.header)
        for batch in batches { try writer.append(batch, topic: "t", partition: 3) }
        let (body, footer) = writer.finish()
        let run = try #require(footer.runs.first)
        #expect(footer.runs.count == 1 && run.firstLocalOffset == 100 && run.recordCount == 15)
        #expect(run.stamps.isEmpty)
        #expect(body.getSlice(at: run.position, length: run.lengthBytes) == ByteBuffer(batches))
        #expect(try ObjectReader.verify(object: body) == footer)
        #expect(footer.header.key == "data/1/00000000000000000004/00000000000000000005")
    }

    @Test("offsets that do not rise are refused, by the writer and by the reader")
    func order() throws {
        var writer = try ObjectWriter(header: Self.header)
        try writer.append(Self.batch(at: 100), topic: "t", partition: 0)
        #expect(throws: ObjectFormatError.self) {
            try writer.append(Self.batch(at: 104), topic: "t", partition: 0)
        }
        try writer.append(Self.batch(at: 105), topic: "t", partition: 0)
        let (body, footer) = writer.finish()
        let run = try #require(footer.runs.first)
        var bytes = try #require(body.getSlice(at: run.position, length: run.lengthBytes))
        bytes.setInteger(Int64(5), at: bytes.readerIndex + run.lengthBytes / 2)
        var wrong = run
        wrong.crc32c = bytes.crc32c(at: bytes.readerIndex, length: bytes.readableBytes)
        #expect(throws: ObjectFormatError.self) {
            _ = try ObjectReader.verify(run: wrong, bytes: bytes, holdsOffsets: true)
        }
    }
}

extension ByteBuffer {
    fileprivate init(_ parts: [ByteBuffer]) {
        self.init()
        for part in parts { writeImmutableBuffer(part) }
    }
}
