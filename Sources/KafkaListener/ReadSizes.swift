import NIOCore

/// How large the next socket read of one connection is: small while it is quiet, large while it is busy.
///
/// Begins at ``readBytesMin``, grows fourfold when a read fills its buffer, and goes back one step after
/// ``quietReadsMax`` reads in a row that a quarter would have held.
struct ReadSizes: RecvByteBufferAllocator {
    static let readBytesMin = 4 * 1024
    private static let growth = 4
    private static let quietReadsMax = 16

    let readBytesMax: Int
    private var readBytes: Int
    private var quietReads = 0

    init(readBytesMax: Int) {
        self.readBytesMax = max(1024, readBytesMax)
        readBytes = min(Self.readBytesMin, self.readBytesMax)
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { allocator.buffer(capacity: readBytes) }

    func nextBufferSize() -> Int? { readBytes }

    /// Whether the next read may be larger.
    mutating func record(actualReadBytes: Int) -> Bool {
        if actualReadBytes >= readBytes {
            quietReads = 0
            let grown = min(readBytes * Self.growth, readBytesMax)
            defer { readBytes = grown }
            return grown > readBytes
        }
        let lower = max(readBytes / Self.growth, min(Self.readBytesMin, readBytesMax))
        quietReads = actualReadBytes <= lower ? quietReads + 1 : 0
        if quietReads >= Self.quietReadsMax, lower < readBytes {
            quietReads = 0
            readBytes = lower
        }
        return false
    }
}
