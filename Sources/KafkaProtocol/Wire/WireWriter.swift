public import NIOCore

/// Sends a message into as few chunks as its large byte fields allow.
///
/// A byte field of ``referenceBytesMin`` or more becomes a chunk of its own that shares storage with the message, so that
/// a Fetch response goes out with one writev and without a copy. All else is gathered between such chunks.
/// - Errors: a null that the version does not allow, a string too long for its length field.
public struct WireWriter: WireCoder {
    public static let referenceBytesMin = 4096

    public let version: Int16
    public let isFlexible: Bool
    private var closed: [ByteBuffer] = []
    private var open: ByteBuffer
    /// The tagged fields of the structure at hand, written when it ends.
    private var tags: [Tag] = []

    private struct Tag {
        var number: UInt32
        var content: [ByteBuffer]
    }

    public init(version: Int16, isFlexible: Bool, capacityBytes: Int = 256) {
        self.version = version
        self.isFlexible = isFlexible
        open = ByteBufferAllocator().buffer(capacity: capacityBytes)
    }

    /// What has been written, in order. Not empty, but a chunk may be.
    public var chunks: [ByteBuffer] { open.readableBytes == 0 && !closed.isEmpty ? closed : closed + [open] }

    public var sizeBytes: Int { closed.reduce(open.readableBytes) { $0 + $1.readableBytes } }

    public mutating func integer<Integer: FixedWidthInteger & Sendable>(_ value: inout Integer) throws(WireError) {
        open.writeInteger(value)
    }

    public mutating func boolean(_ value: inout Bool) throws(WireError) { open.writeInteger(value ? 1 : 0 as UInt8) }

    public mutating func uuid(_ value: inout KafkaUUID) throws(WireError) {
        open.writeMultipleIntegers(value.high, value.low)
    }

    public mutating func text(_ value: inout String?, nullable: Bool) throws(WireError) {
        let length = value?.utf8.count
        if isFlexible {
            try writeLength(length, nullable: nullable)
        } else if let length {
            guard length <= Int16.max else { throw .tooLong(lengthBytes: length, limitBytes: Int(Int16.max)) }
            open.writeInteger(Int16(length))
        } else {
            guard nullable else { throw .nullNotAllowed }
            open.writeInteger(Int16(-1))
        }
        if let value { open.writeString(value) }
    }

    public mutating func blob(_ value: inout ByteBuffer?, nullable: Bool) throws(WireError) {
        try writeLength(value?.readableBytes, nullable: nullable)
        if let value { append(part: value) }
    }

    public mutating func blob(
        _ first: inout ByteBuffer?, more: inout [ByteBuffer], nullable: Bool
    ) throws(WireError) {
        precondition(first != nil || more.isEmpty, "null with \(more.count) more pieces")
        let length = first.map { more.reduce($0.readableBytes) { $0 + $1.readableBytes } }
        try writeLength(length, nullable: nullable)
        if let first { append(part: first) }
        for part in more { append(part: part) }
    }

    public mutating func elements<Element>(
        _ values: inout [Element]?, nullable: Bool, empty: Element,
        each: (inout Self, inout Element) throws(WireError) -> Void
    ) throws(WireError) {
        try writeLength(values?.count, nullable: nullable)
        // The element is copied, not changed in place: that would copy the whole array.
        for var element in values ?? [] { try each(&self, &element) }
    }

    public mutating func structure<Message: WireMessage>(_ message: inout Message) throws(WireError) {
        guard isFlexible else { return try message.fields(&self) }
        let outer = tags
        tags = []
        try message.fields(&self)
        writeVarint(UInt32(tags.count))
        for tag in tags { try write(tag) }
        tags = outer
    }

    public mutating func nullableStructure<Message: WireMessage>(_ message: inout Message?) throws(WireError) {
        open.writeInteger(Int8(message == nil ? -1 : 1))
        guard var present = message else { return }
        try structure(&present)
    }

    public mutating func tagged(
        _ tag: UInt32, isDefault: Bool, _ field: (inout Self) throws(WireError) -> Void
    ) throws(WireError) {
        guard isFlexible, !isDefault else { return }
        var content = WireWriter(version: version, isFlexible: true)
        try field(&content)
        tags.append(Tag(number: tag, content: content.chunks))
    }

    private mutating func write(_ tag: Tag) throws(WireError) {
        let lengthBytes = tag.content.reduce(0) { $0 + $1.readableBytes }
        guard lengthBytes <= Int32.max else { throw .tooLong(lengthBytes: lengthBytes, limitBytes: Int(Int32.max)) }
        writeVarint(tag.number)
        writeVarint(UInt32(lengthBytes))
        for chunk in tag.content { open.writeImmutableBuffer(chunk) }
    }

    private mutating func append(part: ByteBuffer) {
        guard part.readableBytes >= Self.referenceBytesMin else {
            open.writeImmutableBuffer(part)
            return
        }
        if open.readableBytes > 0 {
            closed.append(open)
            open = ByteBufferAllocator().buffer(capacity: 256)
        }
        closed.append(part)
    }

    /// Four bytes, or compact: the length plus one, 0 for null.
    private mutating func writeLength(_ length: Int?, nullable: Bool) throws(WireError) {
        guard length != nil || nullable else { throw .nullNotAllowed }
        let length = length ?? -1
        guard length < Int32.max else { throw .tooLong(lengthBytes: length, limitBytes: Int(Int32.max) - 1) }
        if isFlexible { writeVarint(UInt32(length + 1)) } else { open.writeInteger(Int32(length)) }
    }

    private mutating func writeVarint(_ value: UInt32) {
        var bits = value
        while bits >= 0x80 {
            open.writeInteger(UInt8(truncatingIfNeeded: bits) | 0x80)
            bits >>= 7
        }
        open.writeInteger(UInt8(bits))
    }

    /// Bytes as they are, without a length.
    mutating func append(plain bytes: ByteBuffer) { open.writeImmutableBuffer(bytes) }

    /// Puts the length of all that follows the first four bytes into them.
    mutating func closeFrame() throws(WireError) {
        let lengthBytes = sizeBytes - 4
        guard lengthBytes <= Int32.max else { throw .tooLong(lengthBytes: lengthBytes, limitBytes: Int(Int32.max)) }
        if closed.isEmpty {
            open.setInteger(Int32(lengthBytes), at: open.readerIndex)
        } else {
            closed[0].setInteger(Int32(lengthBytes), at: closed[0].readerIndex)
        }
    }
}
