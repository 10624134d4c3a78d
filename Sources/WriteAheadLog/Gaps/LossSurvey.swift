import NIOCore

/// Finds out what ranges of LSNs held, from what can still be read of them and around them.
///
/// Frames inside a range count as they are. What could not be read is known by offsets, which are dense in a partition: where
/// the next batch, or the next checkpoint, of a partition begins later than its last one ended, the records between are lost,
/// and they are lost in the first hole after that last batch. Memory: one window and one row per partition.
struct LossSurvey<D: Disk> {
    private struct Position {
        var nextOffset: Int64
        /// LSN at which that was known.
        var lsn: UInt64
    }

    private let ranges: [LSNGap]
    private let reason: GapReason
    private var positions: [PartitionName: Position] = [:]
    /// False until a checkpoint has told where partitions stand; before it a jump of offsets means nothing.
    private var hasBase = false
    private var holes: [LSNGap] = []
    private var found: [[PartitionName: PartitionGap]]

    /// Gaps that are recorded already: what they held is missing from the log too, and not to be told twice.
    private var recorded: ArraySlice<GapRecord>

    /// `ranges` by rising LSN, disjoint. `recorded` are the gaps that have records, by rising LSN. `end` says where partitions
    /// stand after everything in `view`.
    static func records(
        of ranges: [LSNGap], reason: GapReason, in view: LogView<D.File>, disk: D, recorded: [GapRecord],
        end: PartitionTable
    ) -> [GapRecord] {
        guard let first = ranges.first, let last = ranges.last else { return [] }
        var survey = LossSurvey(ranges: ranges, reason: reason, recorded: recorded)
        survey.walk(view, disk, from: first.firstLSN, through: last.lastLSN, end)
        return zip(ranges, survey.found).map { range, partitions in
            GapRecord(
                reason: reason, firstLSN: range.firstLSN, lastLSN: range.lastLSN,
                partitions: partitions.values.sorted(by: PartitionGap.precedes))
        }
    }

    private init(ranges: [LSNGap], reason: GapReason, recorded: [GapRecord]) {
        self.ranges = ranges
        self.recorded = recorded[...]
        self.reason = reason
        found = Array(repeating: [:], count: ranges.count)
    }

    /// From the checkpoint before the first range to the first one after the last range; both may stand further off than in the
    /// next segment, where that one's is damaged.
    private mutating func walk(
        _ view: LogView<D.File>, _ disk: D, from first: UInt64, through last: UInt64, _ end: PartitionTable
    ) {
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        let before = view.segments.indices.filter {
            view.segments[$0].isReadable && view.segments[$0].firstLSN <= first
        }
        let start =
            before.last { place in
                let segment = view.segments[place]
                return segment.headCopy != nil
                    || (segment.firstLSN < first && segment.checkpointFrame(disk) != nil)
            } ?? before.first ?? 0
        var next = start < view.segments.count ? view.segments[start].firstLSN : first
        for place in start..<view.segments.count where view.segments[place].isReadable {
            let segment = view.segments[place]
            skip(from: next, to: segment.firstLSN)
            let isBeyond = segment.firstLSN > last
            if let frame = segment.ofHeadCopy?.headFrame(disk) {
                passRecorded(before: frame.header.lsn)
                if take(frame), isBeyond { return }
            }
            let limit = view.limitLSN(of: place)
            var scan = SegmentScan(
                window: window, segment: segment, endBytes: segment.endBytes, expectedLSN: segment.firstLSN,
                limitLSN: limit)
            while let item = try? scan.next() {
                guard case .frame(let frame) = item else {
                    if case .gap(let gap) = item { holes.append(gap) }
                    continue
                }
                passRecorded(before: frame.header.lsn)
                // Only a checkpoint tells of all partitions.
                if take(frame), isBeyond { return }
            }
            next = scan.expectedLSN ?? segment.firstLSN
            skip(from: next, to: limit)
            next = max(next, limit)
        }
        skip(from: next, to: last + 1)
        passRecorded(before: .max)
        for row in end.rows { note(row.name, nextOffset: row.nextOffset, at: view.durableLSN + 1) }
    }

    /// Where partitions stood before and after what recorded gaps tell of.
    private mutating func passRecorded(before lsn: UInt64) {
        while let gap = recorded.first, gap.lastLSN < lsn {
            recorded.removeFirst()
            for item in gap.partitions {
                let name = PartitionName(topic: item.topic, partition: item.partition)
                // Some of its frames may have been read all the same.
                guard item.lastOffset >= positions[name]?.nextOffset ?? 0 else { continue }
                note(name, nextOffset: max(item.firstOffset, positions[name]?.nextOffset ?? 0), at: gap.firstLSN)
                positions[name] = Position(nextOffset: item.lastOffset + 1, lsn: gap.lastLSN)
            }
        }
    }

    private mutating func skip(from first: UInt64, to end: UInt64) {
        if first < end { holes.append(LSNGap(firstLSN: first, lastLSN: end - 1)) }
    }

    /// Whether it was a checkpoint, after which all is known.
    private mutating func take(_ frame: SegmentScan<D>.Frame) -> Bool {
        let header = frame.header
        switch header.kind {
        case .checkpoint:
            let state = Checkpoint.decode(frame.payload, producersMax: .max / 32, partitionsMax: .max)
            guard let state else { return false }
            for row in state.partitions.rows { note(row.name, nextOffset: row.nextOffset, at: header.lsn) }
            hasBase = true
            return true
        case .batch:
            let name = PartitionName(topic: frame.topic, partition: header.partition)
            note(name, nextOffset: header.baseOffset, at: header.lsn)
            positions[name]?.nextOffset = header.baseOffset + Int64(header.recordCount)
            guard let place = ranges.firstIndex(where: { $0.firstLSN <= header.lsn && $0.lastLSN >= header.lsn })
            else { return false }
            add(
                PartitionGap(
                    topic: name.topic, partition: name.partition, firstOffset: header.baseOffset,
                    lastOffset: header.baseOffset + Int64(header.recordCount) - 1,
                    recordCount: Int64(header.recordCount), batchCount: 1, sizeBytes: Int64(header.payloadBytes),
                    firstWallMs: header.wallMs, lastWallMs: header.wallMs), to: place)
        case .plan, .uploaded, .seal, .gap, .unknown: break
        }
        return false
    }

    /// The partition stands at `nextOffset`: what it should have had before is lost.
    private mutating func note(_ name: PartitionName, nextOffset: Int64, at lsn: UInt64) {
        let known = positions[name] ?? (hasBase ? Position(nextOffset: 0, lsn: 0) : nil)
        positions[name] = Position(nextOffset: nextOffset, lsn: lsn)
        // A hole may have begun before: part of it is what a recorded gap tells of.
        guard let known, known.nextOffset < nextOffset,
            let hole = holes.first(where: { $0.lastLSN > known.lsn && $0.firstLSN < lsn })
        else { return }
        let (first, last) = (max(hole.firstLSN, known.lsn + 1), min(hole.lastLSN, lsn - 1))
        guard let place = ranges.firstIndex(where: { $0.firstLSN <= last && $0.lastLSN >= first }) else { return }
        add(
            PartitionGap(
                topic: name.topic, partition: name.partition, firstOffset: known.nextOffset,
                lastOffset: nextOffset - 1, recordCount: nextOffset - known.nextOffset), to: place)
    }

    private mutating func add(_ gap: PartitionGap, to place: Int) {
        let name = PartitionName(topic: gap.topic, partition: gap.partition)
        if found[place][name] == nil { found[place][name] = gap } else { found[place][name]?.merge(gap) }
    }
}
