import KafkaProtocol
import NIOCore

/// Fills every field that a message has at a version with something a peer may send.
struct InventingCoder: WireCoder {
    let version: Int16
    let isFlexible: Bool
    /// Only what a peer with strict types takes: times within a century, known error codes.
    var isPlain = false
    var random: SeededRandom

    init(seed: UInt64, version: Int16, isFlexible: Bool, isPlain: Bool = false) {
        self.version = version
        self.isFlexible = isFlexible
        self.isPlain = isPlain
        random = SeededRandom(seed: seed)
    }

    static func message<Message: WireMessage>(
        _ type: Message.Type, seed: UInt64, version: Int16, isFlexible: Bool, isPlain: Bool = false
    ) throws -> Message {
        var coder = InventingCoder(seed: seed, version: version, isFlexible: isFlexible, isPlain: isPlain)
        var message = Message()
        try coder.structure(&message)
        return message
    }

    mutating func integer<Integer: FixedWidthInteger & Sendable>(_ value: inout Integer) throws(WireError) {
        if Integer.bitWidth == 16, isPlain || Bool.random(using: &random) {
            // Within the table of error codes.
            value = Integer(truncatingIfNeeded: Int.random(in: 0...133, using: &random))
        } else if Integer.bitWidth == 64, isPlain {
            value = Integer(truncatingIfNeeded: Int.random(in: 0...4_000_000_000_000, using: &random))
        } else {
            let edges: [Integer] = [.min, .max, 0]
            value = edges.randomElement(using: &random)!
            if Int.random(in: 0..<4, using: &random) > 0 { value = Integer(truncatingIfNeeded: random.next()) }
        }
    }

    mutating func boolean(_ value: inout Bool) throws(WireError) { value = Bool.random(using: &random) }

    mutating func uuid(_ value: inout KafkaUUID) throws(WireError) {
        value = KafkaUUID(high: random.next(), low: random.next())
    }

    mutating func text(_ value: inout String?, nullable: Bool) throws(WireError) {
        if nullable, Int.random(in: 0..<4, using: &random) == 0 {
            value = nil
            return
        }
        let alphabet = Array("abcXYZ019._-é漢😀")
        let length = Int.random(in: 0..<20, using: &random)
        value = String((0..<length).map { _ in alphabet.randomElement(using: &random)! })
    }

    mutating func blob(_ value: inout ByteBuffer?, nullable: Bool) throws(WireError) {
        switch Int.random(in: 0..<8, using: &random) {
        case 0 where nullable: value = nil
        case 1: value = random.bytes(WireWriter.referenceBytesMin + Int.random(in: -1...1, using: &random))
        default: value = random.bytes(Int.random(in: 0..<40, using: &random))
        }
    }

    mutating func elements<Element>(
        _ values: inout [Element]?, nullable: Bool, empty: Element,
        each: (inout Self, inout Element) throws(WireError) -> Void
    ) throws(WireError) {
        if nullable, Int.random(in: 0..<4, using: &random) == 0 {
            values = nil
            return
        }
        var invented: [Element] = []
        for _ in 0..<Int.random(in: 0..<4, using: &random) {
            var element = empty
            try each(&self, &element)
            invented.append(element)
        }
        values = invented
    }

    mutating func structure<Message: WireMessage>(_ message: inout Message) throws(WireError) {
        try message.fields(&self)
    }

    mutating func nullableStructure<Message: WireMessage>(_ message: inout Message?) throws(WireError) {
        message = nil
        guard Bool.random(using: &random) else { return }
        var present = Message()
        try structure(&present)
        message = present
    }

    mutating func tagged(
        _ tag: UInt32, isDefault: Bool, _ field: (inout Self) throws(WireError) -> Void
    ) throws(WireError) {
        if isFlexible, Bool.random(using: &random) { try field(&self) }
    }
}
