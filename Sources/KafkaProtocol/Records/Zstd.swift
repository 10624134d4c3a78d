import CZstd
import NIOCore

/// The two calls of libzstd that record batches need, both with a bound.
enum Zstd {
    /// `buffer` with all but its first `prefixBytes` compressed as one frame; nil where that would not make it smaller.
    static func compress(_ buffer: ByteBuffer, skipping prefixBytes: Int, level: Int32) -> ByteBuffer? {
        var compressed = ByteBuffer()
        compressed.reserveCapacity(buffer.readableBytes)
        compressed.writeRepeatingByte(0, count: prefixBytes)
        let limitBytes = buffer.readableBytes - prefixBytes - 1
        guard limitBytes > 0 else { return nil }
        let writtenBytes = buffer.withUnsafeReadableBytes { whole -> Int? in
            let from = UnsafeRawBufferPointer(rebasing: whole[prefixBytes...])
            let written = compressed.writeWithUnsafeMutableBytes(minimumWritableBytes: limitBytes) { to in
                let result = ZSTD_compress(to.baseAddress, limitBytes, from.baseAddress, from.count, level)
                // The only error of a call like this is a destination too small: the payload does not shrink.
                return ZSTD_isError(result) == 0 ? result : 0
            }
            return written == 0 ? nil : written
        }
        return writtenBytes == nil ? nil : compressed
    }

    /// Every frame of `payload`, decompressed into at most `limitBytes` bytes.
    static func decompress(_ payload: ByteBuffer, limitBytes: Int) throws(RecordBatchError) -> ByteBuffer {
        guard let context = ZSTD_createDCtx() else { throw .decompressionFailed(reason: "no memory for a context") }
        defer { ZSTD_freeDCtx(context) }
        var output = ByteBuffer()
        output.reserveCapacity(firstCapacity(payload, limitBytes: limitBytes))
        let result = payload.withUnsafeReadableBytes { stream(context, $0, into: &output, limitBytes: limitBytes) }
        try result.get()
        return output
    }

    /// What the frame says it holds is a hint: it is trusted up to 64 times the compressed size.
    private static func firstCapacity(_ payload: ByteBuffer, limitBytes: Int) -> Int {
        let claimed = payload.withUnsafeReadableBytes { ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
        let trusted = min(limitBytes, payload.readableBytes * 64)
        // The two largest values say "not known" and "not a frame".
        return claimed >= UInt64.max - 1 ? min(trusted, payload.readableBytes * 4) : Int(min(claimed, UInt64(trusted)))
    }

    private static func stream(
        _ context: OpaquePointer, _ bytes: UnsafeRawBufferPointer, into output: inout ByteBuffer, limitBytes: Int
    ) -> Result<Void, RecordBatchError> {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        var hint = 0
        var outputWasFull = false
        while input.pos < input.size || outputWasFull {
            // One byte over the limit shows that there is more than the limit.
            let roomBytes = min(max(output.writableBytes, 64 << 10), limitBytes + 1 - output.readableBytes)
            output.writeWithUnsafeMutableBytes(minimumWritableBytes: roomBytes) { to in
                var chunk = ZSTD_outBuffer(dst: to.baseAddress, size: roomBytes, pos: 0)
                hint = ZSTD_decompressStream(context, &chunk, &input)
                outputWasFull = chunk.pos == chunk.size
                return chunk.pos
            }
            if ZSTD_isError(hint) != 0 {
                return .failure(.decompressionFailed(reason: String(cString: ZSTD_getErrorName(hint))))
            }
            if output.readableBytes > limitBytes { return .failure(.decompressedTooLarge(limitBytes: limitBytes)) }
            if hint == 0 && input.pos == input.size { break }
        }
        return hint == 0 ? .success(()) : .failure(.decompressionFailed(reason: "the last frame is cut off"))
    }
}
