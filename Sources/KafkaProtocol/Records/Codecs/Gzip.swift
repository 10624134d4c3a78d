import CZlib
import NIOCore

/// The calls of zlib that record batches need. A payload is one gzip member or several (RFC 1952).
enum Gzip {
    /// The largest window, and a gzip header and trailer around the data.
    private static let windowBits: Int32 = 15 + 16

    private static let decompressors = ContextPool(
        make: {
            let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
            stream.initialize(to: z_stream())
            let size = Int32(MemoryLayout<z_stream>.size)
            guard inflateInit2_(stream, windowBits, ZLIB_VERSION, size) == Z_OK else {
                stream.deallocate()
                return nil
            }
            return OpaquePointer(stream)
        },
        free: { context in
            let stream = UnsafeMutablePointer<z_stream>(context)
            inflateEnd(stream)
            stream.deallocate()
        },
        reset: { context in inflateReset(UnsafeMutablePointer<z_stream>(context)) == Z_OK })

    static func decompress(
        _ bytes: UnsafeRawBufferPointer, limitBytes: Int
    ) -> Result<ByteBuffer, RecordBatchError> {
        decompressors.decompressing { context in
            let stream = UnsafeMutablePointer<z_stream>(context)
            stream.pointee.setInput(bytes)
            return BoundedOutput.fill(expectedBytes: bytes.count * 4, limitBytes: limitBytes) { to, written in
                step(stream, to, &written)
            }
        }
    }

    private static func step(
        _ stream: UnsafeMutablePointer<z_stream>, _ to: UnsafeMutableRawBufferPointer, _ written: inout Int
    ) -> DecompressionStep {
        stream.pointee.setOutput(to, limitBytes: to.count)
        let result = inflate(stream, Z_NO_FLUSH)
        written = to.count - Int(stream.pointee.avail_out)
        switch result {
        case Z_OK: return .more
        case Z_STREAM_END:
            if stream.pointee.avail_in == 0 { return .finished }
            return inflateReset(stream) == Z_OK ? .more : .failed("zlib does not begin the next member")
        // No byte could be read or written: the input has ended, for there is room.
        case Z_BUF_ERROR: return .failed("the last member is cut off")
        default: return .failed(stream.pointee.msg.map { String(cString: $0) } ?? "zlib error \(result)")
        }
    }

    /// Nil where `limitBytes` are too few.
    static func compress(
        _ from: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer, limitBytes: Int, level: Int32
    ) -> Int? {
        var stream = z_stream()
        let size = Int32(MemoryLayout<z_stream>.size)
        let level = min(max(level, Z_DEFAULT_COMPRESSION), Z_BEST_COMPRESSION)
        guard
            deflateInit2_(&stream, level, Z_DEFLATED, windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK
        else { return nil }
        defer { deflateEnd(&stream) }
        stream.setInput(from)
        stream.setOutput(to, limitBytes: limitBytes)
        guard deflate(&stream, Z_FINISH) == Z_STREAM_END else { return nil }
        return limitBytes - Int(stream.avail_out)
    }
}

extension z_stream {
    fileprivate mutating func setInput(_ bytes: UnsafeRawBufferPointer) {
        // zlib reads its input and does not write there, though its type does not say so.
        next_in = UnsafeMutablePointer(mutating: bytes.bindMemory(to: UInt8.self).baseAddress)
        avail_in = UInt32(bytes.count)
    }

    fileprivate mutating func setOutput(_ bytes: UnsafeMutableRawBufferPointer, limitBytes: Int) {
        next_out = bytes.bindMemory(to: UInt8.self).baseAddress
        avail_out = UInt32(limitBytes)
    }
}
