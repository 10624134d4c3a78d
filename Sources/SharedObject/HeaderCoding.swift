import NIOCore

extension ObjectHeader {
    /// Bytes of the encoded header, its checksum included.
    var encodedBytes: Int { ObjectFormat.headerBytesMin + texts.reduce(0) { $0 + $1.text.utf8.count } }

    private var texts: [(field: String, text: String)] {
        [("site", site), ("incarnation", incarnation), ("lane", lane), ("node", nodeID)]
    }

    /// Throws `invalidText` if a text is longer than its length byte can say, `invalidField` if the LSN range is empty.
    func validate() throws(ObjectFormatError) {
        for (field, text) in texts where text.utf8.count > ObjectFormat.headerTextBytesMax {
            throw .invalidText(part: "header", field: field, lengthBytes: text.utf8.count)
        }
        guard firstLSN <= lastLSN else {
            throw .invalidField(part: "header", field: "lastLSN", value: Int64(truncatingIfNeeded: lastLSN))
        }
    }

    /// Appends the encoded header. `validate()` must have passed.
    func encode(into bytes: inout ByteBuffer) {
        let start = bytes.writerIndex
        bytes.writeInteger(ObjectFormat.headerMagic)
        // The header has not changed since version 1; the trailer says which version the object is of.
        bytes.writeInteger(ObjectFormat.versionWithoutGaps)
        bytes.writeInteger(kind.rawValue)
        bytes.writeInteger(UInt8(0))
        bytes.writeInteger(UInt32(encodedBytes))
        bytes.writeInteger(sequence)
        bytes.writeInteger(firstLSN)
        bytes.writeInteger(lastLSN)
        bytes.writeInteger(epoch)
        bytes.writeInteger(createdMs)
        for (_, text) in texts {
            bytes.writeInteger(UInt8(text.utf8.count))
            bytes.writeString(text)
        }
        bytes.writeInteger(bytes.crc32c(at: start, length: bytes.writerIndex - start))
    }

    /// Takes one header off the front of `bytes`.
    static func decode(from bytes: inout ByteBuffer) throws(ObjectFormatError) -> ObjectHeader {
        var reader = FieldReader("header", try slice(from: &bytes))
        _ = try reader.integer(UInt64.self)  // magic, version and length were read by slice(from:)
        _ = try reader.integer(UInt16.self)
        let rawKind = try reader.integer(UInt8.self)
        guard let kind = ObjectKind(rawValue: rawKind) else { throw reader.invalid("kind", rawKind) }
        let reserved = try reader.integer(UInt8.self)
        guard reserved == 0 else { throw reader.invalid("reserved", reserved) }
        _ = try reader.integer(UInt32.self)
        var header = ObjectHeader(kind: kind, sequence: try reader.integer(), createdMs: 0)
        header.firstLSN = try reader.integer()
        header.lastLSN = try reader.integer()
        header.epoch = try reader.integer()
        header.createdMs = try reader.integer()
        header.site = try reader.shortText("site")
        header.incarnation = try reader.shortText("incarnation")
        header.lane = try reader.shortText("lane")
        header.nodeID = try reader.shortText("node")
        try reader.finish()
        try header.validate()
        return header
    }

    /// The header's bytes without its checksum, which is checked.
    private static func slice(from bytes: inout ByteBuffer) throws(ObjectFormatError) -> ByteBuffer {
        let start = bytes.readerIndex
        guard bytes.readableBytes >= 16 else {
            throw .truncated(part: "header", neededBytes: 16, availableBytes: bytes.readableBytes)
        }
        guard bytes.getInteger(at: start, as: UInt64.self) == ObjectFormat.headerMagic else {
            throw .notAnObject(part: "header")
        }
        try ObjectFormat.checkVersion(bytes.getInteger(at: start + 8) ?? 0, part: "header")
        let length = Int(bytes.getInteger(at: start + 12, as: UInt32.self) ?? 0)
        guard (ObjectFormat.headerBytesMin...ObjectFormat.headerBytesMax).contains(length) else {
            throw .invalidField(part: "header", field: "length", value: Int64(length))
        }
        guard let slice = bytes.readSlice(length: length - 4), let stored = bytes.readInteger(as: UInt32.self) else {
            throw .truncated(part: "header", neededBytes: length, availableBytes: bytes.readableBytes)
        }
        let computed = slice.crc32c(at: slice.readerIndex, length: slice.readableBytes)
        guard stored == computed else {
            throw .corrupt(part: "header", storedCRC32C: stored, computedCRC32C: computed)
        }
        return slice
    }
}

extension ObjectFormat {
    /// A newer version is refused before anything else of the part is believed.
    static func checkVersion(_ found: UInt16, part: String) throws(ObjectFormatError) {
        guard found <= version else { throw .newerVersion(found: found, supportedMax: version) }
        guard found > 0 else { throw .invalidField(part: part, field: "version", value: 0) }
    }
}

extension FieldReader {
    /// A text behind one length byte.
    fileprivate mutating func shortText(_ field: String) throws(ObjectFormatError) -> String {
        let lengthBytes = try integer(UInt8.self)
        return try text(field, lengthBytes: Int(lengthBytes))
    }
}
