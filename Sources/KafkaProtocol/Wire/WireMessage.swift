/// A structure of the protocol that states its fields once, for both directions and all versions.
///
/// `fields` names every field in wire order. A reader fills them, a writer sends them; where a field depends on the version,
/// an `if` on `wire.version` says so. Compact lengths and the tagged-field section of flexible versions are the coder's
/// business; tagged fields come last, in the order of their tags.
public protocol WireMessage: Sendable, Equatable {
    /// All fields at the defaults of the protocol.
    init()
    mutating func fields(_ wire: inout some WireCoder) throws(WireError)

    // Both have default implementations that call `fields`. They are requirements so that every message has its own,
    // specialised by the compiler inside this module: a call from another module is then one indirect call, not one per
    // field.
    mutating func read(_ reader: inout WireReader) throws(WireError)
    mutating func write(_ writer: inout WireWriter) throws(WireError)
}

extension WireMessage {
    public mutating func read(_ reader: inout WireReader) throws(WireError) { try reader.structure(&self) }
    public mutating func write(_ writer: inout WireWriter) throws(WireError) { try writer.structure(&self) }
}

/// A request, and with it the kind of its response.
public protocol RequestMessage: WireMessage {
    associatedtype Response: WireMessage
    static var apiKey: APIKey { get }
    /// The versions that `fields` describes, of request and response.
    static var versions: ClosedRange<Int16> { get }
    /// The newest version that a broker shows to clients: the last of ``versions`` unless the protocol still changes it.
    static var newestStableVersion: Int16 { get }
}

extension RequestMessage {
    public static var newestStableVersion: Int16 { versions.upperBound }
    /// From this version on lengths are compact and structures end with tagged fields.
    public static var firstFlexible: Int16 { apiKey.firstFlexible }
    public static func isFlexible(_ version: Int16) -> Bool { version >= firstFlexible }
}
