/// A segment file in use, oldest to newest in `LaneCore.segments`.
struct LiveSegment<File: Sendable>: Sendable {
    /// A group's place, noted about every MiB, so that an LSN is found without walking the whole segment.
    struct Mark: Sendable {
        var lsn: UInt64
        var offsetBytes: Int
    }

    var sequence: UInt64
    var salt: UInt64
    var file: File
    var sizeBytes: Int
    /// LSN of its first frame. For a segment in which nothing can be read: that of the next one.
    var firstLSN: UInt64
    /// Bytes up to which groups may lie; the exact end where it is known.
    var endBytes: Int
    /// The start of the log that began it; 0 when not known.
    var bootEpoch: UInt64 = 0
    /// Open its groups; nil when they are not sealed.
    var keys: SegmentKeys?
    var isReadable = true
    /// False when block 0 was lost, and a group inside told what it said.
    var hasHeader = true
    /// Frames from this LSN on are dead: the segment that began with it was given up, and can no longer say so.
    var cutLSN = UInt64.max
    /// When the next segment took over, by the monotonic clock.
    var closedAtNs: UInt64 = 0
    /// Where its header and checkpoint stand a second time.
    var headCopy: HeadCopy<File>?
    private(set) var marks: [Mark] = []

    private static var markDistanceBytes: Int { 1 << 20 }

    mutating func noteGroup(lsn: UInt64, at offsetBytes: Int) {
        guard offsetBytes >= (marks.last?.offsetBytes ?? 0) + Self.markDistanceBytes else { return }
        marks.append(Mark(lsn: lsn, offsetBytes: offsetBytes))
    }

    /// Where to start looking for `lsn`.
    func mark(before lsn: UInt64) -> Mark {
        marks.last { $0.lsn <= lsn } ?? Mark(lsn: firstLSN, offsetBytes: Block.sizeBytes)
    }
}

/// What readers on other threads need: a value taken after a commit. Files stay readable while the view is held.
struct LogView<File: Sendable>: Sendable {
    var segments: [LiveSegment<File>] = []
    var durableLSN: UInt64 = 0

    var firstLSN: UInt64 { segments.first?.firstLSN ?? durableLSN + 1 }

    /// First LSN that is not in segment `place`.
    func limitLSN(of place: Int) -> UInt64 { min(segments[place].cutLSN, followingLSN(of: place)) }

    /// First LSN of the segment after `place`. Between the limit and it lies what was given up.
    func followingLSN(of place: Int) -> UInt64 {
        place + 1 < segments.count ? segments[place + 1].firstLSN : durableLSN + 1
    }

    /// The segment that holds `lsn`, or the first one after it.
    func place(of lsn: UInt64) -> Int? {
        guard lsn <= durableLSN, !segments.isEmpty else { return nil }
        return segments.lastIndex { $0.firstLSN <= lsn && $0.isReadable } ?? segments.firstIndex { $0.isReadable }
    }
}

/// Where one durable batch lies: a row of the index.
struct IndexEntry: Sendable, Equatable {
    var lsn: UInt64
    var segment: UInt64
    var offsetBytes: Int
    var frameBytes: Int
    /// Place in the partition table of this process; the index has its own numbers.
    var partition: Int
    var baseOffset: Int64
    var recordCount: UInt32
    var maxTimestampMs: Int64

    var endOffset: Int64 { baseOffset + Int64(recordCount) }
}
