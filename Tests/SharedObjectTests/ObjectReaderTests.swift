import KafkaProtocol
import NIOCore
import Testing

@testable import SharedObject

@Suite("Object reader")
struct ObjectReaderTests {
    @Test("any tail that is long enough gives the footer, and a shorter one says how much is needed")
    func everyTail() throws {
        let (body, footer) = try Sample.object()
        let neededBytes = footer.encodedTailBytes
        for length in 0...body.readableBytes {
            let tail = try #require(body.getSlice(at: body.readableBytes - length, length: length))
            let outcome = try ObjectReader.footer(tail: tail, objectSizeBytes: body.readableBytes)
            if length >= neededBytes {
                #expect(outcome == .complete(footer))
            } else if length >= ObjectFormat.trailerBytes {
                #expect(outcome == .needMore(tailBytes: neededBytes))
            } else {
                #expect(outcome == .needMore(tailBytes: body.readableBytes))
            }
        }
    }

    @Test("an object cut anywhere is refused")
    func everyCut() throws {
        let body = try Sample.object().body
        for length in 0..<body.readableBytes {
            let cut = try #require(body.getSlice(at: 0, length: length))
            #expect(throws: ObjectFormatError.self) { try ObjectReader.verify(object: cut) }
        }
    }

    @Test("a flipped bit anywhere is found")
    func everyFlip() throws {
        let body = try Sample.object().body
        for index in 0..<body.readableBytes {
            var flipped = body
            let byte = try #require(flipped.getInteger(at: index, as: UInt8.self))
            flipped.setInteger(byte ^ (1 << UInt8(index % 8)), at: index)
            #expect(throws: ObjectFormatError.self) { try ObjectReader.verify(object: flipped) }
        }
    }

    /// Checksums made right again after a change, so that the fields behind them are really looked at.
    @Test(
        "footers that lie under a right checksum give an error or a footer within bounds, never a trap",
        arguments: 0..<40)
    func lyingFooters(seed: Int) throws {
        let (body, footer) = try Sample.object()
        var random = SeededRandom(seed: UInt64(seed))
        let tailStart = body.readableBytes - footer.encodedTailBytes
        for _ in 0..<500 {
            var lying = body
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: tailStart..<(body.readableBytes - 12), using: &random)
                let byte = [0, 1, 0x7f, 0x80, 0xff, UInt8.random(in: 0...255, using: &random)].randomElement(
                    using: &random)
                lying.setInteger(byte ?? 0, at: index)
            }
            repairChecksums(&lying, tailStart: tailStart)
            guard
                case .complete(let read) = try? ObjectReader.footer(
                    tail: lying, objectSizeBytes: lying.readableBytes)
            else { continue }
            for run in read.runs {
                #expect(run.position >= 0 && run.position + run.lengthBytes <= tailStart)
                #expect(run.stamps.count <= run.batchCount)
                let bytes = try #require(lying.getSlice(at: run.position, length: run.lengthBytes))
                _ = try? ObjectReader.verify(run: run, bytes: bytes)
            }
        }
    }

    @Test("random bytes are refused", arguments: 0..<20)
    func garbage(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        for _ in 0..<200 {
            var bytes = ByteBuffer()
            for _ in 0..<Int.random(in: 0...400, using: &random) {
                bytes.writeInteger(UInt8.random(in: 0...255, using: &random))
            }
            #expect(throws: ObjectFormatError.self) { try ObjectReader.verify(object: bytes) }
        }
    }

    @Test("a newer version is refused as such, whatever else has changed")
    func newerVersion() throws {
        var body = try Sample.object().body
        body.setInteger(UInt16(3), at: body.readableBytes - 16)
        body.setInteger(UInt32(0), at: body.readableBytes - 12)
        #expect(throws: ObjectFormatError.newerVersion(found: 3, supportedMax: 2)) {
            try ObjectReader.footer(tail: body, objectSizeBytes: body.readableBytes)
        }
        body.setInteger(UInt16(3), at: 8)
        #expect(throws: ObjectFormatError.newerVersion(found: 3, supportedMax: 2)) {
            try ObjectReader.header(start: body)
        }
    }

    @Test("runs that overlap, leave the body or stand out of order are refused")
    func badRuns() throws {
        let footer = try Sample.object().footer
        var changed = footer
        changed.runs[1].position -= 1
        #expect(throws: ObjectFormatError.self) { try decode(changed) }
        changed = footer
        changed.runs[3].position += 1
        #expect(throws: ObjectFormatError.self) { try decode(changed) }
        changed = footer
        changed.runs[0].lengthBytes = .max
        #expect(throws: ObjectFormatError.self) { try decode(changed) }
        changed = footer
        changed.runs[1].topic = "zzzz"
        #expect(throws: ObjectFormatError.runsOutOfOrder(index: 2)) { try decode(changed) }
        changed = footer
        changed.runs[3].firstLocalOffset = 56
        #expect(throws: ObjectFormatError.runsOutOfOrder(index: 3)) { try decode(changed) }
        #expect(try decode(footer) == footer)
    }

    @Test("a footer of another object size than the store's is refused")
    func sizeMismatch() throws {
        let (body, _) = try Sample.object()
        let size = body.readableBytes
        #expect(throws: ObjectFormatError.sizeMismatch(statedBytes: size, actualBytes: size + 100)) {
            try ObjectReader.footer(tail: body, objectSizeBytes: size + 100)
        }
        #expect(throws: ObjectFormatError.sizeMismatch(statedBytes: size - 1, actualBytes: size)) {
            try ObjectReader.footer(tail: body, objectSizeBytes: size - 1)
        }
    }

    @Test("a footer whose length is over the limit is refused without reading it")
    func footerTooLong() throws {
        var tail = ByteBuffer(repeating: 0, count: 100)
        tail.writeInteger(UInt64(ObjectFormat.footerBytesMax + 1))
        tail.writeInteger(UInt16(1))
        tail.writeInteger(UInt16(0))
        tail.writeInteger(UInt32(0))
        tail.writeInteger(ObjectFormat.trailerMagic)
        #expect(throws: ObjectFormatError.self) { try ObjectReader.footer(tail: tail, objectSizeBytes: 1 << 40) }
    }

    @Test("a run that says other counts than its batches have is refused", arguments: 0..<7)
    func runMismatch(field: Int) throws {
        let (body, footer) = try Sample.object()
        var run = footer.runs[0]
        let bytes = try #require(body.getSlice(at: run.position, length: run.lengthBytes))
        switch field {
        case 0: run.recordCount += 1
        case 1: run.batchCount -= 1
        case 2: run.minTimestampMs -= 1
        case 3: run.maxTimestampMs += 1
        case 4: run.stamps.removeLast()
        case 5: run.stamps[0].firstSequence = 77
        default: run.firstLocalOffset = .max - 7
        }
        #expect(throws: ObjectFormatError.self) { try ObjectReader.verify(run: run, bytes: bytes) }
    }

    private func decode(_ footer: ObjectFooter) throws -> ObjectFooter {
        var bytes = ByteBuffer(repeating: 0, count: footer.objectSizeBytes - footer.encodedTailBytes)
        footer.encodeTail(into: &bytes)
        guard
            case .complete(let read) = try ObjectReader.footer(tail: bytes, objectSizeBytes: footer.objectSizeBytes)
        else { throw ObjectFormatError.notAnObject(part: "test") }
        return read
    }

    private func repairChecksums(_ object: inout ByteBuffer, tailStart: Int) {
        let headerStart = tailStart + 8
        if let length = object.getInteger(at: headerStart + 12, as: UInt32.self),
            headerStart + Int(length) <= object.readableBytes, length >= 8
        {
            let crc = object.crc32c(at: headerStart, length: Int(length) - 4)
            object.setInteger(crc, at: headerStart + Int(length) - 4)
        }
        let crc = object.crc32c(at: tailStart, length: object.readableBytes - tailStart - 12)
        object.setInteger(crc, at: object.readableBytes - 12)
    }
}
