/// The gaps of a lane that the log has recorded: facts in, answers out. Part of the lane's state, so it is in every checkpoint.
///
/// A gap is pending until the object that carries it is stored. A planned gap never changes, because its object must come out
/// the same however often it is built; those behind the last plan grow and are made coarser to stay within `limitBytes`.
struct GapLedger: Sendable, Equatable {
    /// By rising LSN, disjoint.
    var pending: [GapRecord] = []
    /// Uploaded, and still between segments that are kept: no loss to be reported.
    var settled: [LSNGap] = []
    /// Recorded since the lane was made.
    var totals: [GapReason: GapTotals] = [:]
    /// Freed LSNs before the oldest segment and after the last batch there: control frames, nobody's loss. Not stored.
    var idle: LSNGap?
    let limitBytes: Int

    static let settledMax = 64

    init(limitBytes: Int) { self.limitBytes = limitBytes }

    /// Applies a record that is durable: a gap behind all others. What plans cover through `plannedThrough` stays as it is.
    mutating func apply(_ record: GapRecord, plannedThrough: UInt64) {
        totals[record.reason, default: GapTotals()] += record.totals
        if let last = pending.last, last.lastLSN + 1 == record.firstLSN, last.reason == record.reason,
            last.firstLSN > plannedThrough
        {
            pending[pending.count - 1].append(record)
        } else {
            let place = pending.firstIndex { $0.firstLSN > record.firstLSN } ?? pending.count
            pending.insert(record, at: place)
        }
        shrink(plannedThrough: plannedThrough)
    }

    /// Lists fewer partitions where the records take too many bytes, the longest list first.
    private mutating func shrink(plannedThrough: UInt64) {
        var size = pending.reduce(0) { $0 + $1.encodedBytes }
        while size > limitBytes {
            let free = pending.indices.filter {
                pending[$0].firstLSN > plannedThrough && !pending[$0].partitions.isEmpty
            }
            guard let place = free.max(by: { pending[$0].partitions.count < pending[$1].partitions.count }) else {
                return
            }
            let before = pending[place].encodedBytes
            pending[place].trim(toBytes: max(GapRecord.headBytes, before / 2))
            size -= before - pending[place].encodedBytes
        }
    }

    /// Objects through this LSN are stored.
    mutating func uploaded(through lsn: UInt64) {
        while let first = pending.first, first.lastLSN <= lsn {
            settled.append(first.range)
            pending.removeFirst()
        }
        if settled.count > Self.settledMax { settled.removeFirst(settled.count - Self.settledMax) }
    }

    /// The oldest segment begins here: what lies before it is nobody's loss any more.
    mutating func forget(before lsn: UInt64) {
        settled.removeAll { $0.lastLSN < lsn }
    }

    private var isEmpty: Bool { pending.isEmpty && settled.isEmpty && idle == nil }

    /// Records that lie in the range, wholly or in part.
    func records(from first: UInt64, through last: UInt64) -> [GapRecord] {
        pending.filter { $0.firstLSN <= last && $0.lastLSN >= first }
    }

    /// The recorded gap that holds `lsn`.
    func gap(holding lsn: UInt64) -> LSNGap? {
        pending.first { $0.firstLSN <= lsn && $0.lastLSN >= lsn }?.range
            ?? settled.first { $0.firstLSN <= lsn && $0.lastLSN >= lsn }
    }

    /// Whether every LSN of the range lies in a recorded gap.
    func covers(_ first: UInt64, _ last: UInt64) -> Bool {
        var next = first
        while next <= last {
            guard let gap = gap(holding: next) else { return false }
            next = gap.lastLSN + 1
        }
        return true
    }

    /// The same losses without what is recorded.
    func unrecorded(_ gaps: [LSNGap]) -> [LSNGap] {
        guard !gaps.isEmpty, !isEmpty else { return gaps }
        var left = gaps
        for known in pending.map(\.range) + settled + [idle].compactMap(\.self) {
            left = left.flatMap { gap -> [LSNGap] in
                guard known.firstLSN <= gap.lastLSN, known.lastLSN >= gap.firstLSN else { return [gap] }
                var parts: [LSNGap] = []
                if gap.firstLSN < known.firstLSN {
                    parts.append(LSNGap(firstLSN: gap.firstLSN, lastLSN: known.firstLSN - 1))
                }
                if gap.lastLSN > known.lastLSN {
                    parts.append(LSNGap(firstLSN: known.lastLSN + 1, lastLSN: gap.lastLSN))
                }
                return parts
            }
        }
        return left
    }

    /// What was read as it may be used: what is recorded as gone is gone, even where a segment could not be freed yet, and is
    /// no news.
    func censor(_ slice: inout LogSlice) {
        guard !isEmpty else { return }
        slice.batches.removeAll { gap(holding: $0.lsn) != nil }
        slice.gaps = unrecorded(slice.gaps)
        if let gap = gap(holding: slice.nextLSN) { slice.nextLSN = gap.lastLSN + 1 }
    }
}
