import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Synchronization

/// Why a job of housekeeping ended early.
enum HousekeepingError: Error {
    case read(ReadError)
    /// A batch whose checksum is right cannot be opened.
    case unreadable(offset: Int64, RecordBatchError)
    case write(key: String, String)
    /// The extents are no longer those that were read. Nothing is wrong: look again.
    case changed
    case cancelled
}

/// Reads whole extents for housekeeping by GETs of its own, paced: consumers' caches never see these bytes.
///
/// Every batch's checksum is verified and its offsets are put in; they must go on without a hole where they should, and end with the
/// extent.
final class ExtentSource: Sendable {
    private let store: any ObjectStore
    private let readBytes: Int
    private let world: CloudWorld
    private let now: @Sendable () -> NIODeadline
    private let pacer: Mutex<Pacer>
    private let bytes = Atomic<UInt64>(0)

    init(
        store: any ObjectStore, readBytes: Int, bytesPerSecond: Int, world: CloudWorld,
        now: @escaping @Sendable () -> NIODeadline
    ) {
        self.store = store
        self.readBytes = readBytes
        self.world = world
        self.now = now
        pacer = Mutex(Pacer(bytesPerSecond: bytesPerSecond))
    }

    var bytesRead: UInt64 { bytes.load(ordering: .relaxed) }

    /// Gives the batches in order. Those of a marker are made here.
    func forEachBatch(
        of extent: Extent, _ body: (ByteBuffer, RecordBatchHeader) throws(HousekeepingError) -> Void
    ) async throws(HousekeepingError) {
        var position = 0
        var offset = extent.baseOffset
        while position < Int(extent.lengthBytes) {
            if Task.isCancelled { throw .cancelled }
            let piece = try await piece(extent, position, offset)
            for batch in piece.batches {
                guard let bytes = piece.bytes(of: batch) else { continue }
                let header: RecordBatchHeader
                do {
                    header = try RecordBatchHeader(reading: bytes, at: bytes.readerIndex)
                } catch { throw .unreadable(offset: batch.baseOffset, error) }
                try body(bytes, header)
            }
            position = piece.endPosition
            offset = piece.endOffset
        }
        let end = extent.lastOffset + 1
        guard extent.holdsOffsets ? offset <= end : offset == end else { throw mismatch(extent, offset) }
    }

    /// Read twice where the bytes are wrong the first time.
    private func piece(
        _ extent: Extent, _ position: Int, _ offset: Int64
    ) async throws(HousekeepingError) -> Piece {
        do throws(HousekeepingError) {
            return try await pieceOnce(extent, position, offset)
        } catch .read(.corrupt) {
            return try await pieceOnce(extent, position, offset)
        }
    }

    private func pieceOnce(
        _ extent: Extent, _ position: Int, _ offset: Int64
    ) async throws(HousekeepingError) -> Piece {
        let whole = Int(extent.lengthBytes)
        var length = min(readBytes, whole - position)
        while true {
            let raw = try await raw(extent, position..<position + length)
            let outcome: PieceParser.Outcome
            do {
                outcome = try PieceParser.parse(
                    raw, startPosition: position, startOffset: offset, holdsOffsets: extent.holdsOffsets)
            } catch { throw .read(.corrupt(key: extent.objectKey, error)) }
            switch outcome {
            case .piece(let piece): return piece
            case .needMore(let bytes):
                guard bytes > length, position + bytes <= whole else { throw mismatch(extent, offset) }
                length = bytes
            }
        }
    }

    private func mismatch(_ extent: Extent, _ offset: Int64) -> HousekeepingError {
        .read(
            .corrupt(
                key: extent.objectKey, .extentMismatch(endOffset: offset, expected: extent.lastOffset + 1)))
    }

    private func raw(_ extent: Extent, _ range: Range<Int>) async throws(HousekeepingError) -> ByteBuffer {
        if case .marker(let marker) = extent.source {
            let batch = marker.batch(timestampMs: extent.maxTimestampMs)
            guard let part = batch.getSlice(at: batch.readerIndex + range.lowerBound, length: range.count) else {
                throw .read(.log("a marker of \(range.upperBound) bytes"))
            }
            return part
        }
        let start = Int(extent.position)
        let inObject = start + range.lowerBound..<start + range.upperBound
        let retry = RetryPolicy(attemptsMax: 4, base: .milliseconds(200), cap: .seconds(5))
        var random = WorldRandom(random: world.random)
        let found: ByteBuffer
        do throws(ObjectStoreError) {
            found = try await withRetry(retry, clock: world.clock, using: &random) {
                (_: Int) async throws(ObjectStoreError) in
                try await store.get(extent.objectKey, range: inObject)
            }
        } catch { throw Task.isCancelled ? .cancelled : .read(.store(error)) }
        guard found.readableBytes == range.count else { throw mismatch(extent, extent.baseOffset) }
        try await pace(found.readableBytes)
        return found
    }

    private func pace(_ count: Int) async throws(HousekeepingError) {
        bytes.add(UInt64(count), ordering: .relaxed)
        let now = now()
        guard let pause = pacer.withLock({ $0.read(count, at: now) }) else { return }
        do { try await world.clock.sleep(for: .nanoseconds(pause.nanoseconds)) } catch { throw .cancelled }
    }
}
