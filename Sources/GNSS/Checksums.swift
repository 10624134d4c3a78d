/// The checksums of the three framings, over plain bytes.
enum Checksums {
    /// CRC-24Q: polynomial 0x1864CFB, start 0, no reflection. Source: RTCM 10403.3 section 4.2.
    static func crc24q(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        crc24qTable.withUnsafeBufferPointer { table in
            var crc: UInt32 = 0
            for byte in bytes { crc = crc24qStep(crc, byte, table) }
            return crc
        }
    }

    /// The 8-bit Fletcher sums of RFC 1145 as u-blox uses them; the first byte sent is the high one here.
    static func fletcher8(_ bytes: UnsafeRawBufferPointer) -> UInt16 {
        var a: UInt8 = 0
        var b: UInt8 = 0
        for byte in bytes {
            a &+= byte
            b &+= a
        }
        return UInt16(a) << 8 | UInt16(b)
    }

    static func xor(_ bytes: UnsafeRawBufferPointer) -> UInt8 {
        var sum: UInt8 = 0
        for byte in bytes { sum ^= byte }
        return sum
    }

    @inline(__always)
    static func crc24qStep(_ crc: UInt32, _ byte: UInt8, _ table: UnsafeBufferPointer<UInt32>) -> UInt32 {
        (crc << 8 & 0xFF_FFFF) ^ table[Int((crc >> 16 ^ UInt32(byte)) & 0xFF)]
    }

    static let crc24qTable: [UInt32] = (0..<256).map { index in
        var crc = UInt32(index) << 16
        for _ in 0..<8 { crc = shifted(crc) }
        return crc
    }

    /// `crc` followed by `count` zero bytes: what a prefix contributes to the CRC of a longer run.
    /// `count` is at most ``shiftMax``.
    static func crc24q(_ crc: UInt32, shiftedByBytes count: Int) -> UInt32 {
        precondition(count <= shiftMax, "shift of \(count) bytes, table of \(shiftMax)")
        var factor = byteShifts[count]
        var power = crc
        var product: UInt32 = 0
        while factor != 0 {
            if factor & 1 == 1 { product ^= power }
            power = shifted(power)
            factor >>= 1
        }
        return product
    }

    /// Header and payload of the longest RTCM frame.
    static let shiftMax = 1026

    /// x^(8 n) modulo the polynomial.
    private static let byteShifts: [UInt32] = {
        var shifts: [UInt32] = [1]
        shifts.reserveCapacity(shiftMax + 1)
        for index in 0..<shiftMax {
            var next = shifts[index]
            for _ in 0..<8 { next = shifted(next) }
            shifts.append(next)
        }
        return shifts
    }()

    /// Multiplied by x modulo the polynomial.
    private static func shifted(_ crc: UInt32) -> UInt32 {
        let next = crc << 1
        return next & 0x100_0000 == 0 ? next : next ^ 0x186_4CFB
    }
}
