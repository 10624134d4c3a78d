/// A 128-bit id as Kafka writes it: 16 bytes big-endian on the wire, 22 characters of URL-safe base64 in text.
public struct KafkaUUID: Hashable, Sendable {
    public var high: UInt64
    public var low: UInt64

    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// "No id": topics are named by name where it stands.
    public static let zero = KafkaUUID(high: 0, low: 0)
}

extension KafkaUUID: LosslessStringConvertible {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// 22 characters: 128 bits and four zero bits, no padding.
    public var description: String {
        let bits = UInt128(high) << 64 | UInt128(low)
        var text: [UInt8] = []
        for shift in stride(from: 122, through: 2, by: -6) {
            text.append(Self.alphabet[Int(truncatingIfNeeded: bits >> UInt128(shift)) & 63])
        }
        text.append(Self.alphabet[Int(truncatingIfNeeded: bits << 4) & 63])
        return String(decoding: text, as: UTF8.self)
    }

    /// Nil where `description` is not the text of an id, down to the four bits that must be zero.
    public init?(_ description: String) {
        let text = Array(description.utf8)
        guard text.count == 22 else { return nil }
        var bits: UInt128 = 0
        for (position, character) in text.enumerated() {
            guard let digit = Self.alphabet.firstIndex(of: character) else { return nil }
            guard position == 21 else {
                bits = bits << 6 | UInt128(digit)
                continue
            }
            guard digit & 15 == 0 else { return nil }
            bits = bits << 2 | UInt128(digit >> 4)
        }
        self.init(high: UInt64(truncatingIfNeeded: bits >> 64), low: UInt64(truncatingIfNeeded: bits))
    }
}
