import KafkaProtocol
import NIOCore
import Synchronization

/// The durable log of one lane: what every positive answer of a gateway rests on.
///
/// - Shape: record batches in, record batches out; each gets an LSN of the lane and offsets of its topic-partition.
/// - Durability: an append's completion runs after the fdatasync that covers it. All that waits when the writer becomes
///   free is one group: one write, one fdatasync.
/// - Order: calls apply in the order made; the entries of one call stay together.
/// - Bounds: `pendingBytesMax` before the writer, `quotaBytes` on disk; beyond them appends are rejected, nothing is
///   dropped.
/// - Errors: `AppendRejection` per entry, ``WALError`` elsewhere. Files: this module's README.
public final class LaneLog: LaneSource {
    public let configuration: LaneConfiguration
    let queue: WriterQueue
    let published = PublishedLane()
    let indexer: LaneIndexer
    let reader: LogReader<LocalDisk>
    private let lock: DirectoryLock
    private let threads: Mutex<[WorkerThread]>
    private let scrubber: Scrubber?

    /// Opens or makes the lane, and accepts appends when it returns. Data in the files never makes it fail: what is
    /// broken is in the report. Throws for a bad setting, a directory in use or one that cannot be listed; and for segments
    /// of a newer format or without their key, which are left as they are: see `openBeside`.
    ///
    /// - Parameters:
    ///   - bootEpoch: what the installation counts this start as, see ``SiteBoots``; 0 leaves it to the lane.
    ///   - sealing: nil opens and writes plain segments only.
    public static func open(
        _ configuration: LaneConfiguration, bootEpoch: UInt64 = 0, sealing: LogSealing? = nil
    ) throws(WALError) -> (log: LaneLog, report: RecoveryReport) {
        let startNs = monotonicNow()
        try configuration.validate()
        let lock = try DirectoryLock(directory: configuration.directory)
        let disk: LocalDisk
        do throws(DiskError) {
            disk = try LocalDisk(directory: configuration.directory, engine: configuration.engine)
        } catch {
            throw .io(error)
        }
        var core = try LaneCore(
            configuration: configuration, disk: disk, saltSeed: UInt64.random(in: .min ... .max), bootEpoch: bootEpoch,
            sealing: sealing)
        // Not before the segments: files of a newer format are left alone, this one too.
        var found: OpenedIndex.Found?
        var report = try core.recover { segments in
            let index = OpenedIndex.find(configuration.directory)
            found = index
            return OpenedIndex.knownDurable(index, segments)
        }
        let index = OpenedIndex(
            found ?? OpenedIndex.find(configuration.directory), configuration.directory, &core, &report)
        let log = LaneLog(core: core, index: index, lock: lock)
        log.published.know(report)
        try log.start(core)
        report.durationMs = Int((monotonicNow() - startNs) / 1_000_000)
        return (log, report)
    }

    private init(core: LaneCore<LocalDisk>, index: OpenedIndex, lock: DirectoryLock) {
        configuration = core.configuration
        self.lock = lock
        reader = core.reader
        queue = WriterQueue(
            limitBytes: configuration.pendingBytesMax, groupBytesMax: configuration.groupBytesMax,
            window: configuration.commitWindow)
        indexer = LaneIndexer(
            directory: configuration.directory, disk: core.disk, published: published, store: index.store,
            indexedThrough: index.indexedThrough, durableLSN: core.durableLSN)
        scrubber =
            configuration.scrub.bytesPerSecond > 0
            ? Scrubber(disk: core.disk, settings: configuration.scrub, published: published) : nil
        threads = Mutex([])
        published.withState { state in
            state.status.name = configuration.name
            state.status.quotaBytes = configuration.quotaBytes
            state.status.engine = core.disk.engineDescription
            state.status.bootEpoch = core.bootEpoch
            state.status.scrub.isOn = configuration.scrub.bytesPerSecond > 0
            state.status.alarms = core.alarms
            state.status.indexedLSN = index.indexedThrough
        }
        published.update(from: core)
    }

    deinit { close() }

    private func start(_ core: LaneCore<LocalDisk>) throws(WALError) {
        let spares = SpareMaker(disk: core.disk, sizeBytes: configuration.segmentSizeBytes, queue: queue)
        let name = configuration.name
        // The threads hold the parts, never the log itself, so that a forgotten log still closes.
        let handed = Handover(core)
        let writer = try WorkerThread(name: "wal-\(name)") { [queue, published, indexer] in
            var writer = LaneWriter(core: handed.take(), queue: queue, published: published, indexer: indexer)
            writer.run()
        }
        threads.withLock { $0.append(writer) }
        let index = try WorkerThread(name: "idx-\(name)") { [indexer] in indexer.run { spares.make() } }
        threads.withLock { $0.append(index) }
        if let scrubber {
            let thread = try WorkerThread(name: "scrub-\(name)") { scrubber.run() }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Writes what is queued, marks an orderly end and joins the threads. Later appends are answered `.closed`.
    /// Must not be called from a completion or a listener.
    public func close() {
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        scrubber?.close()
        queue.close()
        threads.first?.join()
        indexer.close()
        for thread in threads.dropFirst() { thread.join() }
        // Whoever keeps this object must not keep the files open for writing with it.
        indexer.closeFiles()
        published.view.segments.last?.file.closeWriter()
        lock.release()
    }

    // MARK: Appending

    /// Queues the entries. `completion` is called once, on the writer's thread, after the fdatasync, with one outcome
    /// per entry; it must not block. When nothing was queued (`.overloaded`, `.closed`) it is called before this
    /// returns.
    public func append(_ entries: [LogEntry], completion: @escaping @Sendable ([AppendOutcome]) -> Void) {
        var bytes = 0
        var records: UInt64 = 0
        for entry in entries {
            bytes += entry.frameBytes
            records += UInt64(max(0, entry.header.recordCount))
        }
        switch queue.append(entries, bytes: bytes, records: records, completion) {
        case nil: return
        case .closed: completion(entries.map { _ in .rejected(.closed) })
        case .overloaded(let pending):
            let rejection = AppendRejection.overloaded(
                pendingBytes: pending, limitBytes: configuration.pendingBytesMax)
            completion(entries.map { _ in .rejected(rejection) })
        }
    }

    /// The same for callers in async code. One suspension per call: not for the hot path.
    public func append(_ entries: [LogEntry]) async -> [AppendOutcome] {
        await withCheckedContinuation { continuation in
            append(entries) { continuation.resume(returning: $0) }
        }
    }

    // MARK: State

    public var laneName: String { configuration.name }
    /// This start of the log, as its frames bear it.
    public var bootEpoch: UInt64 { published.withState { $0.status.bootEpoch } }
    public var durableLSN: UInt64 { published.withState { $0.view.durableLSN } }
    public var uploadState: UploadState { published.withState { $0.uploads } }

    public var status: LaneStatus {
        var status = published.withState { $0.status }
        status.pendingBytes = queue.pendingBytes
        (status.acceptedRecords, status.acceptedBytes) = queue.accepted
        return status
    }

    public func partitions() -> [LocalPartition] {
        published.withState { $0.partitions.rows.map(LocalPartition.init) }
    }

    /// Everything in the files up to this LSN can be found by offset.
    public var indexedLSN: UInt64 { indexer.monitor.withLock { $0.indexedThrough } }

    public func addDurableListener(_ listener: @escaping @Sendable (UInt64) -> Void) {
        published.addListener(listener)
    }

    // MARK: The uplink

    public func read(from lsn: UInt64, maxBytes: Int, maxCount: Int) throws(WALError) -> LogSlice {
        // Taken together: what is dropped later can still be read through this view, and is a gap to the next one.
        let (view, gaps) = published.withState { ($0.view, $0.gaps) }
        var slice = try reader.read(from: lsn, maxBytes: maxBytes, maxCount: maxCount, in: view)
        gaps.censor(&slice)
        for gap in slice.gaps { noteLoss(gap) }
        return slice
    }

    public func recordPlan(_ plan: UploadPlan) async throws(WALError) {
        try await control { .plan(plan, $0) }
    }

    public func recordUploaded(sequence: UInt64, lastLSN: UInt64) async throws(WALError) {
        try await control { .uploaded(sequence: sequence, lastLSN: lastLSN, $0) }
    }

    public func gapRecords(from first: UInt64, through last: UInt64) -> [GapRecord] {
        published.withState { $0.gaps.records(from: first, through: last) }
    }

    public func describe(lost gaps: [LSNGap]) -> [GapRecord] {
        let (view, partitions, recorded) = published.withState { ($0.view, $0.partitions, $0.gaps.pending) }
        return LossSurvey.records(
            of: gaps, reason: .unreadable, in: view, disk: reader.disk, recorded: recorded, end: partitions)
    }

    /// Gives up what has waited longer than the lane allows; does nothing for a lane without such a limit. To be called now
    /// and then. `nowNs` is of the clock that stamps entries; `wallMs` is nil when the wall clock is not to be believed.
    public func expire(nowNs: UInt64, wallMs: Int64?) {
        if configuration.quotaAge != nil { _ = queue.post(.expire(nowNs: nowNs, wallMs: wallMs)) }
    }

    private func control(
        _ request: (@escaping @Sendable (Result<Void, WALError>) -> Void) -> WriterQueue.Request
    ) async throws(WALError) {
        let result: Result<Void, WALError> = await withCheckedContinuation { continuation in
            let queued = queue.post(request { continuation.resume(returning: $0) })
            if !queued { continuation.resume(returning: .failure(.closed)) }
        }
        try result.get()
    }

    /// Counts LSNs found lost while reading, each range once.
    func noteLoss(_ gap: LSNGap) { published.noteLoss(gap) }
}

/// Carries the core to the writer's thread, which takes it once.
/// Unchecked because it is filled before that thread starts, emptied by it, and touched by nobody else.
private final class Handover: @unchecked Sendable {
    private var core: LaneCore<LocalDisk>?

    init(_ core: LaneCore<LocalDisk>) { self.core = core }

    func take() -> LaneCore<LocalDisk> {
        guard let taken = core else { preconditionFailure("the core is taken once") }
        core = nil
        return taken
    }
}
