public import NIOCore

/// Fills a message from bytes. Whatever the bytes are, the outcome is a message or a ``WireError``.
///
/// - Bound: a count is checked against the bytes that are left before memory is taken, and all arrays of a message together
///   may have ``elementsMax`` elements.
/// - Byte fields are slices of the buffer, not copies.
public struct WireReader: WireCoder {
    public static let elementsMax = 1 << 20

    public let version: Int16
    public let isFlexible: Bool
    private var buffer: ByteBuffer
    private var elementsLeft = WireReader.elementsMax
    /// The tagged fields of the structure at hand; nil until the first one is asked for.
    private var tags: [Tag]?

    private struct Tag {
        var number: UInt32
        var content: ByteBuffer
    }

    public init(_ buffer: ByteBuffer, version: Int16, isFlexible: Bool) {
        self.buffer = buffer
        self.version = version
        self.isFlexible = isFlexible
    }

    /// What has not been read.
    public var remaining: ByteBuffer { buffer }

    public mutating func integer<Integer: FixedWidthInteger & Sendable>(_ value: inout Integer) throws(WireError) {
        guard let read = buffer.readInteger(as: Integer.self) else {
            throw truncated(MemoryLayout<Integer>.size)
        }
        value = read
    }

    /// Any byte but 0 is true.
    public mutating func boolean(_ value: inout Bool) throws(WireError) {
        var byte: UInt8 = 0
        try integer(&byte)
        value = byte != 0
    }

    public mutating func uuid(_ value: inout KafkaUUID) throws(WireError) {
        try integer(&value.high)
        try integer(&value.low)
    }

    public mutating func text(_ value: inout String?, nullable: Bool) throws(WireError) {
        guard let length = try length(compact: isFlexible, ofTwoBytes: true, nullable: nullable) else {
            value = nil
            return
        }
        guard length <= buffer.readableBytes else { throw truncated(length) }
        guard let text = try? buffer.readUTF8ValidatedString(length: length) else { throw .notUTF8 }
        value = text
    }

    public mutating func blob(_ value: inout ByteBuffer?, nullable: Bool) throws(WireError) {
        guard let length = try length(compact: isFlexible, ofTwoBytes: false, nullable: nullable) else {
            value = nil
            return
        }
        guard let slice = buffer.readSlice(length: length) else { throw truncated(length) }
        value = slice
    }

    public mutating func elements<Element>(
        _ values: inout [Element]?, nullable: Bool, empty: Element,
        each: (inout Self, inout Element) throws(WireError) -> Void
    ) throws(WireError) {
        guard let count = try length(compact: isFlexible, ofTwoBytes: false, nullable: nullable) else {
            values = nil
            return
        }
        try take(elements: count, bytesEachMin: 1)
        var read: [Element] = []
        // Elements are larger here than on the wire; what is really there decides how far this grows.
        read.reserveCapacity(min(count, 256))
        for _ in 0..<count {
            var element = empty
            try each(&self, &element)
            read.append(element)
        }
        values = read
    }

    public mutating func structure<Message: WireMessage>(_ message: inout Message) throws(WireError) {
        guard isFlexible else { return try message.fields(&self) }
        let outer = tags
        tags = nil
        try message.fields(&self)
        if tags == nil { try readTags() }
        tags = outer
    }

    public mutating func nullableStructure<Message: WireMessage>(_ message: inout Message?) throws(WireError) {
        var marker: Int8 = 0
        try integer(&marker)
        message = nil
        guard marker >= 0 else { return }
        var present = Message()
        try structure(&present)
        message = present
    }

    public mutating func tagged(
        _ tag: UInt32, isDefault: Bool, _ field: (inout Self) throws(WireError) -> Void
    ) throws(WireError) {
        guard isFlexible else { return }
        if tags == nil { try readTags() }
        guard let found = tags?.first(where: { $0.number == tag }) else { return }
        let outer = buffer
        buffer = found.content
        try field(&self)
        guard buffer.readableBytes == 0 else { throw .trailingBytes(buffer.readableBytes) }
        buffer = outer
    }

    private mutating func readTags() throws(WireError) {
        let count = try unsignedVarint()
        tags = []
        if count == 0 { return }
        try take(elements: Int(count), bytesEachMin: 2)
        var last: UInt32?
        for _ in 0..<count {
            let number = try unsignedVarint()
            if let last, number <= last { throw .tagsNotAscending(tag: number) }
            last = number
            let length = Int(try unsignedVarint())
            guard let content = buffer.readSlice(length: length) else { throw truncated(length) }
            tags?.append(Tag(number: number, content: content))
        }
    }

    private mutating func take(elements count: Int, bytesEachMin: Int) throws(WireError) {
        guard count <= buffer.readableBytes / bytesEachMin else {
            throw .countTooLarge(count: count, availableBytes: buffer.readableBytes)
        }
        guard count <= elementsLeft else { throw .elementsOverLimit(limit: Self.elementsMax) }
        elementsLeft -= count
    }

    /// Nil is null: -1 in a fixed length, 0 in a compact one, which holds the length plus one.
    private mutating func length(compact: Bool, ofTwoBytes: Bool, nullable: Bool) throws(WireError) -> Int? {
        var length = 0
        if compact {
            length = Int(try unsignedVarint()) - 1
        } else if ofTwoBytes {
            var short: Int16 = 0
            try integer(&short)
            length = Int(short)
        } else {
            var long: Int32 = 0
            try integer(&long)
            length = Int(long)
        }
        if length >= 0 { return length }
        guard length == -1 else { throw .lengthNegative(length) }
        guard nullable else { throw .nullNotAllowed }
        return nil
    }

    /// Seven bits a byte, lowest first, at most 32 bits.
    private mutating func unsignedVarint() throws(WireError) -> UInt32 {
        var bits: UInt32 = 0
        for shift in stride(from: UInt32(0), through: 28, by: 7) {
            var byte: UInt8 = 0
            try integer(&byte)
            if shift == 28, byte > 0x0f { throw .varintTooLong }
            bits |= UInt32(byte & 0x7f) << shift
            if byte < 0x80 { return bits }
        }
        throw .varintTooLong
    }

    private func truncated(_ neededBytes: Int) -> WireError {
        .truncated(neededBytes: neededBytes, availableBytes: buffer.readableBytes)
    }
}
