import CLZ4
import NIOCore

/// The calls of liblz4 that record batches need. A payload is one LZ4 frame or several.
enum LZ4 {
    private static let decompressors = ContextPool(
        make: {
            var context: OpaquePointer?
            let result = LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
            return LZ4F_isError(result) == 0 ? context : nil
        },
        free: { LZ4F_freeDecompressionContext($0) },
        reset: { context in
            LZ4F_resetDecompressionContext(context)
            return true
        })

    static func decompress(
        _ bytes: UnsafeRawBufferPointer, limitBytes: Int
    ) -> Result<ByteBuffer, RecordBatchError> {
        decompressors.decompressing { context in
            var rest = bytes
            return BoundedOutput.fill(expectedBytes: bytes.count * 4, limitBytes: limitBytes) { to, written in
                step(context, &rest, to, &written)
            }
        }
    }

    private static func step(
        _ context: OpaquePointer, _ rest: inout UnsafeRawBufferPointer, _ to: UnsafeMutableRawBufferPointer,
        _ written: inout Int
    ) -> DecompressionStep {
        var outputBytes = to.count
        var inputBytes = rest.count
        let hint = LZ4F_decompress(context, to.baseAddress, &outputBytes, rest.baseAddress, &inputBytes, nil)
        if LZ4F_isError(hint) != 0 { return .failed(String(cString: LZ4F_getErrorName(hint))) }
        written = outputBytes
        rest = UnsafeRawBufferPointer(rebasing: rest[inputBytes...])
        if hint == 0, rest.isEmpty { return .finished }
        return inputBytes == 0 && outputBytes == 0 ? .failed("the last frame is cut off") : .more
    }

    static func compressedBytesMax(_ fromBytes: Int, level: Int32) -> Int {
        var preferences = preferences(level)
        return LZ4F_compressFrameBound(fromBytes, &preferences)
    }

    static func compress(
        _ from: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer, level: Int32
    ) -> Int? {
        var preferences = preferences(level)
        let result = LZ4F_compressFrame(to.baseAddress, to.count, from.baseAddress, from.count, &preferences)
        return LZ4F_isError(result) == 0 ? result : nil
    }

    /// Independent blocks of 64 KiB: the only frames that the Java client reads.
    private static func preferences(_ level: Int32) -> LZ4F_preferences_t {
        var preferences = LZ4F_preferences_t()
        preferences.frameInfo.blockSizeID = LZ4F_max64KB
        preferences.frameInfo.blockMode = LZ4F_blockIndependent
        preferences.compressionLevel = level
        return preferences
    }
}
