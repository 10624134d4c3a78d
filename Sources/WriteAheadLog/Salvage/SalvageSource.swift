import NIOCore
import Sealing

/// The segments of a damaged lane, whatever their files are called, oldest first.
struct SalvageSource {
    struct Segment {
        var name: String
        var live: LiveSegment<LocalFile>
        /// LSN of the checkpoint at its head, which may be lost.
        var firstLSN: UInt64
        /// Nothing says so: it is one below the first frame there is, and may have been more than a checkpoint's.
        var isGuessed = false
    }

    let disk: LocalDisk
    private(set) var segments: [Segment] = []
    private(set) var foreign: [String] = []
    private(set) var notes: [String] = []

    /// Of the lane whose segments are sealed, if some are.
    var sealedLane: String? { segments.lazy.compactMap { $0.live.keys?.first.record.lane }.last }

    init(directory: String, keys: KeyRing?) throws(WALError) {
        let entries: [DiskEntry]
        do throws(DiskError) {
            disk = try LocalDisk(reading: directory)
            entries = try disk.list()
        } catch {
            throw .io(error)
        }
        let unlocking = LogUnlocking(ring: keys, lane: nil)
        var search = SegmentSearch(disk: disk, unlocking: unlocking, budgetBytes: .max)
        for entry in entries where !Self.isKnownOther(entry.name) {
            do throws(DiskError) {
                // The file's name may be wrong; what stands in it is checksummed.
                switch try search.identify(entry, nil) {
                case .segment(let live): segments.append(Segment(name: entry.name, live: live, firstLSN: live.firstLSN))
                case .untouchable(let reason): notes.append("\(entry.name): \(reason), left out")
                case nil: foreign.append(entry.name)
                }
            } catch {
                notes.append(error.description)
            }
        }
        segments.sort { ($0.live.sequence, $0.name) < ($1.live.sequence, $1.name) }
        dropCopies()
        var live = segments.map(\.live)
        live.takeHeadCopies(entries, disk)
        live.cutBeforeDropped(live.newestState(disk).gaps)
        for (place, segment) in live.enumerated() { segments[place].live = segment }
        for place in segments.indices where !segments[place].live.hasHeader { try guess(place) }
    }

    /// Files that hold no live segment: the index, the lock, copies of heads, and what has been freed or was never begun.
    private static func isKnownOther(_ name: String) -> Bool {
        name == "lock" || name.hasPrefix(IndexSchema.fileName) || SegmentName.isSpare(name)
            || SegmentName.isUnfinished(name) || SegmentName.headSequence(name) != nil
    }

    /// Of files with one sequence, the one with the right name counts, else the first.
    private mutating func dropCopies() {
        var kept: [Segment] = []
        for segment in segments {
            guard let last = kept.last, last.live.sequence == segment.live.sequence else {
                kept.append(segment)
                continue
            }
            let isNamed = segment.name == SegmentName.live(segment.live.sequence)
            notes.append(
                "\(isNamed ? last.name : segment.name): another copy of segment \(segment.live.sequence), left out")
            if isNamed { kept[kept.count - 1] = segment }
        }
        segments = kept
    }

    /// Without header and checkpoint the first frame that is left tells: at least one LSN before it, the checkpoint's.
    private mutating func guess(_ place: Int) throws(WALError) {
        let live = segments[place].live
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        var scan = SegmentScan(
            window: window, segment: live, endBytes: live.sizeBytes, expectedLSN: live.firstLSN)
        let search = FrameSearch(scan: scan, window: window, fileBytes: live.sizeBytes)
        var first = live.firstLSN
        if case .frame(let frame)? = try next(&scan) {
            if frame.header.kind == .checkpoint { return }
            // The group before it may have lost no more than its header.
            var lsns = 1..<frame.header.lsn
            let ignore: (LSNGap) -> Void = { _ in }
            try search.run(0..<frame.groupOffset, lsns: &lsns, lost: ignore) { found in
                first = min(first, found.header.lsn)
            }
        }
        segments[place].firstLSN = max(2, first) - 1
        segments[place].isGuessed = true
    }

    /// The checkpoint in the copy of a segment's head.
    func checkpointCopy(_ place: Int) -> SegmentScan<LocalDisk>.Frame? {
        segments[place].live.ofHeadCopy?.checkpointFrame(disk)
    }

    /// Frames of one segment from `firstLSN` up to `limitLSN`, in order, and what is lost between them.
    func walk(
        _ place: Int, lost: (LSNGap) -> Void, _ body: (SegmentScan<LocalDisk>.Frame) throws(WALError) -> Void
    ) throws(WALError) {
        let segment = segments[place]
        let following = place + 1 < segments.count ? segments[place + 1].firstLSN : .max
        let limit = min(segment.live.cutLSN, following)
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        var scan = SegmentScan(
            window: window, segment: segment.live, endBytes: segment.live.sizeBytes, expectedLSN: segment.firstLSN,
            limitLSN: limit, wantsPayload: true)
        let search = FrameSearch(scan: scan, window: window, fileBytes: segment.live.sizeBytes)
        var bad: [Range<Int>] = []
        while let item = try next(&scan) {
            switch item {
            case .frame(let frame):
                bad = []
                try body(frame)
            case .quarantined(let offset, let length), .torn(let offset, let length):
                let end = min(segment.live.sizeBytes, offset + length)
                bad.append(min(offset, end)..<end)
            case .gap(let gap):
                var missing = gap.firstLSN..<gap.lastLSN + 1
                for range in bad { try search.run(range, lsns: &missing, lost: lost, body) }
                if let first = missing.first, let last = missing.last { lost(LSNGap(firstLSN: first, lastLSN: last)) }
                bad = []
            }
        }
        // Behind the last group that is whole there may be frames of one that is not.
        let end = scan.expectedLSN ?? segment.firstLSN
        guard end < limit else { return }
        var missing = end..<limit
        let start = min(bad.first?.lowerBound ?? scan.position, scan.position)
        try search.run(min(start, segment.live.sizeBytes)..<segment.live.sizeBytes, lsns: &missing, lost: lost, body)
        if limit != .max, let first = missing.first, let last = missing.last {
            lost(LSNGap(firstLSN: first, lastLSN: last))
        }
    }

    private func next(_ scan: inout SegmentScan<LocalDisk>) throws(WALError) -> SegmentScan<LocalDisk>.Item? {
        do throws(DiskError) { return try scan.next() } catch { throw .io(error) }
    }
}
