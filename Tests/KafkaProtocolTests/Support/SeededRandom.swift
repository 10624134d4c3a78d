import NIOCore

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> ByteBuffer {
        ByteBuffer(bytes: (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) })
    }
}

extension ByteBuffer {
    init(hex: String) {
        self.init()
        var digits = hex.filter { !$0.isWhitespace }[...]
        while let byte = UInt8(digits.prefix(2), radix: 16) {
            writeInteger(byte)
            digits = digits.dropFirst(2)
        }
    }

    var hex: String {
        readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    func prefix(_ count: Int) -> ByteBuffer { getSlice(at: readerIndex, length: count)! }
}
