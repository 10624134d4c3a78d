public import NIOCore

/// Reads fields of 1 to 64 bits, most significant bit first, as RTCM 3 lays them out.
public struct BitReader: Sendable {
    private let bytes: ByteBuffer
    /// In bits from the first readable byte.
    public private(set) var position = 0

    public init(_ bytes: ByteBuffer) {
        self.bytes = bytes
    }

    /// Nil past the end.
    public mutating func unsigned(_ bits: Int) -> UInt64? {
        precondition(1...64 ~= bits, "field of \(bits) bits")
        guard position + bits <= bytes.readableBytes * 8 else { return nil }
        var value: UInt64 = 0
        var missing = bits
        while missing > 0 {
            let index = bytes.readerIndex + position / 8
            guard let byte = bytes.getInteger(at: index, as: UInt8.self) else { return nil }
            let available = 8 - position % 8
            let taken = min(available, missing)
            let field = UInt64(byte) >> UInt64(available - taken) & ((1 << UInt64(taken)) - 1)
            value = value << UInt64(taken) | field
            position += taken
            missing -= taken
        }
        return value
    }

    /// Two's complement; nil past the end.
    public mutating func signed(_ bits: Int) -> Int64? {
        guard let value = unsigned(bits) else { return nil }
        let unused = UInt64(64 - bits)
        return Int64(bitPattern: value << unused) >> Int64(unused)
    }

    public mutating func skip(_ bits: Int) {
        position += bits
    }
}

/// Writes what ``BitReader`` reads. The last byte is filled up with zeros.
public struct BitWriter: Sendable {
    public private(set) var bytes: [UInt8] = []
    private var bitCount = 0

    public init() {}

    /// Writes the low `bits` bits of `value`.
    public mutating func unsigned(_ value: UInt64, _ bits: Int) {
        precondition(1...64 ~= bits, "field of \(bits) bits")
        for bit in stride(from: bits - 1, through: 0, by: -1) {
            if bitCount % 8 == 0 { bytes.append(0) }
            bytes[bytes.count - 1] |= UInt8(value >> UInt64(bit) & 1) << UInt8(7 - bitCount % 8)
            bitCount += 1
        }
    }

    public mutating func signed(_ value: Int64, _ bits: Int) {
        unsigned(UInt64(bitPattern: value), bits)
    }
}
