public import KafkaProtocol
public import NIOCore

/// What the last bytes of an object gave.
public enum FooterOutcome: Sendable, Equatable {
    case complete(ObjectFooter)
    /// The footer is longer than the bytes given: GET the last `tailBytes` of the object and ask again.
    case needMore(tailBytes: Int)
}

/// Reads objects that anybody may have written: all bytes give a result or an ``ObjectFormatError``, and no length is
/// believed, or memory reserved for it, before it is held against the bytes at hand.
public enum ObjectReader {
    /// Bytes to GET from the end of an object of `objectSizeBytes` to have its footer in one request nearly always.
    public static func tailBytes(objectSizeBytes: Int) -> Int { min(objectSizeBytes, ObjectFormat.footerTailBytes) }

    /// The footer, from the last bytes of an object that the store says measures `objectSizeBytes`.
    ///
    /// Errors: `newerVersion`, `notAnObject`, `truncated`, `corrupt`, `sizeMismatch`, and those of single fields.
    public static func footer(
        tail: ByteBuffer, objectSizeBytes: Int
    ) throws(ObjectFormatError) -> FooterOutcome {
        guard tail.readableBytes <= objectSizeBytes else {
            throw .sizeMismatch(statedBytes: objectSizeBytes, actualBytes: tail.readableBytes)
        }
        guard objectSizeBytes >= ObjectFormat.objectBytesMin else {
            throw .truncated(
                part: "object", neededBytes: ObjectFormat.objectBytesMin, availableBytes: objectSizeBytes)
        }
        guard tail.readableBytes >= ObjectFormat.trailerBytes else {
            return .needMore(tailBytes: tailBytes(objectSizeBytes: objectSizeBytes))
        }
        let trailer = try Trailer(endOf: tail)
        let footerBytesMax = min(
            objectSizeBytes - ObjectFormat.headerBytesMin - ObjectFormat.trailerBytes, ObjectFormat.footerBytesMax)
        guard trailer.footerBytes >= ObjectFormat.footerBytesMin, trailer.footerBytes <= footerBytesMax else {
            throw .invalidField(
                part: "trailer", field: "footer length", value: Int64(truncatingIfNeeded: trailer.footerBytes))
        }
        let neededBytes = Int(trailer.footerBytes) + ObjectFormat.trailerBytes
        guard tail.readableBytes >= neededBytes else { return .needMore(tailBytes: neededBytes) }
        let start = tail.writerIndex - neededBytes
        let computed = tail.crc32c(at: start, length: neededBytes - 12)
        guard computed == trailer.crc32c else {
            throw .corrupt(part: "footer", storedCRC32C: trailer.crc32c, computedCRC32C: computed)
        }
        var footer = tail
        footer.moveReaderIndex(to: start)
        footer.moveWriterIndex(to: start + Int(trailer.footerBytes))
        return .complete(try ObjectFooter.decode(footer, objectSizeBytes: objectSizeBytes, version: trailer.version))
    }

    /// The header, from the first bytes of an object; 1,084 of them are always enough.
    public static func header(start: ByteBuffer) throws(ObjectFormatError) -> ObjectHeader {
        var bytes = start
        return try ObjectHeader.decode(from: &bytes)
    }

    /// Checks the bytes of one run down to every batch's CRC, and that they are what the footer says.
    ///
    /// Returns the headers of its batches, whose base offsets are dense from `run.firstLocalOffset`, or only rise where the
    /// object's kind is `cloudWithOffsets`.
    public static func verify(
        run: Run, bytes: ByteBuffer, holdsOffsets: Bool = false
    ) throws(ObjectFormatError) -> [RecordBatchHeader] {
        guard bytes.readableBytes == run.lengthBytes else {
            throw .truncated(part: "run", neededBytes: run.lengthBytes, availableBytes: bytes.readableBytes)
        }
        let computed = bytes.crc32c(at: bytes.readerIndex, length: bytes.readableBytes)
        guard computed == run.crc32c else {
            throw .corrupt(part: "run", storedCRC32C: run.crc32c, computedCRC32C: computed)
        }
        let headers: [RecordBatchHeader]
        do {
            headers = try holdsOffsets ? RecordBatch.validateStored(bytes) : RecordBatch.validate(bytes)
        } catch {
            throw .invalidBatch(reason: "\(error)")
        }
        try check(headers, of: run, holdsOffsets: holdsOffsets)
        return headers
    }

    /// Checks a whole object in memory: header, footer, every run and every batch.
    public static func verify(object: ByteBuffer) throws(ObjectFormatError) -> ObjectFooter {
        guard case .complete(let footer) = try footer(tail: object, objectSizeBytes: object.readableBytes) else {
            throw .truncated(
                part: "object", neededBytes: object.readableBytes + 1, availableBytes: object.readableBytes)
        }
        guard try header(start: object) == footer.header else {
            throw .runMismatch(field: "header", stated: 0, found: 0)
        }
        for run in footer.runs {
            guard let bytes = object.getSlice(at: object.readerIndex + run.position, length: run.lengthBytes) else {
                throw .truncated(part: "run", neededBytes: run.lengthBytes, availableBytes: object.readableBytes)
            }
            _ = try verify(run: run, bytes: bytes, holdsOffsets: footer.header.kind == .cloudWithOffsets)
        }
        return footer
    }

    private static func check(
        _ headers: [RecordBatchHeader], of run: Run, holdsOffsets: Bool
    ) throws(ObjectFormatError) {
        var tally = RunTally()
        var end = run.firstLocalOffset
        for header in headers {
            // More records than the footer says may be there: wrap, and be found out by the counts below.
            let isFirst = tally.batchCount == 0
            guard holdsOffsets && !isFirst ? header.baseOffset >= end : header.baseOffset == end else {
                throw .runMismatch(field: "base offset", stated: end, found: header.baseOffset)
            }
            end = header.lastOffset &+ 1
            if holdsOffsets { tally.addWithOffsets(header) } else { tally.add(header) }
        }
        for (field, stated, found) in [
            ("record count", Int64(run.recordCount), Int64(tally.recordCount)),
            ("batch count", Int64(run.batchCount), Int64(tally.batchCount)),
            ("min timestamp", run.minTimestampMs, tally.minTimestampMs),
            ("max timestamp", run.maxTimestampMs, tally.maxTimestampMs),
            ("stamp count", Int64(run.stamps.count), Int64(tally.stamps.count)),
        ] where stated != found {
            throw .runMismatch(field: field, stated: stated, found: found)
        }
        for (index, (stated, found)) in zip(run.stamps, tally.stamps).enumerated() where stated != found {
            throw .runMismatch(field: "stamp", stated: Int64(index), found: found.producerID)
        }
    }
}

/// The last 24 bytes of an object.
private struct Trailer {
    var footerBytes: UInt64
    var version: UInt16
    var crc32c: UInt32

    /// `tail` has at least 24 bytes.
    init(endOf tail: ByteBuffer) throws(ObjectFormatError) {
        var bytes = tail
        bytes.moveReaderIndex(to: tail.writerIndex - ObjectFormat.trailerBytes)
        var reader = FieldReader("trailer", bytes)
        footerBytes = try reader.integer()
        version = try reader.integer(UInt16.self)
        let reserved = try reader.integer(UInt16.self)
        crc32c = try reader.integer()
        guard try reader.integer(UInt64.self) == ObjectFormat.trailerMagic else { throw .notAnObject(part: "trailer") }
        try ObjectFormat.checkVersion(version, part: "trailer")
        guard reserved == 0 else { throw reader.invalid("reserved", reserved) }
    }
}
