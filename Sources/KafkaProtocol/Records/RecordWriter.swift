import NIOCore

extension ByteBuffer {
    /// One record as it stands in the payload of a batch. Source: Kafka protocol guide, Record.
    mutating func writeRecord(
        timestampDelta: Int64, offsetDelta: Int64, key: ByteBuffer?, value: ByteBuffer?, headers: [RecordHeader]
    ) {
        writeVarint(Int64(Self.bodyBytes(timestampDelta, offsetDelta, key, value, headers)))
        writeInteger(UInt8(0))  // Attributes: none are defined.
        writeVarint(timestampDelta)
        writeVarint(offsetDelta)
        writeRecordBytes(key)
        writeRecordBytes(value)
        writeVarint(Int64(headers.count))
        for header in headers {
            writeVarint(Int64(header.key.utf8.count))
            writeString(header.key)
            writeRecordBytes(header.value)
        }
    }

    private static func bodyBytes(
        _ timestampDelta: Int64, _ offsetDelta: Int64, _ key: ByteBuffer?, _ value: ByteBuffer?,
        _ headers: [RecordHeader]
    ) -> Int {
        var size = 1 + timestampDelta.varintBytes + offsetDelta.varintBytes
        size += recordBytes(key) + recordBytes(value) + Int64(headers.count).varintBytes
        for header in headers {
            let keyBytes = header.key.utf8.count
            size += Int64(keyBytes).varintBytes + keyBytes + recordBytes(header.value)
        }
        return size
    }

    private static func recordBytes(_ bytes: ByteBuffer?) -> Int {
        guard let bytes else { return 1 }
        return Int64(bytes.readableBytes).varintBytes + bytes.readableBytes
    }

    private mutating func writeVarint(_ value: Int64) {
        var bits = value.zigzag
        while bits >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: bits) | 0x80)
            bits >>= 7
        }
        writeInteger(UInt8(bits))
    }

    private mutating func writeRecordBytes(_ bytes: ByteBuffer?) {
        writeVarint(Int64(bytes?.readableBytes ?? -1))
        if let bytes { writeImmutableBuffer(bytes) }
    }
}

extension Int64 {
    fileprivate var zigzag: UInt64 { UInt64(bitPattern: self << 1 ^ self >> 63) }
    /// Bytes of the zigzag varint.
    fileprivate var varintBytes: Int { (70 - (zigzag | 1).leadingZeroBitCount) / 7 }
}
