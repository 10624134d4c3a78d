import NIOCore

/// The last offset of each key over a stretch of a partition, in bounded memory. Keys are kept as 128 bits of a keyed hash,
/// so that no producer can make two keys meet.
struct OffsetMap: Sendable {
    struct Digest: Hashable, Sendable {
        var low: UInt64
        var high: UInt64
        /// Its bits are random already.
        func hash(into hasher: inout Hasher) { hasher.combine(low) }
    }

    private let seed: (UInt64, UInt64)
    private let keysMax: Int
    private var last: [Digest: Int64] = [:]

    init(keysMax: Int, seed: (UInt64, UInt64)) {
        self.keysMax = keysMax
        self.seed = seed
    }

    var count: Int { last.count }

    /// False when there is no room for another key; the map is then as it was. With `grows` there is always room.
    mutating func note(_ key: ByteBuffer, at offset: Int64, grows: Bool = false) -> Bool {
        let digest = digest(key)
        guard grows || last.count < keysMax || last[digest] != nil else { return false }
        last[digest] = offset
        return true
    }

    /// Whether a later record of the stretch has the key.
    func isSuperseded(_ key: ByteBuffer, at offset: Int64) -> Bool {
        guard let latest = last[digest(key)] else { return false }
        return latest > offset
    }

    private func digest(_ key: ByteBuffer) -> Digest {
        key.withUnsafeReadableBytes { bytes in
            var hash = SipHash128(seed)
            let (low, high) = hash.finish(bytes)
            return Digest(low: low, high: high)
        }
    }
}

/// SipHash-2-4 with 128 bits of result. Source: Aumasson, Bernstein, "SipHash: a fast short-input PRF", and its reference code.
struct SipHash128 {
    private var v0: UInt64
    private var v1: UInt64
    private var v2: UInt64
    private var v3: UInt64

    init(_ key: (UInt64, UInt64)) {
        v0 = 0x736f_6d65_7073_6575 ^ key.0
        v1 = 0x646f_7261_6e64_6f6d ^ key.1 ^ 0xee
        v2 = 0x6c79_6765_6e65_7261 ^ key.0
        v3 = 0x7465_6462_7974_6573 ^ key.1
    }

    mutating func finish(_ bytes: UnsafeRawBufferPointer) -> (low: UInt64, high: UInt64) {
        let whole = bytes.count & ~7
        for index in stride(from: 0, to: whole, by: 8) {
            compress(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
        }
        var rest = UInt64(truncatingIfNeeded: bytes.count) << 56
        for index in whole..<bytes.count { rest |= UInt64(bytes[index]) << UInt64(8 * (index - whole)) }
        compress(rest)
        v2 ^= 0xee
        for _ in 0..<4 { round() }
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        for _ in 0..<4 { round() }
        return (low, v0 ^ v1 ^ v2 ^ v3)
    }

    private mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        round()
        v0 ^= word
    }

    private mutating func round() {
        v0 = v0 &+ v1
        v1 = (v1 << 13 | v1 >> 51) ^ v0
        v0 = v0 << 32 | v0 >> 32
        v2 = v2 &+ v3
        v3 = (v3 << 16 | v3 >> 48) ^ v2
        v0 = v0 &+ v3
        v3 = (v3 << 21 | v3 >> 43) ^ v0
        v2 = v2 &+ v1
        v1 = (v1 << 17 | v1 >> 47) ^ v2
        v2 = v2 << 32 | v2 >> 32
    }
}
