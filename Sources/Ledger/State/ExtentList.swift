/// The extents of a partition in the order of their offsets.
///
/// Full chunks never change and are shared by all copies of the state, so that two states cost 40 bytes an extent, not
/// 80; only the open tail is copied.
struct ExtentList: Sendable {
    final class Chunk: Sendable {
        let extents: [PackedExtent]
        let maxTimestampMs: Int64

        init(_ extents: [PackedExtent]) {
            self.extents = extents
            maxTimestampMs = extents.reduce(Int64.min) { max($0, $1.maxTimestampMs) }
        }
    }

    static let chunkExtents = 512

    private var sealed: [Chunk] = []
    /// Extents dropped from the front of the first chunk, or of the tail when there is no chunk.
    private var skipped = 0
    /// Holds the last extent whenever there is one: only the last can still grow.
    private var tail: [PackedExtent] = []

    var count: Int { sealed.count * ExtentList.chunkExtents + tail.count - skipped }
    var isEmpty: Bool { count == 0 }
    var last: PackedExtent? { isEmpty ? nil : tail.last }

    subscript(_ index: Int) -> PackedExtent {
        let slot = index + skipped
        let chunk = slot / ExtentList.chunkExtents
        return chunk < sealed.count
            ? sealed[chunk].extents[slot % ExtentList.chunkExtents]
            : tail[slot - sealed.count * ExtentList.chunkExtents]
    }

    /// Appends, or lets the last extent grow when the object goes on in it. Returns whether there is one more.
    mutating func append(_ extent: PackedExtent) -> Bool {
        guard let last, last.isContinued(by: extent) else {
            appendUnmerged(extent)
            return true
        }
        let end = tail.count - 1
        tail[end].lengthBytes += extent.lengthBytes
        tail[end].minTimestampMs = min(last.minTimestampMs, extent.minTimestampMs)
        tail[end].maxTimestampMs = max(last.maxTimestampMs, extent.maxTimestampMs)
        return false
    }

    mutating func appendUnmerged(_ extent: PackedExtent) {
        if tail.count == ExtentList.chunkExtents {
            sealed.append(Chunk(tail))
            tail = []
        }
        tail.append(extent)
    }

    mutating func removeFirst(_ dropped: Int) {
        skipped += dropped
        let wholeChunks = min(skipped / ExtentList.chunkExtents, sealed.count)
        if wholeChunks > 0 {
            sealed.removeFirst(wholeChunks)
            skipped -= wholeChunks * ExtentList.chunkExtents
        }
        if sealed.isEmpty, skipped == tail.count || skipped >= ExtentList.chunkExtents / 2 {
            tail.removeFirst(skipped)
            skipped = 0
        }
    }

    /// Puts other extents, at least one, in the place of some. What stands before the first chunk that changes is kept.
    mutating func replace(_ range: Range<Int>, with extents: [PackedExtent]) {
        let keptChunks = min((range.lowerBound + skipped) / ExtentList.chunkExtents, sealed.count)
        let start = max(0, keptChunks * ExtentList.chunkExtents - skipped)
        let before = (start..<range.lowerBound).map { self[$0] }
        let after = (range.upperBound..<count).map { self[$0] }
        sealed.removeLast(sealed.count - keptChunks)
        tail = []
        if keptChunks == 0 { skipped = 0 }
        for extent in before { appendUnmerged(extent) }
        for extent in extents { appendUnmerged(extent) }
        for extent in after { appendUnmerged(extent) }
    }

    /// Says in 64 bits which extents these are. Two lists with the same one are the same, short of a chance of 2^-64.
    func fingerprint(_ range: Range<Int>) -> UInt64 {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ value: UInt64) {
            state = (state ^ value) &* 0x9E37_79B9_7F4A_7C15
            state ^= state >> 29
        }
        for index in range {
            let extent = self[index]
            mix(UInt64(bitPattern: extent.baseOffset))
            mix(UInt64(bitPattern: extent.object))
            mix(UInt64(extent.position) << 32 | UInt64(extent.lengthBytes))
        }
        return state
    }

    /// The index of the extent that holds `offset`; the last extent for offsets past its base, nil before the first.
    func index(holding offset: Int64) -> Int? {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
        }
        return low > 0 ? low - 1 : nil
    }

    /// The first extent for whose maximum timestamp `matches` holds, given that it holds for a chunk's maximum only if
    /// for one of its extents. Timestamps are the records' own and need not grow; whole chunks are passed by their
    /// maximum.
    private func firstIndex(whereMaxTimestamp matches: (Int64) -> Bool) -> Int? {
        for (number, chunk) in sealed.enumerated() where matches(chunk.maxTimestampMs) {
            let skip = number == 0 ? skipped : 0
            if let slot = chunk.extents[skip...].firstIndex(where: { matches($0.maxTimestampMs) }) {
                return number * ExtentList.chunkExtents + slot - skipped
            }
        }
        let skip = sealed.isEmpty ? skipped : 0
        guard let slot = tail[skip...].firstIndex(where: { matches($0.maxTimestampMs) }) else { return nil }
        return sealed.count * ExtentList.chunkExtents + slot - skipped
    }

    func firstIndex(atOrAfter timestampMs: Int64) -> Int? {
        firstIndex { $0 >= timestampMs }
    }

    /// The first extent that holds the largest timestamp.
    func indexOfMaxTimestamp() -> Int? {
        guard let largest = maxTimestampMs else { return nil }
        return firstIndex { $0 >= largest }
    }

    var maxTimestampMs: Int64? {
        guard !isEmpty else { return nil }
        var largest = Int64.min
        for (number, chunk) in sealed.enumerated() {
            if number == 0, skipped > 0 {
                for extent in chunk.extents[skipped...] { largest = max(largest, extent.maxTimestampMs) }
            } else {
                largest = max(largest, chunk.maxTimestampMs)
            }
        }
        for extent in tail[(sealed.isEmpty ? skipped : 0)...] { largest = max(largest, extent.maxTimestampMs) }
        return largest
    }

    /// Whether the full chunks of the two are not the same objects in memory, though they may hold the same extents.
    func hasOtherChunks(than other: ExtentList) -> Bool {
        guard let mine = sealed.last, let theirs = other.sealed.last else { return false }
        return mine !== theirs
    }
}
