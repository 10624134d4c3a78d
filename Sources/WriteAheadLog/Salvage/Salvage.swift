import KafkaProtocol
import NIOCore
public import Sealing

/// Gets out of a damaged lane whatever still verifies: `cairn wal salvage`.
///
/// The directory is read only, and must not be in use. A fresh lane gets the same LSNs, offsets, plans and uploads, so that an
/// uplink goes on where the damaged one stopped: nothing goes up twice, and what is lost shows as a gap.
public struct Salvage {
    private let source: SalvageSource
    private var writer: SalvageWriter?
    private var report = SalvageReport()
    private var state = LaneState(producersMax: .max / 32, partitionsMax: .max)
    private static let listedMax = 10_000

    /// - Parameters:
    ///   - target: directory of the lane to write, not there yet or empty; nil only says what there is.
    ///   - keys: open sealed segments; without their key those are left out. A lane with sealed segments is written sealed, with the
    ///     first of the keys.
    public static func run(
        directory: String, to target: String?, keys: KeyRing? = nil
    ) throws(WALError) -> SalvageReport {
        let lock = try DirectoryLock(directory: directory, makes: false)
        defer { lock.release() }
        var salvage = Salvage(source: try SalvageSource(directory: directory, keys: keys))
        salvage.report.directory = directory
        if let target, !salvage.source.segments.isEmpty {
            var sealing: SalvageWriter.Sealing?
            if let keys, let lane = salvage.source.sealedLane { sealing = (lane, keys.first) }
            salvage.writer = try SalvageWriter(directory: target, sealing: sealing)
            salvage.report.writtenTo = target
        }
        try salvage.run()
        return salvage.report
    }

    private init(source: SalvageSource) { self.source = source }

    private mutating func run() throws(WALError) {
        report.foreign = source.foreign
        report.notes = source.notes
        report.firstLSN = source.segments.first?.firstLSN ?? 0
        for place in source.segments.indices {
            if place > 0 { noteMissing(between: source.segments[place - 1].live, source.segments[place].live) }
            try salvage(place)
        }
        try end()
    }

    private mutating func noteMissing(between earlier: LiveSegment<LocalFile>, _ later: LiveSegment<LocalFile>) {
        let count = later.sequence - earlier.sequence - 1
        if count > 0 { report.notes.append("\(count) segments are missing after segment \(earlier.sequence)") }
    }

    private mutating func salvage(_ place: Int) throws(WALError) {
        let source = source
        let segment = source.segments[place]
        let before = report.frameCount
        var lost: [LSNGap] = []
        var isBegun = false
        state.nextLSN = segment.firstLSN
        let note = { (gap: LSNGap) in lost.append(gap) }
        try source.walk(place, lost: note) { frame throws(WALError) in
            if !isBegun {
                isBegun = true
                let isHead = frame.header.kind == .checkpoint && frame.header.lsn == segment.firstLSN
                if let head = isHead ? frame : source.checkpointCopy(place) { take(head) }
                try begin(segment)
            }
            if frame.header.kind != .checkpoint {
                try writer?.add(frame)
                take(frame)
            }
        }
        if !isBegun {
            source.checkpointCopy(place).map { take($0) }
            try begin(segment)
        }
        if segment.isGuessed { self.note(LSNGap(firstLSN: segment.firstLSN, lastLSN: segment.firstLSN)) }
        // The checkpoint is made anew where it was lost; it held nothing but what can be worked out.
        for gap in lost where gap.lastLSN > segment.firstLSN {
            self.note(LSNGap(firstLSN: max(gap.firstLSN, segment.firstLSN + 1), lastLSN: gap.lastLSN))
        }
        let head = segment.live.hasHeader ? "" : ", its header is lost"
        report.segments.append(
            "\(segment.name): segment \(segment.live.sequence), \(report.frameCount - before) frames from LSN"
                + " \(segment.firstLSN)\(head)")
    }

    private func begin(_ segment: SalvageSource.Segment) throws(WALError) {
        try writer?.begin(
            SegmentHeader(
                sequence: segment.live.sequence, salt: UInt64.random(in: .min ... .max),
                segmentSizeBytes: Block.roundedUp(max(segment.live.sizeBytes, 16 * Block.sizeBytes)),
                firstLSN: segment.firstLSN, bootEpoch: segment.live.bootEpoch), state: state)
    }

    private mutating func take(_ frame: SegmentScan<LocalDisk>.Frame) {
        switch frame.header.kind {
        case .batch:
            noteHole(before: frame)
            state.apply(frame)
        case .checkpoint where report.frameCount > 0:
            let before = state.partitions
            state.apply(frame)
            noteHoles(since: before)
        default: state.apply(frame)
        }
        report.frameCount += 1
        report.lastLSN = max(report.lastLSN, frame.header.lsn)
        guard frame.header.kind == .batch else { return }
        report.batchCount += 1
        report.recordCount += Int(frame.header.recordCount)
        report.batchBytes += frame.header.payloadBytes
    }

    // MARK: Losses

    private mutating func note(_ gap: LSNGap) {
        guard report.lost.count < Self.listedMax else { return }
        if let last = report.lost.last, last.lastLSN + 1 == gap.firstLSN {
            report.lost[report.lost.count - 1].lastLSN = gap.lastLSN
        } else {
            report.lost.append(gap)
        }
    }

    private mutating func noteHole(before frame: SegmentScan<LocalDisk>.Frame) {
        let name = PartitionName(topic: frame.topic, partition: frame.header.partition)
        guard let place = state.partitions.place(of: name) else {
            // The first of its partition; what was before it, if anything, is not known.
            return
        }
        note(name, from: state.partitions[place].nextOffset, to: frame.header.baseOffset)
    }

    /// A checkpoint knows more than the frames before it told.
    private mutating func noteHoles(since before: PartitionTable) {
        for row in state.partitions.rows {
            let known = before.place(of: row.name).map { before[$0].nextOffset }
            note(row.name, from: known ?? row.logStart, to: row.nextOffset)
        }
    }

    private mutating func note(_ name: PartitionName, from first: Int64, to next: Int64) {
        guard first < next, report.lostOffsets.count < Self.listedMax else { return }
        report.lostOffsets.append(
            SalvageReport.LostOffsets(
                topic: name.topic, partition: name.partition, firstOffset: first, lastOffset: next - 1))
    }

    /// One more segment, with nothing but a checkpoint: it says that what is before it is all, and it begins after every
    /// LSN and offset that the index knows to have been given out, so that none is given twice.
    private mutating func end() throws(WALError) {
        guard let last = source.segments.last else { return }
        if let known = IndexMemory(directory: source.disk.directory) {
            if known.lastLSN > report.lastLSN { note(LSNGap(firstLSN: report.lastLSN + 1, lastLSN: known.lastLSN)) }
            state.nextLSN = max(state.nextLSN, known.lastLSN + 1)
            for (name, endOffset) in known.endOffsets {
                let place = state.partitions.place(making: name)
                note(name, from: state.partitions[place].nextOffset, to: endOffset)
                state.partitions[place].nextOffset = max(state.partitions[place].nextOffset, endOffset)
            }
            if let upload = known.upload { state.uploads.apply(uploaded: upload.sequence, lastLSN: upload.lastLSN) }
        }
        // Segments before the first one may go only when they are uploaded.
        let uploaded = state.uploads.uploadedThrough
        if report.firstLSN > uploaded + 1 {
            report.lost.insert(LSNGap(firstLSN: uploaded + 1, lastLSN: report.firstLSN - 1), at: 0)
        }
        var end = last
        end.live.sequence += 1
        end.live.bootEpoch = last.live.bootEpoch
        end.firstLSN = max(state.nextLSN, report.lastLSN + 1)
        try begin(end)
        try writer?.finish()
    }
}

/// What an index file remembers of LSNs and offsets whose frames may be gone. Nil when it cannot be read.
private struct IndexMemory {
    var lastLSN: UInt64
    var endOffsets: [(name: PartitionName, endOffset: Int64)]
    var upload: UploadedMark?

    init?(directory: String) {
        do throws(SQLiteConnection.Failure) {
            let store = IndexStore(
                try SQLiteConnection(path: directory + "/" + IndexSchema.fileName, readOnly: true))
            lastLSN = try store.indexedThrough()
            endOffsets = try store.endOffsets()
            upload = try store.lastUpload()
        } catch {
            return nil
        }
    }
}
