import Sealing
import Synchronization

/// What the writer has made public: the only thing readers on other threads see of a lane.
final class PublishedLane: Sendable {
    struct State: Sendable {
        var view = LogView<LocalFile>()
        var partitions = PartitionTable()
        var uploads = UploadState()
        var gaps = GapLedger(limitBytes: 0)
        var status = LaneStatus()
        var layoutVersion = -1
    }

    private let state = Mutex(State())
    /// Gaps already counted, so that reading one twice alarms once.
    private let knownGaps = Mutex<Set<UInt64>>([])
    private let damagedHeads = Mutex<Set<UInt64>>([])
    private let listeners = Mutex<[@Sendable (UInt64) -> Void]>([])

    func withState<T: Sendable>(_ body: (inout State) -> T) -> T { state.withLock { body(&$0) } }

    var view: LogView<LocalFile> { state.withLock { $0.view } }

    /// What recovery has counted already is not counted again when a reader meets it.
    func know(_ report: RecoveryReport) {
        knownGaps.withLock { known in
            for gap in report.gaps.prefix(Self.knownGapsMax) { known.insert(gap.firstLSN) }
        }
        withState { $0.status.quarantined = report.quarantined.suffix(Self.listedRangesMax) }
    }

    /// Counts LSNs found lost, each range once. True when it is news.
    @discardableResult
    func noteLoss(_ gap: LSNGap) -> Bool {
        let isNew = knownGaps.withLock { known in
            if known.count > Self.knownGapsMax { known.removeAll() }
            return known.insert(gap.firstLSN).inserted
        }
        guard isNew else { return false }
        withState { state in
            state.status.alarms.lostLSNs += gap.count
            state.status.alarms.quarantinedRanges += 1
            state.status.alarms.lastMessage = "LSN \(gap.firstLSN) to \(gap.lastLSN) cannot be read"
        }
        return true
    }

    /// Counts a segment whose header block is damaged, once. True when it is news.
    func noteDamagedHead(_ sequence: UInt64) -> Bool {
        guard damagedHeads.withLock({ $0.count < Self.knownGapsMax && $0.insert(sequence).inserted }) else {
            return false
        }
        withState { $0.status.alarms.damagedHeads += 1 }
        return true
    }

    /// Lists a damaged range, once.
    func list(_ range: QuarantinedRange) {
        withState { state in
            guard !state.status.quarantined.contains(range) else { return }
            state.status.quarantined.append(range)
            state.status.quarantined.removeFirst(max(0, state.status.quarantined.count - Self.listedRangesMax))
        }
    }

    private static let knownGapsMax = 4096
    private static let listedRangesMax = 64

    func addListener(_ listener: @escaping @Sendable (UInt64) -> Void) { listeners.withLock { $0.append(listener) } }

    func notify(_ durableLSN: UInt64) {
        for listener in listeners.withLock({ $0 }) { listener(durableLSN) }
    }

    func place(of name: PartitionName) -> (place: Int, row: PartitionTable.Row)? {
        state.withLock { state in
            state.partitions.place(of: name).map { ($0, state.partitions[$0]) }
        }
    }

    func name(of place: Int) -> PartitionName? {
        state.withLock { place < $0.partitions.count ? $0.partitions[place].name : nil }
    }

    /// Takes over what the last commit changed. Cheap: only a change of segments copies the list of segments.
    func update(from core: LaneCore<LocalDisk>) {
        state.withLock { state in
            state.follow(core)
            state.view.durableLSN = core.durableLSN
            state.uploads = core.uploadState
            state.gaps = core.state.gaps
            state.status.follow(core)
        }
    }
}

extension PublishedLane.State {
    fileprivate mutating func follow(_ core: LaneCore<LocalDisk>) {
        if layoutVersion != core.layoutVersion {
            layoutVersion = core.layoutVersion
            view = core.view
            partitions = core.state.durable.partitions
            return
        }
        if var newest = core.segments.last {
            if newest.isReadable { newest.endBytes = core.tailBytes }
            view.segments[view.segments.count - 1] = newest
        }
        for entry in core.committed {
            if entry.partition >= partitions.count {
                partitions = core.state.durable.partitions
                return
            }
            partitions[entry.partition].nextOffset = entry.endOffset
        }
    }
}

extension LaneStatus {
    fileprivate mutating func follow(_ core: LaneCore<LocalDisk>) {
        acceptedLSN = core.durableLSN
        durableLSN = core.durableLSN
        uploadedLSN = core.state.uploadedThrough
        durableRecords = core.counters.records
        durableBytes = core.counters.bytes
        durableBatches = core.counters.batches
        duplicateBatches = core.counters.duplicates
        rejectedBatches = core.counters.rejections
        groups = core.counters.groups
        diskBytes = core.diskBytes
        segmentCount = core.segments.count
        keyID = core.segments.last?.keys?.first.record.keyID
        spareSegmentCount = core.spares.count
        partitionCount = core.state.partitions.count
        producerCount = core.state.producers.count
        isFailing = core.isFailing
        dropped = core.state.gaps.totals
        pendingGaps = core.state.gaps.pending.count
        let indexBytes = written.index
        written = core.counters.written
        written.index = indexBytes
        // The index counts its own alarms, readers count theirs.
        alarms.suspectSegments = core.alarms.suspectSegments
        alarms.diskRejections = core.alarms.diskRejections
        alarms.quotaRejections = core.alarms.quotaRejections
        alarms.lastMessage = core.alarms.lastMessage ?? alarms.lastMessage
    }
}
