import CSnappy
import NIOCore

/// The calls of libsnappy that record batches need.
///
/// A payload is one raw snappy block, or the stream of snappy-java, which most clients write: a header of 16 bytes, then for
/// each block its length in four bytes, big-endian, and the raw block. Streams may follow one another.
/// Source: snappy-java, `SnappyOutputStream`.
enum Snappy {
    /// 0x82 "SNAPPY" 0, then the version and the oldest version that can read it.
    private static let magic: [UInt8] = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]
    private static let headerBytes = 16
    /// The default of snappy-java.
    private static let blockBytes = 32 << 10

    static func decompress(
        _ bytes: UnsafeRawBufferPointer, limitBytes: Int
    ) -> Result<ByteBuffer, RecordBatchError> {
        var output = ByteBuffer()
        guard bytes.starts(with: magic) else {
            let error = append(bytes, to: &output, limitBytes: limitBytes)
            return error.map { .failure($0) } ?? .success(output)
        }
        guard bytes.count >= headerBytes else { return .failure(.decompressionFailed(reason: "a header cut off")) }
        var rest = bytes
        while !rest.isEmpty {
            if rest.count >= headerBytes, rest.starts(with: magic) {
                rest = UnsafeRawBufferPointer(rebasing: rest[headerBytes...])
                continue
            }
            guard let block = block(at: rest) else {
                return .failure(.decompressionFailed(reason: "a block cut off"))
            }
            if let error = append(block, to: &output, limitBytes: limitBytes) { return .failure(error) }
            rest = UnsafeRawBufferPointer(rebasing: rest[(4 + block.count)...])
        }
        return .success(output)
    }

    private static func block(at bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        guard bytes.count >= 4 else { return nil }
        let length = Int(Int32(bigEndian: bytes.loadUnaligned(as: Int32.self)))
        guard length >= 0, length <= bytes.count - 4 else { return nil }
        return UnsafeRawBufferPointer(rebasing: bytes[4..<(4 + length)])
    }

    private static func append(
        _ block: UnsafeRawBufferPointer, to output: inout ByteBuffer, limitBytes: Int
    ) -> RecordBatchError? {
        let from = block.bindMemory(to: CChar.self).baseAddress
        var claimedBytes = 0
        // The densest element makes 64 bytes of three: what claims more is not true, and takes no memory.
        guard snappy_uncompressed_length(from, block.count, &claimedBytes) == SNAPPY_OK,
            claimedBytes <= block.count * 22
        else { return .decompressionFailed(reason: "a block without its length") }
        guard claimedBytes <= limitBytes - output.readableBytes else {
            return .decompressedTooLarge(limitBytes: limitBytes)
        }
        var isValid = false
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: claimedBytes) { to in
            var writtenBytes = claimedBytes
            let target = to.bindMemory(to: CChar.self).baseAddress
            isValid = snappy_uncompress(from, block.count, target, &writtenBytes) == SNAPPY_OK
            return isValid ? writtenBytes : 0
        }
        return isValid ? nil : .decompressionFailed(reason: "a block does not decompress")
    }

    static func compressedBytesMax(_ fromBytes: Int) -> Int {
        let blocks = (fromBytes + blockBytes - 1) / blockBytes
        return headerBytes + blocks * (4 + snappy_max_compressed_length(blockBytes))
    }

    /// `to` has room for ``compressedBytesMax(_:)``.
    static func compress(_ from: UnsafeRawBufferPointer, into to: UnsafeMutableRawBufferPointer) -> Int? {
        guard to.count >= compressedBytesMax(from.count) else { return nil }
        to.copyBytes(from: magic + [0, 0, 0, 1, 0, 0, 0, 1])
        var written = headerBytes
        for begin in stride(from: 0, to: from.count, by: blockBytes) {
            let block = from[begin..<min(begin + blockBytes, from.count)]
            let source = UnsafeRawBufferPointer(rebasing: block).bindMemory(to: CChar.self)
            let target = UnsafeMutableRawBufferPointer(rebasing: to[(written + 4)...]).bindMemory(to: CChar.self)
            var blockSize = target.count
            guard snappy_compress(source.baseAddress, source.count, target.baseAddress, &blockSize) == SNAPPY_OK else {
                return nil
            }
            to.storeBytes(of: Int32(blockSize).bigEndian, toByteOffset: written, as: Int32.self)
            written += 4 + blockSize
        }
        return written
    }
}
