import KafkaProtocol
import NIOCore
public import Sealing

/// What `cairn wal inspect` shows: segments, offsets and uploads of a lane, from headers and the newest segment.
public struct LaneInspection: Sendable, Equatable, CustomStringConvertible {
    public struct Segment: Sendable, Equatable {
        public var sequence: UInt64
        public var firstLSN: UInt64
        public var sizeBytes: Int
        public var isReadable: Bool
        /// Of the site key it is sealed with; nil when it is not sealed.
        public var keyID: String?
    }

    public var directory = ""
    public var segments: [Segment] = []
    public var spareCount = 0
    public var lastLSN: UInt64 = 0
    public var uploads = UploadState()
    public var partitions: [LocalPartition] = []
    public var producerCount = 0
    /// What the index file says of itself.
    public var index = ""
    public var notes: [String] = []

    public var description: String {
        var lines = ["\(directory): \(segments.count) segments, \(spareCount) spare, last LSN \(lastLSN)"]
        for segment in segments {
            let state = segment.isReadable ? "from LSN \(segment.firstLSN)" : "unreadable"
            let key = segment.keyID.map { ", sealed with key \($0)" } ?? ""
            lines.append("  segment \(segment.sequence): \(segment.sizeBytes) bytes, \(state)\(key)")
        }
        lines.append(
            "uploaded through LSN \(uploads.uploadedThrough), next object \(uploads.nextSequence),"
                + " \(uploads.openPlans.count) plans open")
        for plan in uploads.openPlans {
            let clock = plan.clock.map { clock in
                ", clock of start \(clock.bootEpoch) " + (clock.reading == nil ? "never known" : "known")
            }
            lines.append("  plan \(plan.sequence): LSN \(plan.firstLSN) to \(plan.lastLSN)\(clock ?? "")")
        }
        for partition in partitions {
            lines.append(
                "  \(partition.topic) \(partition.partition): offsets \(partition.logStartOffset) to"
                    + " \(partition.highWatermark)")
        }
        lines.append("\(producerCount) idempotent producers")
        lines.append("index: \(index)")
        return (lines + notes).joined(separator: "\n")
    }
}

/// What `cairn wal verify` found after reading every byte.
public struct LaneVerification: Sendable, Equatable, CustomStringConvertible {
    public var directory = ""
    public var segmentCount = 0
    public var unreadableSegments: [UInt64] = []
    public var frameCount = 0
    public var batchCount = 0
    public var recordCount = 0
    public var batchBytes = 0
    public var firstLSN: UInt64 = 0
    public var lastLSN: UInt64 = 0
    public var gaps: [LSNGap] = []
    public var quarantined: [QuarantinedRange] = []
    /// LSNs of frames whose checksum is right around a record batch that is wrong.
    public var invalidBatches: [UInt64] = []
    /// Segments whose header block is lost; what is behind it tells the same.
    public var damagedHeads: [UInt64] = []
    /// Segments that only a newer program or a key that is not here can read; they are not verified.
    public var untouchable: UntouchableSegments?
    /// Of the last group, which the index does not know to have been durable; a lane in use may show one that is just being written.
    public var tornTailBytes = 0
    /// Why the index could not tell all it knew: what looks unfinished may then be damaged.
    public var indexTrouble: String?
    public var notes: [String] = []

    public var isClean: Bool {
        unreadableSegments.isEmpty && gaps.isEmpty && quarantined.isEmpty && invalidBatches.isEmpty && notes.isEmpty
            && damagedHeads.isEmpty && untouchable == nil
    }

    public var description: String {
        var lines = [
            "\(directory): \(isClean ? "good" : "DAMAGED"), \(segmentCount) segments, \(frameCount) frames,"
                + " \(batchCount) batches, \(recordCount) records, \(batchBytes) bytes, LSN \(firstLSN) to \(lastLSN)"
        ]
        if let untouchable { lines.append("not verified: \(untouchable)") }
        if !unreadableSegments.isEmpty { lines.append("unreadable segments: \(unreadableSegments)") }
        if !damagedHeads.isEmpty { lines.append("segments without their header block: \(damagedHeads)") }
        for range in quarantined {
            lines.append("quarantined: segment \(range.segment), \(range.lengthBytes) bytes at \(range.offsetBytes)")
        }
        for gap in gaps { lines.append("lost: LSN \(gap.firstLSN) to \(gap.lastLSN)") }
        for lsn in invalidBatches { lines.append("LSN \(lsn): the record batch is not valid") }
        if tornTailBytes > 0 {
            let doubt = indexTrouble.map { ", or damage; cannot tell which: \($0)" } ?? ""
            lines.append("unfinished write at the end: \(tornTailBytes) bytes\(doubt)")
        }
        return (lines + notes).joined(separator: "\n")
    }
}

/// What `cairn wal rebuild-index` did.
public struct IndexRebuild: Sendable, Equatable, CustomStringConvertible {
    public var directory = ""
    public var batchCount = 0
    public var indexedThroughLSN: UInt64 = 0
    public var gaps: [LSNGap] = []

    public var description: String {
        "\(directory): index written, \(batchCount) batches through LSN \(indexedThroughLSN)"
            + (gaps.isEmpty ? "" : ", \(gaps.count) gaps")
    }
}

/// Looking at a lane's directory from outside. `inspect` and `verify` change nothing and work while the lane is in use;
/// `rebuildIndex` needs it closed.
public enum Inspection {
    private static let listedMax = 10_000

    /// - Parameter keys: open sealed segments; without them those are named and passed over.
    public static func inspect(directory: String, keys: KeyRing? = nil) throws(WALError) -> LaneInspection {
        let walk = try LaneWalk(directory: directory, keys: keys)
        var report = LaneInspection()
        report.directory = directory
        report.spareCount = walk.spareCount
        report.notes = walk.notes + (walk.untouchable.map { ["not read: \($0)"] } ?? [])
        report.segments = walk.segments.map {
            LaneInspection.Segment(
                sequence: $0.sequence, firstLSN: $0.firstLSN, sizeBytes: $0.sizeBytes, isReadable: $0.isReadable,
                keyID: $0.keys?.first.record.keyID)
        }
        let state = walk.segments.newestState(walk.disk)
        report.lastLSN = state.nextLSN - 1
        report.uploads = state.uploads.state
        report.partitions = state.partitions.rows.map(LocalPartition.init)
        report.producerCount = state.producers.count
        report.index = describeIndex(directory)
        return report
    }

    /// What keeps the lane from being opened with these keys, if anything does. Reads a block or two of each segment.
    public static func obstacle(directory: String, keys: KeyRing?) throws(WALError) -> UntouchableSegments? {
        try LaneWalk(directory: directory, keys: keys).untouchable
    }

    public static func verify(directory: String, keys: KeyRing? = nil) throws(WALError) -> LaneVerification {
        let index = IndexGlance.look(directory)
        var walk = try LaneWalk(directory: directory, keys: keys)
        let given = walk.cutGivenUp()
        let known = walk.segments.filter(\.isReadable).map { IndexGlance.Segment(sequence: $0.sequence, salt: $0.salt) }
        var report = LaneVerification()
        report.directory = directory
        report.indexTrouble = index.trouble
        report.segmentCount = walk.segments.count
        report.unreadableSegments = walk.segments.filter { !$0.isReadable }.map(\.sequence)
        report.notes = walk.notes
        report.untouchable = walk.untouchable
        report.damagedHeads = walk.segments.filter { $0.isReadable && !$0.hasHeader }.map(\.sequence)
        try walk.walk(wantsPayload: true, knownDurable: index.knownDurable(known)) { place, item in
            report.add(item, segment: walk.segments[place].sequence, given)
        }
        if index.belongs(to: known) { report.noteLostEnd(through: index.indexedThrough) }
        if walk.window.failedBlocks > 0 { report.notes.append("\(walk.window.failedBlocks) blocks cannot be read") }
        return report
    }

    /// Puts the old index aside and writes a new one from the segments, a bounded piece at a time.
    public static func rebuildIndex(directory: String, keys: KeyRing? = nil) throws(WALError) -> IndexRebuild {
        var walk = try LaneWalk(directory: directory, keys: keys)
        if let segments = walk.untouchable { throw .untouchable(segments) }
        let lock = try DirectoryLock(directory: directory)
        defer { lock.release() }
        let given = walk.cutGivenUp()
        var report = IndexRebuild()
        report.directory = directory
        var builder: IndexBuilder
        do throws(SQLiteConnection.Failure) {
            builder = try IndexBuilder(directory: directory)
        } catch {
            throw .index(error.message)
        }
        try walk.walk { place, item throws(WALError) in
            let segment = walk.segments[place]
            switch item {
            case .frame(let frame): try builder.add(frame, segment: segment.sequence, salt: segment.salt)
            case .gap(let gap): if report.gaps.count < listedMax { report.gaps += given.unrecorded([gap]) }
            case .quarantined, .torn: break
            }
        }
        try builder.finish()
        report.batchCount = builder.batchCount
        report.indexedThroughLSN = builder.lastLSN
        return report
    }

    private static func describeIndex(_ directory: String) -> String {
        do throws(SQLiteConnection.Failure) {
            let path = directory + "/" + IndexSchema.fileName
            let (connection, isWhole) = try SQLiteConnection.looking(into: path)
            let rows = try connection.integer("SELECT count(*) FROM batches") ?? 0
            return "\(rows) batches through LSN \(try IndexStore(connection).indexedThrough())"
                + (isWhole ? "" : " and what is in \(IndexSchema.fileName)-wal")
        } catch {
            return error.message
        }
    }
}

extension LaneVerification {
    private static var listedMax: Int { 10_000 }

    /// The index knows of frames after all that are here: the newest segment is gone.
    fileprivate mutating func noteLostEnd(through known: UInt64) {
        let seen = max(lastLSN, gaps.last?.lastLSN ?? 0)
        guard unreadableSegments.isEmpty, untouchable == nil, known > seen else { return }
        gaps.append(LSNGap(firstLSN: seen + 1, lastLSN: known))
    }

    fileprivate mutating func add(_ item: SegmentScan<LocalDisk>.Item, segment: UInt64, _ given: GapLedger) {
        switch item {
        case .gap(let gap): if gaps.count < Self.listedMax { gaps += given.unrecorded([gap]) }
        case .quarantined(let offset, let length):
            guard quarantined.count < Self.listedMax else { return }
            quarantined.append(QuarantinedRange(segment: segment, offsetBytes: offset, lengthBytes: length))
        case .torn(_, let length): tornTailBytes = length
        case .frame(let frame):
            frameCount += 1
            if firstLSN == 0 { firstLSN = frame.header.lsn }
            lastLSN = frame.header.lsn
            guard frame.header.kind == .batch else { return }
            batchCount += 1
            recordCount += Int(frame.header.recordCount)
            batchBytes += frame.header.payloadBytes
            let isValid = (try? RecordBatch.validateOne(frame.payload)) != nil
            if !isValid, invalidBatches.count < Self.listedMax { invalidBatches.append(frame.header.lsn) }
        }
    }
}
