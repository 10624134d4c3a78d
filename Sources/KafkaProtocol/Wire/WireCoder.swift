public import NIOCore

/// What goes over the fields of a message: a reader that fills them, a writer that sends them, or a test that invents them.
///
/// The coder knows the version and whether it is flexible. The requirements are the forms of the wire; messages use the
/// calls of the extension below, which are named after the types of the fields.
public protocol WireCoder {
    var version: Int16 { get }

    /// Big-endian.
    mutating func integer<Integer: FixedWidthInteger & Sendable>(_ value: inout Integer) throws(WireError)
    mutating func boolean(_ value: inout Bool) throws(WireError)
    /// 16 bytes.
    mutating func uuid(_ value: inout KafkaUUID) throws(WireError)
    /// UTF-8 with a length of two bytes, or compact.
    mutating func text(_ value: inout String?, nullable: Bool) throws(WireError)
    /// With a length of four bytes, or compact. A reader gives a slice of the frame.
    mutating func blob(_ value: inout ByteBuffer?, nullable: Bool) throws(WireError)
    /// One blob in pieces, on the wire as if they were joined: `first` and, unless that is null, `more`. A reader gives one piece.
    mutating func blob(_ first: inout ByteBuffer?, more: inout [ByteBuffer], nullable: Bool) throws(WireError)
    /// A count of four bytes, or compact, and then `each` for one element after the other.
    mutating func elements<Element>(
        _ values: inout [Element]?, nullable: Bool, empty: Element,
        each: (inout Self, inout Element) throws(WireError) -> Void
    ) throws(WireError)
    /// The fields of `message` and, in flexible versions, its tagged-field section.
    mutating func structure<Message: WireMessage>(_ message: inout Message) throws(WireError)
    /// One byte, negative for null, and then the structure (KIP-893).
    mutating func nullableStructure<Message: WireMessage>(_ message: inout Message?) throws(WireError)
    /// One tagged field of the structure at hand; nothing in versions that are not flexible. Left out by a writer when
    /// `isDefault`; `field` is not called by a reader that finds no such tag.
    mutating func tagged(
        _ tag: UInt32, isDefault: Bool, _ field: (inout Self) throws(WireError) -> Void
    ) throws(WireError)
}

extension WireCoder {
    /// A code outside the table reads as ``ErrorCode/unknownServerError``.
    mutating func error(_ value: inout ErrorCode) throws(WireError) {
        var code = value.rawValue
        try integer(&code)
        value = ErrorCode(rawValue: code) ?? .unknownServerError
    }

    mutating func string(_ value: inout String) throws(WireError) {
        var text: String? = value
        try self.text(&text, nullable: false)
        value = text ?? ""
    }

    /// Null is allowed from version `since` on.
    mutating func nullableString(_ value: inout String?, since: Int16 = 0) throws(WireError) {
        try text(&value, nullable: version >= since)
    }

    mutating func bytes(_ value: inout ByteBuffer) throws(WireError) {
        var blob: ByteBuffer? = value
        try self.blob(&blob, nullable: false)
        value = blob ?? ByteBuffer()
    }

    /// Of a coder that gives one piece.
    public mutating func blob(
        _ first: inout ByteBuffer?, more: inout [ByteBuffer], nullable: Bool
    ) throws(WireError) {
        try blob(&first, nullable: nullable)
        more = []
    }

    /// Record batches back to back.
    mutating func records(_ value: inout ByteBuffer?) throws(WireError) { try blob(&value, nullable: true) }

    mutating func records(_ first: inout ByteBuffer?, more: inout [ByteBuffer]) throws(WireError) {
        try blob(&first, more: &more, nullable: true)
    }

    mutating func array<Element: WireMessage>(_ values: inout [Element]) throws(WireError) {
        var some: [Element]? = values
        // Else the elements would be copied when a reader appends.
        values = []
        try nullableArray(&some, nullable: false)
        values = some ?? []
    }

    mutating func nullableArray<Element: WireMessage>(
        _ values: inout [Element]?, since: Int16 = 0
    ) throws(WireError) {
        try nullableArray(&values, nullable: version >= since)
    }

    mutating func array<Integer: FixedWidthInteger & Sendable>(_ values: inout [Integer]) throws(WireError) {
        var some: [Integer]? = values
        try integers(&some, nullable: false)
        values = some ?? []
    }

    mutating func nullableArray<Integer: FixedWidthInteger & Sendable>(
        _ values: inout [Integer]?
    ) throws(WireError) {
        try integers(&values, nullable: true)
    }

    private mutating func integers<Integer: FixedWidthInteger & Sendable>(
        _ values: inout [Integer]?, nullable: Bool
    ) throws(WireError) {
        try elements(&values, nullable: nullable, empty: 0) { wire, value throws(WireError) in
            try wire.integer(&value)
        }
    }

    mutating func array(_ values: inout [String]) throws(WireError) {
        var some: [String]? = values
        try strings(&some, nullable: false)
        values = some ?? []
    }

    mutating func nullableArray(_ values: inout [String]?) throws(WireError) { try strings(&values, nullable: true) }

    private mutating func strings(_ values: inout [String]?, nullable: Bool) throws(WireError) {
        try elements(&values, nullable: nullable, empty: "") { wire, value throws(WireError) in
            try wire.string(&value)
        }
    }

    private mutating func nullableArray<Element: WireMessage>(
        _ values: inout [Element]?, nullable: Bool
    ) throws(WireError) {
        try elements(&values, nullable: nullable, empty: Element()) { wire, value throws(WireError) in
            try wire.structure(&value)
        }
    }
}
