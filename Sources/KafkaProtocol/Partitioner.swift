public import NIOCore

/// Which partition a record with a key goes to, as the default partitioner of the Java client decides it, so that records of
/// one key from any client meet in one partition.
public enum Partitioner {
    /// MurmurHash2 in the 32-bit variant and with the seed that the Java client uses.
    public static func murmur2(_ key: ByteBuffer) -> Int32 {
        key.withUnsafeReadableBytes { murmur2($0) }
    }

    public static func murmur2(_ key: some Sequence<UInt8>) -> Int32 {
        if let hash = key.withContiguousStorageIfAvailable({ murmur2(UnsafeRawBufferPointer($0)) }) { return hash }
        return Array(key).withUnsafeBytes { murmur2($0) }
    }

    /// The partition of `key` among `count`, which must be positive.
    public static func partition(forKey key: ByteBuffer, count: Int32) -> Int32 {
        precondition(count > 0, "a topic of \(count) partitions")
        return (murmur2(key) & Int32.max) % count
    }

    private static func murmur2(_ key: UnsafeRawBufferPointer) -> Int32 {
        let factor: UInt32 = 0x5bd1_e995
        var hash: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: key.count)
        let wordsEnd = key.count & ~3
        for offset in stride(from: 0, to: wordsEnd, by: 4) {
            var word = UInt32(littleEndian: key.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) &* factor
            word ^= word >> 24
            hash = (hash &* factor) ^ (word &* factor)
        }
        if wordsEnd < key.count {
            for offset in (wordsEnd..<key.count).reversed() { hash ^= UInt32(key[offset]) << (8 * UInt32(offset & 3)) }
            hash = hash &* factor
        }
        hash = (hash ^ hash >> 13) &* factor
        return Int32(bitPattern: hash ^ hash >> 15)
    }
}
