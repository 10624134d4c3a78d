/// A name with `*` (any characters, none too) and `?` (one character) anywhere in it.
///
/// In a run of wildcards every `?` stands before the one `*`, so that patterns that match the same names are the same text.
public struct NamePattern: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    private let bytes: [UInt8]

    private static let any = UInt8(ascii: "*")
    private static let one = UInt8(ascii: "?")

    /// Nil for an empty text, and where a `*` stands before another wildcard.
    public init?(_ text: String) {
        bytes = Array(text.utf8)
        description = text
        let isTangled = zip(bytes, bytes.dropFirst()).contains { $0 == Self.any && ($1 == Self.any || $1 == Self.one) }
        if bytes.isEmpty || isTangled { return nil }
    }

    /// The text without its wildcards.
    var literals: [UInt8] { bytes.filter { $0 != Self.any && $0 != Self.one } }

    /// The most special first: names without wildcards, then those with most characters that must be there.
    public var rank: (Int, Int, Int) {
        let literal = literals.count
        let isExact = literal == bytes.count
        return (isExact ? 1 : 0, literal, bytes.count { $0 == Self.one })
    }

    public func matches(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { matches($0) { pattern, byte in pattern == byte || pattern == Self.one } }
    }

    /// Whether every name that `other` matches is matched by this one too.
    public func covers(_ other: NamePattern) -> Bool {
        other.bytes.withUnsafeBufferPointer { text in
            matches(text) { pattern, byte in
                pattern == byte && byte != Self.any || pattern == Self.one && byte != Self.any
            }
        }
    }

    /// Goes back to the last `*` where the rest does not fit: never further, so the work is at most the product of the lengths.
    private func matches(_ text: UnsafeBufferPointer<UInt8>, _ fits: (UInt8, UInt8) -> Bool) -> Bool {
        var (place, at) = (0, 0)
        var retry: (place: Int, at: Int)?
        while at < text.count {
            if place < bytes.count, bytes[place] == Self.any {
                retry = (place, at)
                place += 1
            } else if place < bytes.count, fits(bytes[place], text[at]) {
                at += bytes[place] == Self.one ? Self.characterBytes(text, at) : 1
                place += 1
            } else if let (star, from) = retry {
                retry = (star, from + 1)
                (place, at) = (star + 1, from + 1)
            } else {
                return false
            }
        }
        while place < bytes.count, bytes[place] == Self.any { place += 1 }
        return place == bytes.count
    }

    /// Of the UTF-8 character that begins at `place`.
    private static func characterBytes(_ text: UnsafeBufferPointer<UInt8>, _ place: Int) -> Int {
        var end = place + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return end - place
    }
}
