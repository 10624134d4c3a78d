import KafkaProtocol
import NIOCore

/// Lists the leaves of a message in wire order, tagged fields after the others of their structure: what another
/// implementation must read from its bytes.
///
/// Leaves are integers in decimal, booleans 0 or 1, `-` for null, `#n` for an array of n, and texts, bytes and UUIDs in
/// hexadecimal after `x`.
struct DescribingCoder: WireCoder {
    let version: Int16
    let isFlexible: Bool
    private(set) var leaves: [String] = []

    init(version: Int16, isFlexible: Bool) {
        self.version = version
        self.isFlexible = isFlexible
    }

    mutating func integer<Integer: FixedWidthInteger & Sendable>(_ value: inout Integer) throws(WireError) {
        leaves.append("\(value)")
    }

    mutating func boolean(_ value: inout Bool) throws(WireError) { leaves.append(value ? "1" : "0") }

    mutating func uuid(_ value: inout KafkaUUID) throws(WireError) {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(value.high, value.low)
        leaves.append("x" + bytes.hex)
    }

    mutating func text(_ value: inout String?, nullable: Bool) throws(WireError) {
        leaves.append(value.map { "x" + ByteBuffer(string: $0).hex } ?? "-")
    }

    mutating func blob(_ value: inout ByteBuffer?, nullable: Bool) throws(WireError) {
        leaves.append(value.map { "x" + $0.hex } ?? "-")
    }

    mutating func elements<Element>(
        _ values: inout [Element]?, nullable: Bool, empty: Element,
        each: (inout Self, inout Element) throws(WireError) -> Void
    ) throws(WireError) {
        leaves.append(values.map { "#\($0.count)" } ?? "-")
        for var element in values ?? [] { try each(&self, &element) }
    }

    mutating func structure<Message: WireMessage>(_ message: inout Message) throws(WireError) {
        try message.fields(&self)
    }

    /// No leaf of its own: null, or the leaves of the structure.
    mutating func nullableStructure<Message: WireMessage>(_ message: inout Message?) throws(WireError) {
        guard var present = message else { return leaves.append("-") }
        try structure(&present)
    }

    mutating func tagged(
        _ tag: UInt32, isDefault: Bool, _ field: (inout Self) throws(WireError) -> Void
    ) throws(WireError) {
        if isFlexible { try field(&self) }
    }
}
