import CZstd
import NIOCore

/// The calls of libzstd that record batches need, all with a bound.
enum Zstd {
    /// A context that has met a large window keeps it; such a one is not worth keeping.
    private static let keptBytesMax = 8 << 20

    private static let decompressors = ContextPool(
        make: { ZSTD_createDCtx() }, free: { ZSTD_freeDCtx($0) },
        reset: { context in
            ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
            return ZSTD_sizeof_DCtx(context) <= keptBytesMax
        })

    private static let compressors = ContextPool(
        make: { ZSTD_createCCtx() }, free: { ZSTD_freeCCtx($0) },
        reset: { context in ZSTD_sizeof_CCtx(context) <= keptBytesMax })

    /// Nil where `limitBytes` are too few.
    static func compress(
        _ from: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer, limitBytes: Int, level: Int32
    ) -> Int? {
        compressors.withContext { context in
            let result = ZSTD_compressCCtx(
                context, to.baseAddress, limitBytes, from.baseAddress, from.count, level)
            // The only error of a call like this is a destination too small: the payload does not shrink.
            return ZSTD_isError(result) == 0 ? result : nil
        } ?? nil
    }

    /// Every frame of `bytes`, decompressed into at most `limitBytes` bytes.
    static func decompress(
        _ bytes: UnsafeRawBufferPointer, limitBytes: Int
    ) -> Result<ByteBuffer, RecordBatchError> {
        decompressors.decompressing { context in
            var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
            return BoundedOutput.fill(expectedBytes: expectedBytes(bytes), limitBytes: limitBytes) { to, written in
                step(context, &input, to, &written)
            }
        }
    }

    /// What the frame says it holds is a hint: it is trusted up to 64 times the compressed size.
    private static func expectedBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
        let claimed = ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count)
        // The two largest values say "not known" and "not a frame".
        return claimed >= UInt64.max - 1 ? bytes.count * 4 : Int(min(claimed, UInt64(bytes.count * 64)))
    }

    private static func step(
        _ context: OpaquePointer, _ input: inout ZSTD_inBuffer, _ to: UnsafeMutableRawBufferPointer,
        _ written: inout Int
    ) -> DecompressionStep {
        var chunk = ZSTD_outBuffer(dst: to.baseAddress, size: to.count, pos: 0)
        let hint = ZSTD_decompressStream(context, &chunk, &input)
        written = chunk.pos
        if ZSTD_isError(hint) != 0 { return .failed(String(cString: ZSTD_getErrorName(hint))) }
        if hint == 0, input.pos == input.size { return .finished }
        // Output that is not full and input that is used up: nothing more can come.
        return input.pos == input.size && chunk.pos < chunk.size ? .failed("the last frame is cut off") : .more
    }
}
