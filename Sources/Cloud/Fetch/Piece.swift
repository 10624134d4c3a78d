import KafkaProtocol
import Ledger
import NIOCore

/// Some batches of an extent, one after the other: verified, with the offsets that consumers see. Never changed again.
struct Piece: Sendable {
    struct Batch: Sendable, Equatable {
        /// From the start of the piece's bytes.
        var position: Int
        var lengthBytes: Int
        var baseOffset: Int64
        var lastOffset: Int64
        var maxTimestampMs: Int64
    }

    /// Offsets from `startOffset` up to, not including, `endOffset`.
    let startOffset: Int64
    let endOffset: Int64
    /// Bytes from the start of the extent.
    let startPosition: Int
    let endPosition: Int
    let bytes: ByteBuffer
    let batches: [Batch]

    /// The last piece of an extent answers for all offsets up to the extent's end, also for those that compaction took out.
    func ending(with extent: Extent) -> Piece {
        guard endPosition == Int(extent.lengthBytes), endOffset != extent.lastOffset + 1 else { return self }
        return Piece(
            startOffset: startOffset, endOffset: extent.lastOffset + 1, startPosition: startPosition,
            endPosition: endPosition, bytes: bytes, batches: batches)
    }

    /// What it costs to keep.
    var costBytes: Int { bytes.readableBytes + batches.count * MemoryLayout<Batch>.stride + 256 }

    /// The place of the batch that holds `offset`, or of the first after it; `batches.count` if there is none.
    func index(holding offset: Int64) -> Int {
        var low = 0
        var high = batches.count
        while low < high {
            let middle = (low + high) / 2
            if batches[middle].lastOffset < offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Whole batches from the one that holds `offset`, up to `bytesMax`; at least one if `atLeastOne`.
    /// Batches that begin at `before` or later are left out. Nil when not even one fits or none is there. `next` is the
    /// offset after the last one given.
    func slice(
        from offset: Int64, before: Int64 = .max, bytesMax: Int, atLeastOne: Bool
    ) -> (bytes: ByteBuffer, next: Int64)? {
        let first = index(holding: offset)
        guard first < batches.count else { return nil }
        let start = batches[first].position
        var end = first
        while end < batches.count {
            let size = batches[end].position + batches[end].lengthBytes - start
            if batches[end].baseOffset >= before || size > bytesMax && !(atLeastOne && end == first) { break }
            end += 1
        }
        guard end > first else { return nil }
        let last = batches[end - 1]
        let length = last.position + last.lengthBytes - start
        guard let slice = bytes.getSlice(at: bytes.readerIndex + start, length: length) else { return nil }
        return (slice, last.lastOffset + 1)
    }

    func bytes(of batch: Batch) -> ByteBuffer? {
        bytes.getSlice(at: bytes.readerIndex + batch.position, length: batch.lengthBytes)
    }
}

/// Why stored bytes cannot be served.
enum PieceError: Error, Equatable {
    case invalidBatch(RecordBatchError)
    /// The extent ends inside a batch, or its batches hold other offsets than the ledger gave them.
    case extentMismatch(endOffset: Int64, expected: Int64)
}

/// Makes pieces of raw bytes.
enum PieceParser {
    enum Outcome {
        case piece(Piece)
        /// The first batch is longer than what was given.
        case needMore(bytes: Int)
    }

    /// - Parameters:
    ///   - raw: bytes of the extent from `startPosition`; may end inside a batch.
    ///   - startOffset: the offset of the first record in `raw`.
    ///   - holdsOffsets: batches carry their offsets, which rise and need not be dense.
    static func parse(
        _ raw: ByteBuffer, startPosition: Int, startOffset: Int64, holdsOffsets: Bool = false
    ) throws(PieceError) -> Outcome {
        var batches: [Piece.Batch] = []
        var offset = startOffset
        var position = 0
        while let length = lengthOfBatch(in: raw, at: position) {
            guard length <= raw.readableBytes - position else {
                if position == 0 { return .needMore(bytes: length) }
                break
            }
            let header = try verified(raw, position, length, isStored: holdsOffsets)
            if holdsOffsets {
                guard header.baseOffset >= offset else {
                    throw .extentMismatch(endOffset: header.baseOffset, expected: offset)
                }
                offset = header.baseOffset
            }
            let last = offset + Int64(header.lastOffsetDelta)
            batches.append(
                Piece.Batch(
                    position: position, lengthBytes: length, baseOffset: offset, lastOffset: last,
                    maxTimestampMs: header.maxTimestamp))
            offset = last + 1
            position += length
        }
        guard position > 0 else { return .needMore(bytes: RecordBatchHeader.sizeBytes) }
        return .piece(
            Piece(
                startOffset: startOffset, endOffset: offset, startPosition: startPosition,
                endPosition: startPosition + position, bytes: patched(raw, batches, position), batches: batches))
    }

    /// The length of the batch at `position`, or nil if not even the length field is there.
    private static func lengthOfBatch(in raw: ByteBuffer, at position: Int) -> Int? {
        guard raw.readableBytes - position >= 12,
            let length = raw.getInteger(at: raw.readerIndex + position + 8, as: Int32.self)
        else { return nil }
        return max(RecordBatchHeader.sizeBytes, Int(length) + 12)
    }

    private static func verified(
        _ raw: ByteBuffer, _ position: Int, _ length: Int, isStored: Bool
    ) throws(PieceError) -> RecordBatchHeader {
        guard let bytes = raw.getSlice(at: raw.readerIndex + position, length: length) else {
            throw .invalidBatch(.truncated(neededBytes: length, availableBytes: raw.readableBytes - position))
        }
        do {
            return isStored ? try RecordBatch.validateOneStored(bytes) : try RecordBatch.validateOne(bytes)
        } catch {
            throw .invalidBatch(error)
        }
    }

    /// A copy of its own size, so that a small piece does not keep a large block alive.
    private static func patched(_ raw: ByteBuffer, _ batches: [Piece.Batch], _ length: Int) -> ByteBuffer {
        var bytes = ByteBufferAllocator().buffer(capacity: length)
        raw.withUnsafeReadableBytes { source in
            _ = bytes.writeBytes(UnsafeRawBufferPointer(rebasing: source.prefix(length)))
        }
        for batch in batches {
            RecordBatch.setBaseOffset(
                batch.baseOffset, leaderEpoch: Kafka.leaderEpoch, in: &bytes, at: bytes.readerIndex + batch.position)
        }
        return bytes
    }
}

/// Constants of the protocol as this broker speaks it.
enum Kafka {
    /// The log never diverges, so one epoch serves for ever (in Metadata, batches, ListOffsets and OffsetForLeaderEpoch).
    static let leaderEpoch: Int32 = 0
}
