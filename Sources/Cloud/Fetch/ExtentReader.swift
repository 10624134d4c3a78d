import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Synchronization

/// Why an offset cannot be read now.
enum ReadError: Error {
    case store(ObjectStoreError)
    case corrupt(key: String, PieceError)
    /// A batch that only a volume's log holds cannot be read.
    case log(String)
}

/// Finds the batches that hold an offset of an extent, and keeps what it has found.
///
/// An extent has no index inside. The reader remembers where pieces begin, so that going on where one stopped, or coming
/// back, needs no search; the first look into the middle walks from the nearest known place, and verifies what it passes.
final class ExtentReader: Sendable {
    struct ExtentID: Hashable, Sendable {
        let key: String
        let position: Int64
        let baseOffset: Int64

        init(_ extent: Extent) {
            key = extent.objectKey
            position = extent.position
            baseOffset = extent.baseOffset
        }
    }

    struct PieceID: Hashable, Sendable {
        let extent: ExtentID
        let position: Int
    }

    /// Where a batch begins.
    struct Place: Sendable, Equatable {
        var offset: Int64
        var position: Int
    }

    private struct State {
        var pieces: ByteLRU<PieceID, Piece>
        var places: ByteLRU<ExtentID, [Place]>
        var hits: UInt64 = 0
        var misses: UInt64 = 0
        var corrupt: UInt64 = 0
    }

    /// Bytes of a piece, unless its first batch is larger.
    static let pieceBytes = 1 << 20
    private let blocks: BlockCache
    private let volume: VolumeReader?
    private let flights = SingleFlight<PieceID, Result<Piece, ReadError>>()
    private let state: Mutex<State>

    init(blocks: BlockCache, volume: VolumeReader? = nil, configuration: FetchConfiguration) {
        self.blocks = blocks
        self.volume = volume
        let placesBytes = max(1 << 20, configuration.pieceBytesMax / 16)
        state = Mutex(
            State(pieces: ByteLRU(bytesMax: configuration.pieceBytesMax), places: ByteLRU(bytesMax: placesBytes)))
    }

    var counts: CacheCounts {
        var counts = blocks.counts
        state.withLock { state in
            counts.pieceBytes = state.pieces.bytes
            counts.pieceHits = state.hits
            counts.pieceMisses = state.misses
            counts.corruptReads = state.corrupt
        }
        return counts
    }

    /// The piece that holds `offset`, if it is in memory or can be made at once of bytes that are. What is made is verified and
    /// copied here and now, and so comes off `makingBytes`; where that is used up, nothing is made.
    func cached(_ extent: Extent, offset: Int64, makingBytes: inout Int) -> Piece? {
        let id = ExtentID(extent)
        let (place, piece) = state.withLock { state -> (Place, Piece?) in
            let place = Self.nearest(state.places.value(for: id), to: offset, in: extent)
            let piece = state.pieces.value(for: PieceID(extent: id, position: place.position))
            guard let piece, piece.endOffset > offset else {
                state.misses += 1
                return (place, nil)
            }
            state.hits += 1
            return (place, piece)
        }
        guard piece == nil, makingBytes > 0 else { return piece }
        let made = make(extent, id, from: place, wanted: offset)
        makingBytes -= made?.bytes.readableBytes ?? 0
        return made
    }

    /// Tail readers come right after the commit: what they want is in memory, only not yet patched. What does not fit, or
    /// is not right, is left to `piece`.
    private func make(_ extent: Extent, _ id: ExtentID, from place: Place, wanted: Int64) -> Piece? {
        let length = min(Self.pieceBytes, Int(extent.lengthBytes) - place.position)
        guard length > 0, let raw = inMemory(extent, place.position..<place.position + length) else { return nil }
        do throws(ReadError) {
            guard case .piece(let piece) = try parse(raw, extent, place) else { return nil }
            try check(piece, extent)
            let kept = keep(piece.ending(with: extent), id, extent, wanted: wanted)
            return kept.endOffset > wanted ? kept : nil
        } catch { return nil }
    }

    /// Says that these will be asked for next, so that one GET brings what lies close together.
    func expect(_ needs: [FetchNeed]) {
        for need in needs where need.extent.isInObject {
            let extent = need.extent
            let place = state.withLock {
                Self.nearest($0.places.peek(ExtentID(extent)), to: need.offset, in: extent)
            }
            let start = Int(extent.position) + place.position
            // Who reads a long extent will go on in it.
            let end = min(Int(extent.position + extent.lengthBytes), start + max(Self.pieceBytes, blocks.blockBytes))
            if start < end { blocks.expect(extent.objectKey, range: start..<end) }
        }
    }

    /// The piece that holds `offset`, which lies inside the extent.
    func piece(_ extent: Extent, offset: Int64) async throws(ReadError) -> Piece {
        let id = ExtentID(extent)
        var place = state.withLock { Self.nearest($0.places.value(for: id), to: offset, in: extent) }
        while true {
            if let piece = state.withLock({ $0.pieces.value(for: PieceID(extent: id, position: place.position)) }),
                piece.endOffset > offset
            {
                return piece
            }
            let from = place
            let piece = try await flights.run(PieceID(extent: id, position: from.position)) {
                await load(extent, id, from: from, wanted: offset)
            }.get()
            if piece.endOffset > offset { return piece }
            place = Place(offset: piece.endOffset, position: piece.endPosition)
        }
    }

    private static func nearest(_ places: [Place]?, to offset: Int64, in extent: Extent) -> Place {
        places?.last { $0.offset <= offset } ?? Place(offset: extent.baseOffset, position: 0)
    }

    /// Reads one piece from a known place, twice if the bytes are wrong the first time.
    private func load(_ extent: Extent, _ id: ExtentID, from place: Place, wanted: Int64) async -> Result<
        Piece, ReadError
    > {
        do throws(ReadError) {
            return .success(try await read(extent, id, from: place, wanted: wanted))
        } catch .corrupt {
            state.withLock { $0.corrupt += 1 }
            guard extent.isInObject else {
                return .failure(.log("LSN \(extent.position) of \(extent.objectKey) is not what was written"))
            }
            let start = Int(extent.position) + place.position
            blocks.forget(extent.objectKey, range: start..<Int(extent.position + extent.lengthBytes))
        } catch { return .failure(error) }
        do throws(ReadError) {
            return .success(try await read(extent, id, from: place, wanted: wanted))
        } catch { return .failure(error) }
    }

    private func read(
        _ extent: Extent, _ id: ExtentID, from place: Place, wanted: Int64
    ) async throws(ReadError) -> Piece {
        let whole = Int(extent.lengthBytes)
        var length = min(Self.pieceBytes, whole - place.position)
        while true {
            let raw = try await bytes(extent, place.position..<place.position + length)
            switch try parse(raw, extent, place) {
            case .piece(let piece):
                try check(piece, extent)
                return keep(piece.ending(with: extent), id, extent, wanted: wanted)
            case .needMore(let bytes):
                guard bytes > length, place.position + bytes <= whole else {
                    throw .corrupt(
                        key: extent.objectKey,
                        .extentMismatch(endOffset: place.offset, expected: extent.lastOffset + 1))
                }
                length = bytes
            }
        }
    }

    private func parse(
        _ raw: ByteBuffer, _ extent: Extent, _ place: Place
    ) throws(ReadError) -> PieceParser.Outcome {
        do {
            return try PieceParser.parse(
                raw, startPosition: place.position, startOffset: place.offset, holdsOffsets: extent.holdsOffsets)
        } catch {
            throw .corrupt(key: extent.objectKey, error)
        }
    }

    /// Offsets must end with the extent, and not before its bytes do.
    private func check(_ piece: Piece, _ extent: Extent) throws(ReadError) {
        let end = extent.lastOffset + 1
        let isLast = piece.endPosition == Int(extent.lengthBytes)
        if extent.holdsOffsets, piece.endOffset <= end { return }
        guard isLast ? piece.endOffset == end : piece.endOffset < end else {
            throw .corrupt(key: extent.objectKey, .extentMismatch(endOffset: piece.endOffset, expected: end))
        }
    }

    // MARK: Bytes

    /// Bytes of the extent, counted from its beginning, if they can be had at once.
    private func inMemory(_ extent: Extent, _ range: Range<Int>) -> ByteBuffer? {
        switch extent.source {
        case .object, .objectWithOffsets:
            let start = Int(extent.position)
            return blocks.inMemory(extent.objectKey, range: start + range.lowerBound..<start + range.upperBound)
        case .log(let id, let lsn): return volume?.inMemory(id, lsn)?.part(range)
        case .marker(let marker):
            return marker.batch(timestampMs: extent.maxTimestampMs).part(range)
        }
    }

    private func bytes(_ extent: Extent, _ range: Range<Int>) async throws(ReadError) -> ByteBuffer {
        switch extent.source {
        case .object, .objectWithOffsets:
            let start = Int(extent.position)
            do {
                return try await blocks.bytes(
                    of: extent.objectKey, objectSizeBytes: Int(extent.objectSizeBytes),
                    range: start + range.lowerBound..<start + range.upperBound)
            } catch { throw .store(error) }
        case .log(let id, let lsn):
            guard let volume else { throw .log("volume \(id) is not on this node") }
            guard let part = try await volume.batch(id, lsn).part(range) else {
                throw .log("LSN \(lsn) of volume \(id) is shorter than the ledger says")
            }
            return part
        case .marker:
            guard let part = inMemory(extent, range) else { throw .log("a marker of \(range.upperBound) bytes") }
            return part
        }
    }

    /// A piece that was only passed on the way is not worth its memory; where it ends is.
    private func keep(_ piece: Piece, _ id: ExtentID, _ extent: Extent, wanted: Int64) -> Piece {
        state.withLock { state in
            if piece.endPosition < Int(extent.lengthBytes) {
                var places = state.places.peek(id) ?? [Place(offset: extent.baseOffset, position: 0)]
                let next = Place(offset: piece.endOffset, position: piece.endPosition)
                if let index = places.firstIndex(where: { $0.offset >= next.offset }) {
                    if places[index] != next { places.insert(next, at: index) }
                } else {
                    places.append(next)
                }
                state.places.insert(
                    places, for: id, bytes: 256 + places.count * MemoryLayout<Place>.stride)
            }
            if piece.endOffset > wanted {
                state.pieces.insert(
                    piece, for: PieceID(extent: id, position: piece.startPosition), bytes: piece.costBytes)
            }
        }
        return piece
    }
}

extension Extent {
    var holdsOffsets: Bool { source == .objectWithOffsets }
    var isInObject: Bool { source == .object || source == .objectWithOffsets }
}

extension ByteBuffer {
    /// A slice, counted from the first readable byte.
    fileprivate func part(_ range: Range<Int>) -> ByteBuffer? {
        getSlice(at: readerIndex + range.lowerBound, length: range.count)
    }
}

extension TransactionMarker {
    /// The control batch that says it: rule T7.
    func batch(timestampMs: Int64) -> ByteBuffer {
        EndTransactionMarker(isCommit: commits, coordinatorEpoch: 0)
            .batch(producerID: producerID, producerEpoch: epoch, timestampMs: timestampMs)
    }
}
