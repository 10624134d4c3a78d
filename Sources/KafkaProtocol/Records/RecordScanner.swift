/// Walks the records of a payload without making anything of them: the same checks as ``RecordCursor``, for the path of
/// every produced batch. What a rule may ask of a record is noted on the way.
struct RecordScanner {
    /// Of the record that was passed last.
    private(set) var timestampDelta: Int64 = 0
    private(set) var offsetDelta: Int32 = -1
    private(set) var hasKey = false

    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private var recordEnd = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remainingBytes: Int { bytes.count - index }

    /// - Parameter offsetDeltas: what the record's offset delta may be, both ends included.
    @inline(__always)
    mutating func skip(offsetDeltas: (min: Int32, max: Int32)) throws(RecordDefect) {
        recordEnd = bytes.count
        let lengthBytes = try length(sizeBytesMin: 1)
        recordEnd = index + lengthBytes
        guard lengthBytes > 0 else { throw .truncated }
        index += 1
        timestampDelta = try varint()
        let found = try varint()
        guard found >= Int64(offsetDeltas.min), found <= Int64(offsetDeltas.max) else {
            throw .offsetDeltaInvalid(expected: offsetDeltas.min, found: found)
        }
        offsetDelta = Int32(truncatingIfNeeded: found)
        hasKey = try skipNullable()
        _ = try skipNullable()
        for _ in 0..<(try length(sizeBytesMin: 2)) { try skipHeader() }
        guard index == recordEnd else { throw .trailingBytes(recordEnd - index) }
    }

    private mutating func skipHeader() throws(RecordDefect) {
        let keyBytes = try length(sizeBytesMin: 1)
        let key = UnsafeRawBufferPointer(rebasing: bytes[index..<(index + keyBytes)])
        guard String(validating: key, as: UTF8.self) != nil else { throw .headerKeyNotUTF8 }
        index += keyBytes
        _ = try skipNullable()
    }

    /// Whether it was not null.
    @inline(__always)
    private mutating func skipNullable() throws(RecordDefect) -> Bool {
        let count = try varint()
        if count == -1 { return false }
        guard count >= 0, count <= recordEnd - index else { throw .lengthInvalid(count) }
        index += Int(count)
        return true
    }

    @inline(__always)
    private mutating func length(sizeBytesMin: Int) throws(RecordDefect) -> Int {
        let count = try varint()
        guard count >= 0, count <= (recordEnd - index) / sizeBytesMin else { throw .lengthInvalid(count) }
        return Int(count)
    }

    /// Most are of one byte.
    @inline(__always)
    private mutating func varint() throws(RecordDefect) -> Int64 {
        guard index < recordEnd else { throw .truncated }
        let first = bytes[index]
        guard first < 0x80 else { return try longVarint() }
        index += 1
        return Int64(first >> 1) ^ -Int64(first & 1)
    }

    private mutating func longVarint() throws(RecordDefect) -> Int64 {
        var bits: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64 {
            guard index < recordEnd else { throw .truncated }
            let next = bytes[index]
            index += 1
            bits |= UInt64(next & 0x7f) &<< shift
            if next < 0x80 { return Int64(bitPattern: bits &>> 1) ^ -Int64(bits & 1) }
            shift += 7
        }
        throw .varintTooLong
    }
}
