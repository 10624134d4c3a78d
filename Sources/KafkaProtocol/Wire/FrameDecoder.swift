public import NIOCore

/// Cuts a byte stream into frames: four bytes of length, then as many bytes of content.
///
/// A frame that came in one piece is a slice of that piece; one that came in several is gathered. Memory is bounded by
/// `limitBytes` plus what was appended last.
public struct FrameDecoder: Sendable {
    public let limitBytes: Int
    private var pending = ByteBuffer()

    /// - Parameter limitBytes: of the content of one frame.
    public init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// Bytes that are not part of a frame given out.
    public var pendingBytes: Int { pending.readableBytes }

    public mutating func append(_ bytes: ByteBuffer) {
        if pending.readableBytes == 0 {
            pending = bytes
        } else {
            // The storage may be shared with frames given out: then this copies what is pending, and only that.
            pending.writeImmutableBuffer(bytes)
        }
    }

    /// The content of the next whole frame; nil when bytes are missing. After an error the stream is of no more use.
    public mutating func next() throws(WireError) -> ByteBuffer? {
        guard let length = pending.getInteger(at: pending.readerIndex, as: Int32.self) else { return nil }
        guard length >= 0 else { throw .lengthNegative(Int(length)) }
        guard length <= limitBytes else { throw .frameTooLarge(sizeBytes: Int(length), limitBytes: limitBytes) }
        guard pending.readableBytes - 4 >= Int(length) else { return nil }
        pending.moveReaderIndex(forwardBy: 4)
        return pending.readSlice(length: Int(length))
    }
}
