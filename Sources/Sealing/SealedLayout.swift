/// Where the plain bytes of an object are in its sealed form: after the header, chunks of `chunkBytes` (the last one shorter), each
/// followed by its tag. Pure arithmetic.
public struct SealedLayout: Sendable, Equatable {
    /// 16 bytes of tag in 64 KiB are 0.02%, and a small read opens no more than that.
    public static let chunkBytesDefault = 64 << 10
    /// 1 TiB; no object of ours comes near.
    private static let plainBytesMax: UInt64 = 1 << 40
    static var tagBytes: Int { GCMCipher.tagBytes }

    public let chunkBytes: Int
    public let plainBytes: Int

    public init(plainBytes: Int, chunkBytes: Int = chunkBytesDefault) {
        precondition(plainBytes >= 0 && chunkBytes > 0, "\(plainBytes) bytes in chunks of \(chunkBytes)")
        self.chunkBytes = chunkBytes
        self.plainBytes = plainBytes
    }

    /// From bytes that anybody may have written: nil when nobody of us would.
    init?(chunkBytes: UInt64, plainBytes: UInt64) {
        guard (1 << 10...1 << 24).contains(chunkBytes), plainBytes <= Self.plainBytesMax else { return nil }
        self.init(plainBytes: Int(plainBytes), chunkBytes: Int(chunkBytes))
    }

    public var chunkCount: Int { (plainBytes + chunkBytes - 1) / chunkBytes }

    /// Of the whole sealed object, header included.
    public var sealedBytes: Int { SealedHeader.sizeBytes + plainBytes + chunkCount * Self.tagBytes }

    /// The chunks that hold the plain bytes of `range`, which is not empty and inside the object.
    public func chunks(of range: Range<Int>) -> Range<Int> {
        range.lowerBound / chunkBytes..<(range.upperBound - 1) / chunkBytes + 1
    }

    /// The plain bytes of these chunks.
    public func plainRange(of chunks: Range<Int>) -> Range<Int> {
        chunks.lowerBound * chunkBytes..<min(chunks.upperBound * chunkBytes, plainBytes)
    }

    /// Where these chunks and their tags stand in the sealed object.
    public func sealedRange(of chunks: Range<Int>) -> Range<Int> {
        let plain = plainRange(of: chunks)
        let header = SealedHeader.sizeBytes
        return header + plain.lowerBound + chunks.lowerBound * Self.tagBytes..<header + plain.upperBound
            + chunks.upperBound * Self.tagBytes
    }

    /// How many plain bytes, from the first, are there whole if only the first `sealedBytes` of the object are: what a store that keeps
    /// a part of a broken upload has. Nil when there are more bytes than the object has.
    public func plainBytes(ofFirst sealedBytes: Int) -> Int? {
        guard sealedBytes < self.sealedBytes else { return sealedBytes == self.sealedBytes ? plainBytes : nil }
        return max(0, sealedBytes - SealedHeader.sizeBytes) / (chunkBytes + Self.tagBytes) * chunkBytes
    }
}
