import KafkaProtocol
import Ledger
import NIOCore

/// One partition of a fetch, as asked for.
struct FetchItem: Sendable {
    var topicName: String
    var topicID: KafkaUUID
    var index: Int32
    var offset: Int64
    var maxBytes: Int
    var leaderEpoch: Int32
    /// The request named a topic that is not there.
    var topicError: ErrorCode?

    var place: TopicPartition { TopicPartition(topicID: topicID, partition: index) }
}

/// What one look at a partition gave.
struct FetchFinding: Sendable {
    var error = ErrorCode.none
    var highWatermark: Int64 = -1
    var logStart: Int64 = -1
    var lastStable: Int64 = -1
    /// For `read_committed` only.
    var aborted: [AbortedTransaction]?
    /// Slices that follow each other.
    var records: [ByteBuffer] = []
    var recordsBytes = 0
    /// Where the next fetch will go on.
    var nextOffset: Int64
    /// There is more data, and it is not in memory.
    var needs: [FetchNeed] = []
}

/// A piece to bring in before a fetch can be answered.
struct FetchNeed: Sendable {
    var extent: Extent
    var offset: Int64

    /// The first of each list, then the second of each, and so on. Partitions that are read side by side lie side by side in
    /// objects: taken in this order they need few GETs at a time, and all of them get on.
    static func inTurns(_ lists: [[FetchNeed]]) -> [FetchNeed] {
        (0..<(lists.map(\.count).max() ?? 0)).flatMap { turn in
            lists.compactMap { turn < $0.count ? $0[turn] : nil }
        }
    }
}

/// Looks at partitions without waiting: what the ledger says, and what of it is in memory.
struct FetchPlanner: Sendable {
    let view: LedgerView
    let reader: ExtentReader
    /// Pieces of one partition that are brought in for a fetch at most.
    static let needsMax = 32
    /// Pieces brought in for one fetch at most, over all its partitions.
    static let needsMaxInAll = 256

    /// - Parameters:
    ///   - bytesMax: what the response has room for.
    ///   - atLeastOne: nothing has been found so far, so the first batch goes out whatever its size.
    ///   - isReadCommitted: nothing from the last stable offset on, and aborted transactions named (rule T8).
    ///   - held: pieces brought in for this fetch, which the cache may have dropped since.
    ///   - makingBytes: of pieces that may be made here and now.
    func look(
        _ item: FetchItem, bytesMax: Int, atLeastOne: Bool, isReadCommitted: Bool = false, held: HeldPieces,
        makingBytes: inout Int
    ) -> FetchFinding {
        var finding = FetchFinding(nextOffset: item.offset)
        guard let facts = check(item, &finding) else { return finding }
        finding.highWatermark = facts.highWatermark
        finding.logStart = facts.logStart
        finding.lastStable = facts.lastStableOffset
        guard item.offset >= facts.logStart, item.offset <= facts.highWatermark else {
            finding.error = .offsetOutOfRange
            return finding
        }
        if isReadCommitted { finding.aborted = [] }
        let limit = min(bytesMax, item.maxBytes)
        let end = isReadCommitted ? facts.lastStableOffset : facts.highWatermark
        guard item.offset < end, limit > 0 || atLeastOne else { return finding }
        let (extents, aborted) = view.extentsAndAborted(
            item.topicID, item.index, from: item.offset, maxBytes: max(1, limit))
        gather(item, extents, before: end, limit: limit, atLeastOne: atLeastOne, held, &makingBytes, &finding)
        if isReadCommitted { finding.aborted = aborted.filter { $0.firstOffset < finding.nextOffset } }
        return finding
    }

    private func check(_ item: FetchItem, _ finding: inout FetchFinding) -> PartitionFacts? {
        if let error = item.topicError {
            finding.error = error
            return nil
        }
        guard let facts = view.partition(item.topicID, item.index) else {
            finding.error = .unknownTopicOrPartition
            return nil
        }
        if item.leaderEpoch >= 0, item.leaderEpoch != Kafka.leaderEpoch {
            finding.error = item.leaderEpoch > Kafka.leaderEpoch ? .unknownLeaderEpoch : .fencedLeaderEpoch
            return nil
        }
        return facts
    }

    private func gather(
        _ item: FetchItem, _ extents: [Extent], before end: Int64, limit: Int, atLeastOne: Bool, _ held: HeldPieces,
        _ makingBytes: inout Int, _ finding: inout FetchFinding
    ) {
        var gathered = Gathered()
        var offset = item.offset
        search: for extent in extents {
            guard extent.baseOffset < end else { break }
            offset = max(offset, extent.baseOffset)
            while offset <= extent.lastOffset {
                guard
                    let piece = held.piece(extent, offset)
                        ?? reader.cached(extent, offset: offset, makingBytes: &makingBytes)
                else {
                    finding.needs = needs(extents, from: offset)
                    break search
                }
                // Compaction took out everything from here to the end of the piece.
                if piece.index(holding: offset) == piece.batches.count {
                    offset = piece.endOffset
                    continue
                }
                let room = limit - gathered.bytes
                guard
                    let slice = piece.slice(
                        from: offset, before: end, bytesMax: room, atLeastOne: atLeastOne && gathered.bytes == 0)
                else { break search }
                gathered.add(slice.bytes, of: piece)
                offset = slice.next
                // The piece goes on: it was cut at the limit.
                if piece.index(holding: offset) < piece.batches.count { break search }
                offset = piece.endOffset
            }
        }
        finding.recordsBytes = gathered.bytes
        finding.records = gathered.slices()
        finding.nextOffset = offset
    }

    private func needs(_ extents: [Extent], from offset: Int64) -> [FetchNeed] {
        extents.lazy.filter { $0.lastOffset >= offset }.prefix(Self.needsMax)
            .map { FetchNeed(extent: $0, offset: max(offset, $0.baseOffset)) }
    }
}

/// Pieces brought in for one fetch.
struct HeldPieces: Sendable {
    private var pieces: [ExtentReader.ExtentID: [Piece]] = [:]

    mutating func add(_ piece: Piece, of extent: Extent) {
        pieces[ExtentReader.ExtentID(extent), default: []].append(piece)
    }

    func piece(_ extent: Extent, _ offset: Int64) -> Piece? {
        pieces[ExtentReader.ExtentID(extent)]?.first { $0.startOffset <= offset && offset < $0.endOffset }
    }
}

/// Slices for one partition. They go out by reference, save small ones: a slice keeps its whole piece in memory until a slow
/// client has taken it, and counts by its own bytes only.
private struct Gathered {
    /// The share of a piece below which a slice is copied.
    private static let shareMin = 4

    private var parts: [ByteBuffer] = []
    private var copied = ByteBuffer()
    private(set) var bytes = 0

    mutating func add(_ slice: ByteBuffer, of piece: Piece) {
        let size = slice.readableBytes
        bytes += size
        if size >= WireWriter.referenceBytesMin, size * Self.shareMin >= piece.bytes.readableBytes {
            endCopy()
            parts.append(slice)
        } else {
            copied.writeImmutableBuffer(slice)
        }
    }

    mutating func slices() -> [ByteBuffer] {
        endCopy()
        return parts
    }

    private mutating func endCopy() {
        guard copied.readableBytes > 0 else { return }
        parts.append(copied)
        copied = ByteBuffer()
    }
}
