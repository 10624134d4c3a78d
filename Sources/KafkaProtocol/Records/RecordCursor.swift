import NIOCore

/// Reads the fields of one record after the other from the (decompressed) payload of a batch.
struct RecordCursor {
    private let payload: ByteBuffer
    /// Absolute indices into `payload`.
    private var index: Int
    private var recordEnd: Int

    init(_ payload: ByteBuffer) {
        self.payload = payload
        index = payload.readerIndex
        recordEnd = payload.writerIndex
    }

    var remainingBytes: Int { payload.writerIndex - index }

    /// - Parameter offsetDeltas: what its offset delta may be, both ends included.
    mutating func record(
        offsetDeltas: (min: Int32, max: Int32), baseTimestamp: Int64
    ) throws(RecordDefect) -> Record {
        recordEnd = payload.writerIndex
        let lengthBytes = try length()
        recordEnd = index + lengthBytes
        _ = try byte()  // Attributes: none are defined.
        let timestampMs = baseTimestamp &+ (try varint())
        let offsetDelta = try varint()
        guard offsetDelta >= Int64(offsetDeltas.min), offsetDelta <= Int64(offsetDeltas.max) else {
            throw .offsetDeltaInvalid(expected: offsetDeltas.min, found: offsetDelta)
        }
        let record = Record(
            timestampMs: timestampMs, offsetDelta: Int32(offsetDelta), key: try nullableBytes(),
            value: try nullableBytes(),
            headers: try headers())
        guard index == recordEnd else { throw .trailingBytes(recordEnd - index) }
        return record
    }

    private mutating func headers() throws(RecordDefect) -> [RecordHeader] {
        let count = try length(sizeBytesMin: 2)
        var headers: [RecordHeader] = []
        headers.reserveCapacity(count)
        for _ in 0..<count {
            let keyBytes = try length()
            guard let key = try? payload.getUTF8ValidatedString(at: index, length: keyBytes) else {
                throw .headerKeyNotUTF8
            }
            index += keyBytes
            headers.append(RecordHeader(key: key, value: try nullableBytes()))
        }
        return headers
    }

    /// Null and a slice share their length field: -1 is null.
    private mutating func nullableBytes() throws(RecordDefect) -> ByteBuffer? {
        let count = try varint()
        if count == -1 { return nil }
        try check(count, sizeBytesMin: 1)
        guard let slice = payload.getSlice(at: index, length: Int(count)) else { throw .truncated }
        index += Int(count)
        return slice
    }

    /// A count of things of at least `sizeBytesMin` bytes each that the record has room for.
    private mutating func length(sizeBytesMin: Int = 1) throws(RecordDefect) -> Int {
        let count = try varint()
        try check(count, sizeBytesMin: sizeBytesMin)
        return Int(count)
    }

    private func check(_ count: Int64, sizeBytesMin: Int) throws(RecordDefect) {
        guard count >= 0, count <= (recordEnd - index) / sizeBytesMin else { throw .lengthInvalid(count) }
    }

    private mutating func byte() throws(RecordDefect) -> UInt8 {
        guard index < recordEnd, let byte = payload.getInteger(at: index, as: UInt8.self) else { throw .truncated }
        index += 1
        return byte
    }

    /// Zigzag, seven bits a byte, lowest first. Source: protocol buffers encoding, as Kafka's protocol guide cites it.
    private mutating func varint() throws(RecordDefect) -> Int64 {
        var bits: UInt64 = 0
        for shift in stride(from: UInt64(0), through: 63, by: 7) {
            let next = try byte()
            bits |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1) }
        }
        throw .varintTooLong
    }
}
