public import NIOCore

/// Reading NMEA 0183 sentences whose checksum the framer has accepted. Source: NMEA 0183 version 4.11, sections 5 and 6.
public enum NMEA {
    /// `GGA` of `$GNGGA`, `VDM` of `!AIVDM`, the whole address of a proprietary sentence (`PUBX`).
    public static func type(_ frame: ByteBuffer) -> NMEAType {
        frame.withUnsafeReadableBytes { NMEAType(address: address($0)) }
    }

    /// Milliseconds since UTC midnight of the sentences that carry a time; nil for others and for an empty or bad field.
    public static func timeOfDayMs(_ frame: ByteBuffer) -> UInt32? {
        frame.withUnsafeReadableBytes { bytes in
            guard let index = timeField(NMEAType(address: address(bytes))) else { return nil }
            return field(index, of: bytes).flatMap { timeOfDayMs($0) }
        }
    }

    /// Which field holds the time, the first after the address being 1.
    private static func timeField(_ type: NMEAType) -> Int? {
        switch type {
        case "GGA", "RMC", "GNS", "GST", "GBS", "ZDA", "GRS": 1
        case "GLL": 5
        default: nil
        }
    }

    private static func address(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        field(0, of: bytes) ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// The bytes of one field; field 0 is the address after `$` or `!`.
    private static func field(_ index: Int, of bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var start = 1
        var remaining = index
        guard start <= bytes.count else { return nil }
        for position in start..<bytes.count {
            let byte = bytes[position]
            let isEnd = byte == UInt8(ascii: "*") || byte == UInt8(ascii: "\r")
            guard byte == UInt8(ascii: ",") || isEnd else { continue }
            if remaining == 0 { return UnsafeRawBufferPointer(rebasing: bytes[start..<position]) }
            if isEnd { return nil }
            remaining -= 1
            start = position + 1
        }
        return nil
    }

    /// `hhmmss` with up to three decimals that count.
    private static func timeOfDayMs(_ text: UnsafeRawBufferPointer) -> UInt32? {
        guard text.count >= 6 else { return nil }
        var digits: [UInt32] = []
        for (index, byte) in text.prefix(10).enumerated() where index != 6 {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            digits.append(UInt32(byte - UInt8(ascii: "0")))
        }
        while digits.count < 9 { digits.append(0) }
        let hours = digits[0] * 10 + digits[1]
        let minutes = digits[2] * 10 + digits[3]
        let seconds = digits[4] * 10 + digits[5]
        guard hours < 24, minutes < 60, seconds <= 60 else { return nil }
        return ((hours * 60 + minutes) * 60 + seconds) * 1000 + digits[6] * 100 + digits[7] * 10 + digits[8]
    }
}

/// The type of a sentence, at most eight characters of it.
public struct NMEAType: Sendable, Hashable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The characters, the first in the highest byte in use.
    private var packed: UInt64 = 0

    public init(stringLiteral value: StaticString) {
        self = value.withUTF8Buffer { NMEAType(UnsafeRawBufferPointer($0)) }
    }

    /// Two letters of talker are left out, except where the address begins with `P`, which has none.
    init(address: UnsafeRawBufferPointer) {
        guard address.count > 2, address[0] != UInt8(ascii: "P") else {
            self.init(address)
            return
        }
        self.init(UnsafeRawBufferPointer(rebasing: address[2...]))
    }

    private init(_ text: UnsafeRawBufferPointer) {
        for byte in text.prefix(8) { packed = packed << 8 | UInt64(byte) }
    }

    public var description: String {
        withUnsafeBytes(of: packed.bigEndian) { bytes in
            String(decoding: bytes.drop { $0 == 0 }, as: UTF8.self)
        }
    }
}
