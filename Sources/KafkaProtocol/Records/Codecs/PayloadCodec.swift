import NIOCore

/// Opens and makes the payloads of batches, whatever their codec.
enum PayloadCodec {
    /// `payload` as records, in at most `limitBytes` bytes. Any bytes give records or an error.
    static func decompress(
        _ payload: ByteBuffer, _ compression: Compression, limitBytes: Int
    ) throws(RecordBatchError) -> ByteBuffer {
        let result = payload.withUnsafeReadableBytes { bytes in
            switch compression {
            case .none: Result<ByteBuffer, RecordBatchError>.success(payload)
            case .gzip: Gzip.decompress(bytes, limitBytes: limitBytes)
            case .snappy: Snappy.decompress(bytes, limitBytes: limitBytes)
            case .lz4: LZ4.decompress(bytes, limitBytes: limitBytes)
            case .zstd: Zstd.decompress(bytes, limitBytes: limitBytes)
            }
        }
        return try result.get()
    }

    /// `buffer` with all but its first `prefixBytes` compressed; nil where that would not make it smaller.
    static func compress(
        _ buffer: ByteBuffer, skipping prefixBytes: Int, _ codec: RecordBatchBuilder.Codec
    ) -> ByteBuffer? {
        guard codec != .none, buffer.readableBytes > prefixBytes + 1 else { return nil }
        return buffer.withUnsafeReadableBytes { whole in
            let from = UnsafeRawBufferPointer(rebasing: whole[prefixBytes...])
            let limitBytes = from.count - 1
            var compressed = ByteBuffer()
            compressed.reserveCapacity(prefixBytes + roomBytes(codec, from.count))
            compressed.writeRepeatingByte(0, count: prefixBytes)
            let writtenBytes = compressed.writeWithUnsafeMutableBytes(minimumWritableBytes: limitBytes) { to in
                let written = write(codec, from, to, limitBytes: limitBytes) ?? 0
                return written <= limitBytes ? written : 0
            }
            return writtenBytes == 0 ? nil : compressed
        }
    }

    /// snappy and lz4 want room for the worst case.
    private static func roomBytes(_ codec: RecordBatchBuilder.Codec, _ fromBytes: Int) -> Int {
        switch codec {
        case .none, .gzip, .zstd: fromBytes
        case .snappy: Snappy.compressedBytesMax(fromBytes)
        case .lz4(let level): LZ4.compressedBytesMax(fromBytes, level: level)
        }
    }

    /// Nil where the output has no room.
    private static func write(
        _ codec: RecordBatchBuilder.Codec, _ from: UnsafeRawBufferPointer, _ to: UnsafeMutableRawBufferPointer,
        limitBytes: Int
    ) -> Int? {
        switch codec {
        case .none: nil
        case .gzip(let level): Gzip.compress(from, into: to, limitBytes: limitBytes, level: level)
        case .snappy: Snappy.compress(from, into: to)
        case .lz4(let level): LZ4.compress(from, into: to, level: level)
        case .zstd(let level): Zstd.compress(from, into: to, limitBytes: limitBytes, level: level)
        }
    }
}

/// What a decompressor says after it filled some output.
enum DecompressionStep {
    case more
    case finished
    case failed(String)
}

/// Output that grows as it is filled and never over its limit.
struct BoundedOutput {
    private(set) var buffer = ByteBuffer()
    let limitBytes: Int

    /// - Parameter expectedBytes: taken at once; a guess.
    init(expectedBytes: Int, limitBytes: Int) {
        self.limitBytes = limitBytes
        buffer.reserveCapacity(max(0, min(expectedBytes, limitBytes)))
    }

    /// Calls `step` with room of at least a byte until it has finished or failed; it says how much it wrote.
    static func fill(
        expectedBytes: Int, limitBytes: Int,
        _ step: (UnsafeMutableRawBufferPointer, inout Int) -> DecompressionStep
    ) -> Result<ByteBuffer, RecordBatchError> {
        var output = BoundedOutput(expectedBytes: expectedBytes, limitBytes: limitBytes)
        while true {
            switch output.append(step) {
            case .more: if output.isOverLimit { return .failure(.decompressedTooLarge(limitBytes: limitBytes)) }
            case .failed(let reason): return .failure(.decompressionFailed(reason: reason))
            case .finished:
                return output.isOverLimit
                    ? .failure(.decompressedTooLarge(limitBytes: limitBytes)) : .success(output.buffer)
            }
        }
    }

    private var isOverLimit: Bool { buffer.readableBytes > limitBytes }

    private mutating func append(
        _ step: (UnsafeMutableRawBufferPointer, inout Int) -> DecompressionStep
    ) -> DecompressionStep {
        // One byte over the limit shows that there is more than the limit.
        let roomBytes = min(max(buffer.writableBytes, 4 << 10), limitBytes + 1 - buffer.readableBytes)
        var outcome = DecompressionStep.more
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: roomBytes) { to in
            var writtenBytes = 0
            outcome = step(UnsafeMutableRawBufferPointer(rebasing: to[..<roomBytes]), &writtenBytes)
            return writtenBytes
        }
        return outcome
    }
}
