import KafkaProtocol
import NIOCore

/// Reads or writes one value's fields in order, so that the two directions cannot differ.
///
/// Integers are LEB128 varints (signed ones zigzag first), text is UTF-8 behind its length, lists stand behind their
/// count. See docs/ledger-format.md.
protocol LedgerCoder {
    /// The format version of what is read or written.
    var version: UInt16 { get }
    mutating func unsigned(_ value: inout UInt64) throws(LedgerFormatError)
    mutating func text(_ value: inout String) throws(LedgerFormatError)
    mutating func topicID(_ value: inout KafkaUUID) throws(LedgerFormatError)
    mutating func bytes(_ value: inout ByteBuffer) throws(LedgerFormatError)
    mutating func list<Element>(
        _ values: inout [Element], empty: Element,
        _ each: (inout Element, inout Self) throws(LedgerFormatError) -> Void
    ) throws(LedgerFormatError)
}

/// A value that lists its fields once for both directions.
protocol LedgerCoded: Sendable, Equatable {
    /// A value to read into.
    static var blank: Self { get }
    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError)
}

extension LedgerCoder {
    mutating func signed(_ value: inout Int64) throws(LedgerFormatError) {
        var folded = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        try unsigned(&folded)
        value = Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    /// Any narrower integer; a value outside its range is an error when read.
    mutating func integer<Value: FixedWidthInteger & Sendable>(_ value: inout Value) throws(LedgerFormatError) {
        if Value.isSigned {
            var wide = Int64(value)
            try signed(&wide)
            guard let narrow = Value(exactly: wide) else { throw .invalidValue(what: "integer out of range") }
            value = narrow
        } else {
            var wide = UInt64(value)
            try unsigned(&wide)
            guard let narrow = Value(exactly: wide) else { throw .invalidValue(what: "integer out of range") }
            value = narrow
        }
    }

    mutating func boolean(_ value: inout Bool) throws(LedgerFormatError) {
        var bit: UInt64 = value ? 1 : 0
        try unsigned(&bit)
        guard bit <= 1 else { throw .invalidTag(what: "boolean", tag: Int(truncatingIfNeeded: bit)) }
        value = bit == 1
    }

    mutating func value(_ value: inout some LedgerCoded) throws(LedgerFormatError) {
        try value.fields(&self)
    }

    mutating func list<Element: LedgerCoded>(_ values: inout [Element]) throws(LedgerFormatError) {
        try list(&values, empty: Element.blank) { element, coder throws(LedgerFormatError) in
            try element.fields(&coder)
        }
    }

    mutating func texts(_ values: inout [String]) throws(LedgerFormatError) {
        try list(&values, empty: "") { element, coder throws(LedgerFormatError) in try coder.text(&element) }
    }

    /// Written in the order of the keys, so that equal dictionaries are equal bytes.
    mutating func configs(_ values: inout [String: String]) throws(LedgerFormatError) {
        var pairs = values.sorted { $0.key < $1.key }.map { ConfigPair(key: $0.key, value: $0.value) }
        try list(&pairs)
        values = Dictionary(pairs.map { ($0.key, $0.value) }, uniquingKeysWith: { _, last in last })
    }
}

private struct ConfigPair: LedgerCoded {
    var key: String
    var value: String
    static var blank: ConfigPair { ConfigPair(key: "", value: "") }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&key)
        try coder.text(&value)
    }
}
