import KafkaProtocol
import NIOCore
import Testing

@testable import SharedObject

@Suite("Object writer")
struct ObjectWriterTests {
    @Test("runs are sorted by topic, partition and offset, and a gap in the offsets begins a new run")
    func runs() throws {
        let (body, footer) = try Sample.object()
        #expect(footer.header == Sample.header)
        #expect(footer.runs.map(\.topic) == ["nmea", "rtcm", "rtcm", "rtcm"])
        #expect(footer.runs.map(\.partition) == [0, 0, 1, 1])
        #expect(footer.runs.map(\.firstLocalOffset) == [0, 8, 50, 60])
        #expect(footer.runs.map(\.recordCount) == [7, 1, 7, 1])
        #expect(footer.runs.map(\.batchCount) == [2, 1, 2, 1])
        #expect(footer.runs[2].minTimestampMs == 900)
        #expect(footer.runs[2].maxTimestampMs == 1002)
        #expect(footer.objectSizeBytes == body.readableBytes)
        #expect(try ObjectReader.verify(object: body) == footer)
    }

    @Test("runs stand back to back between header and footer")
    func positions() throws {
        let (body, footer) = try Sample.object()
        var position = Sample.header.encodedBytes
        for run in footer.runs {
            #expect(run.position == position)
            position += run.lengthBytes
        }
        #expect(position + footer.encodedTailBytes == body.readableBytes)
    }

    @Test("every batch carries its local offset, and nothing else of it is changed")
    func baseOffsets() throws {
        let (body, footer) = try Sample.object()
        let run = footer.runs[2]
        let bytes = try #require(body.getSlice(at: run.position, length: run.lengthBytes))
        let headers = try ObjectReader.verify(run: run, bytes: bytes)
        #expect(headers.map(\.baseOffset) == [50, 53])
        let second = try #require(
            bytes.getSlice(at: headers[0].totalSizeBytes + 8, length: headers[1].totalSizeBytes - 8))
        let original = Sample.batch(records: 4, baseMs: 900)
        #expect(second == original.getSlice(at: 8, length: original.readableBytes - 8))
    }

    @Test("batches of idempotent producers are stamped")
    func stamps() throws {
        let footer = try Sample.object().footer
        let stamps = footer.runs[0].stamps
        #expect(stamps.map(\.firstSequence) == [4, 6])
        #expect(stamps.map(\.lastSequence) == [5, 10])
        #expect(stamps.map(\.recordIndex) == [0, 2])
        #expect(stamps.allSatisfy { $0.producerID == 9 && $0.producerEpoch == 3 && !$0.isTransactional })
        #expect(footer.runs[1].stamps.isEmpty)
    }

    @Test("a stamp's last sequence wraps as Kafka's do")
    func sequenceWraps() {
        let stamp = ProducerStamp(
            producerID: 1, producerEpoch: 0, firstSequence: Int32.max, recordCount: 3, recordIndex: 0,
            isTransactional: false)
        #expect(stamp.lastSequence == 1)
    }

    @Test("the order in which partitions arrive does not change a byte")
    func deterministic() throws {
        var batches: [(topic: String, partition: Int32)] = []
        for topic in ["a", "b", "c"] { for partition in Int32(0)..<5 { batches.append((topic, partition)) } }
        var bodies: Set<ByteBuffer> = []
        for seed in UInt64(0)..<20 {
            var random = SeededRandom(seed: seed)
            var writer = try ObjectWriter(header: Sample.header)
            for entry in batches.shuffled(using: &random) {
                try writer.append(Sample.batch(records: 2), topic: entry.topic, partition: entry.partition)
                try writer.append(Sample.batch(records: 3), topic: entry.topic, partition: entry.partition)
            }
            bodies.insert(writer.finish().body)
        }
        #expect(bodies.count == 1)
    }

    @Test("without batches there is a valid object without runs")
    func empty() throws {
        let writer = try ObjectWriter(header: Sample.header)
        #expect(writer.isEmpty)
        let (body, footer) = writer.finish()
        #expect(footer.runs.isEmpty)
        #expect(try ObjectReader.verify(object: body) == footer)
    }

    @Test("in pieces it is the same object, and no byte of a large batch is read")
    func pieces() throws {
        func writer() throws -> ObjectWriter {
            var writer = try ObjectWriter(header: .cloud(nodeID: "1", epoch: 2, sequence: 3, createdMs: 4))
            for index in 0..<30 {
                // Below and above the size from which checksums are joined.
                let batch = Sample.batch(records: index % 3 + 1, bytes: [10, 3_000, 9_000, 200_000][index % 4])
                try writer.append(batch, topic: ["b", "a"][index % 2], partition: Int32(index % 5))
            }
            return writer
        }
        let (body, footer) = try writer().finish()
        var joined = ByteBuffer()
        let inPieces = try writer().finishInPieces { joined.writeImmutableBuffer($0) }
        #expect(inPieces == footer)
        #expect(joined == body)
        #expect(try ObjectReader.verify(object: joined) == footer)
        // What a batch says of itself is believed here, and found out by whoever verifies the object.
        var wrong = Sample.batch(records: 1, bytes: 20_000)
        wrong.setInteger(UInt8(0xff), at: wrong.readerIndex + 10_000)
        var one = try ObjectWriter(header: Sample.header)
        try one.append(wrong, topic: "t", partition: 0)
        var bytes = ByteBuffer()
        _ = one.finishInPieces { bytes.writeImmutableBuffer($0) }
        #expect(throws: (any Error).self) { try ObjectReader.verify(object: bytes) }
    }

    @Test("a cloud object counts from 0 in every run")
    func cloud() throws {
        let header = ObjectHeader.cloud(nodeID: "node-1", epoch: 4, sequence: 5, createdMs: 6)
        #expect(header.key == "data/node-1/00000000000000000004/00000000000000000005")
        var writer = try ObjectWriter(header: header)
        try writer.append(Sample.batch(records: 3), topic: "t", partition: 0)
        try writer.append(Sample.batch(records: 3), topic: "t", partition: 0)
        let (body, footer) = writer.finish()
        #expect(footer.runs.map(\.firstLocalOffset) == [0])
        #expect(footer.runs.map(\.recordCount) == [6])
        #expect(try ObjectReader.verify(object: body).header == header)
    }

    @Test("what is refused leaves the writer as it was")
    func refusals() throws {
        let batch = Sample.batch(records: 3)
        var writer = try ObjectWriter(header: Sample.header, sizeBytesMax: 700)
        try writer.append(batch, topic: "t", partition: 0, localOffset: 10)
        let before = writer.sizeBytes
        #expect(throws: ObjectFormatError.self) {
            try writer.append(batch.getSlice(at: 0, length: 70)!, topic: "t", partition: 0)
        }
        #expect(throws: ObjectFormatError.runsOutOfOrder(index: 1)) {
            try writer.append(batch, topic: "t", partition: 0, localOffset: 12)
        }
        #expect(throws: ObjectFormatError.invalidText(part: "run", field: "topic", lengthBytes: 3)) {
            try writer.append(batch, topic: "a/b", partition: 0)
        }
        #expect(throws: ObjectFormatError.invalidField(part: "run", field: "partition", value: -1)) {
            try writer.append(batch, topic: "t", partition: -1)
        }
        #expect(throws: ObjectFormatError.invalidField(part: "run", field: "first local offset", value: .max)) {
            try writer.append(batch, topic: "t", partition: 1, localOffset: .max)
        }
        let large = Sample.batch(records: 1, bytes: 600)
        let size = before + large.readableBytes
        #expect(throws: ObjectFormatError.objectTooLarge(sizeBytes: size, limitBytes: 700)) {
            try writer.append(large, topic: "t", partition: 0)
        }
        #expect(writer.sizeBytes == before)
        #expect(try ObjectReader.verify(object: writer.finish().body).recordCount == 3)
    }

    @Test("a header that cannot be written is refused")
    func headerRefused() {
        var header = Sample.header
        header.site = String(repeating: "x", count: 256)
        #expect(throws: ObjectFormatError.invalidText(part: "header", field: "site", lengthBytes: 256)) {
            _ = try ObjectWriter(header: header)
        }
        header = Sample.header
        header.lastLSN = 99
        #expect(throws: ObjectFormatError.self) { _ = try ObjectWriter(header: header) }
    }
}
