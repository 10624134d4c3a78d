import CChecksum
import NIOCore

/// Lays the batches of one run out as pieces, and sums them up from the checksums that they carry.
struct RunPieces {
    /// The checksum of a batch covers it from its attributes on.
    private static let checkedFrom = 21
    /// Below this size reading the bytes is quicker than joining.
    private static let joinBytesMin = 8 << 10

    private(set) var crc32c: UInt32 = 0
    private(set) var sizeBytes = 0
    private var offset: Int64

    init(firstLocalOffset: Int64) {
        offset = firstLocalOffset
    }

    /// `batch` is one whole batch whose header has been checked.
    mutating func add(_ batch: ByteBuffer, _ take: (ByteBuffer) -> Void) {
        let head = ByteBuffer(integer: offset)
        crc32c = head.crc32c(at: head.readerIndex, length: head.readableBytes, continuing: crc32c)
        var rest = batch
        rest.moveReaderIndex(forwardBy: head.readableBytes)
        let (start, count) = (rest.readerIndex, rest.readableBytes)
        let sum = batch.getInteger(at: batch.readerIndex + 17, as: UInt32.self) ?? 0
        if count < Self.joinBytesMin {
            crc32c = rest.crc32c(at: start, length: count, continuing: crc32c)
        } else {
            let unchecked = Self.checkedFrom - head.readableBytes
            crc32c = rest.crc32c(at: start, length: unchecked, continuing: crc32c)
            crc32c = cairn_crc32c_join(crc32c, sum, count - unchecked)
        }
        take(head)
        take(rest)
        sizeBytes += head.readableBytes + count
        // The record count is the last header field, at byte 57.
        offset += Int64(batch.getInteger(at: batch.readerIndex + 57, as: Int32.self) ?? 0)
    }
}
