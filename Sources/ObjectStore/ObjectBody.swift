public import NIOCore

/// The bytes of an object in the pieces in which they lie in memory, so that a large one need not be put together to be sent.
///
/// Pieces below ``copyBytesMax`` are copied together as they come: a piece costs a step to whoever writes it, and may keep a larger
/// buffer alive. Larger ones are held as they are.
public struct ObjectBody: Sendable {
    static let copyBytesMax = 16 << 10
    /// Of small pieces put together, at most.
    private static let joinBytesMax = 64 << 10

    /// In order; none is empty.
    public private(set) var pieces: [ByteBuffer] = []
    public private(set) var sizeBytes = 0
    /// Where each piece begins.
    private var starts: [Int] = []
    /// The last piece is a buffer of this body's own, for small ones.
    private var isJoining = false

    public init() {}

    public init(_ whole: ByteBuffer) {
        if whole.readableBytes > 0 { hold(whole) }
    }

    public mutating func append(_ piece: ByteBuffer) {
        guard piece.readableBytes > 0 else { return }
        guard piece.readableBytes < Self.copyBytesMax else {
            isJoining = false
            return hold(piece)
        }
        guard isJoining, pieces[pieces.count - 1].readableBytes + piece.readableBytes <= Self.joinBytesMax else {
            var own = ByteBufferAllocator().buffer(capacity: piece.readableBytes)
            own.writeImmutableBuffer(piece)
            isJoining = true
            return hold(own)
        }
        pieces[pieces.count - 1].writeImmutableBuffer(piece)
        sizeBytes += piece.readableBytes
    }

    private mutating func hold(_ piece: ByteBuffer) {
        starts.append(sizeBytes)
        pieces.append(piece)
        sizeBytes += piece.readableBytes
    }

    /// All bytes in one buffer: the piece itself where there is only one, else a copy.
    public var joined: ByteBuffer {
        guard pieces.count > 1 else { return pieces.first ?? ByteBuffer() }
        return bytes(0..<sizeBytes) ?? ByteBuffer()
    }

    /// The bytes of `range`: a slice where they lie in one piece, else a copy. Nil when it is not inside the body.
    public func bytes(_ range: Range<Int>) -> ByteBuffer? {
        guard range.lowerBound >= 0, range.upperBound <= sizeBytes else { return nil }
        guard !range.isEmpty else { return ByteBuffer() }
        var index = piece(at: range.lowerBound)
        if range.upperBound <= starts[index] + pieces[index].readableBytes { return slice(index, range) }
        var copy = ByteBufferAllocator().buffer(capacity: range.count)
        while index < pieces.count, starts[index] < range.upperBound {
            if let part = slice(index, range) { copy.writeImmutableBuffer(part) }
            index += 1
        }
        return copy
    }

    /// How many of the next `bytesMax` bytes from `position`, which is inside the body, to take at once so that little is copied: to the
    /// end of a piece that has `largeBytes` left, else up to the next one that has.
    func run(from position: Int, bytesMax: Int, largeBytes: Int) -> Int {
        var index = piece(at: position)
        var bytes = starts[index] + pieces[index].readableBytes - position
        if bytes < largeBytes {
            while bytes < bytesMax, index + 1 < pieces.count, pieces[index + 1].readableBytes < largeBytes {
                index += 1
                bytes += pieces[index].readableBytes
            }
        }
        return min(bytes, bytesMax)
    }

    /// What of `range` lies in one piece.
    private func slice(_ index: Int, _ range: Range<Int>) -> ByteBuffer? {
        let (piece, start) = (pieces[index], starts[index])
        let part = range.clamped(to: start..<start + piece.readableBytes)
        return piece.getSlice(at: piece.readerIndex + part.lowerBound - start, length: part.count)
    }

    /// The piece that holds the byte at `position`, which is inside the body.
    private func piece(at position: Int) -> Int {
        var low = 0
        var high = starts.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if starts[middle] <= position { low = middle } else { high = middle }
        }
        return low
    }
}
