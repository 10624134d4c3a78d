/// Walks the records of an uncompressed payload without making anything of them: the same checks as ``RecordCursor``, for
/// the path of every produced batch.
struct RecordScanner {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0
    private var recordEnd = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remainingBytes: Int { bytes.count - index }

    mutating func skip(number: Int32) throws(RecordDefect) {
        recordEnd = bytes.count
        let lengthBytes = try length(sizeBytesMin: 1)
        recordEnd = index + lengthBytes
        guard lengthBytes > 0 else { throw .truncated }
        index += 1
        _ = try varint()
        let offsetDelta = try varint()
        guard offsetDelta == Int64(number) else {
            throw .offsetDeltaInvalid(expected: number, found: offsetDelta)
        }
        try skipNullable()
        try skipNullable()
        for _ in 0..<(try length(sizeBytesMin: 2)) { try skipHeader() }
        guard index == recordEnd else { throw .trailingBytes(recordEnd - index) }
    }

    private mutating func skipHeader() throws(RecordDefect) {
        let keyBytes = try length(sizeBytesMin: 1)
        let key = UnsafeRawBufferPointer(rebasing: bytes[index..<(index + keyBytes)])
        guard String(validating: key, as: UTF8.self) != nil else { throw .headerKeyNotUTF8 }
        index += keyBytes
        try skipNullable()
    }

    private mutating func skipNullable() throws(RecordDefect) {
        let count = try varint()
        if count == -1 { return }
        guard count >= 0, count <= recordEnd - index else { throw .lengthInvalid(count) }
        index += Int(count)
    }

    private mutating func length(sizeBytesMin: Int) throws(RecordDefect) -> Int {
        let count = try varint()
        guard count >= 0, count <= (recordEnd - index) / sizeBytesMin else { throw .lengthInvalid(count) }
        return Int(count)
    }

    private mutating func varint() throws(RecordDefect) -> Int64 {
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
