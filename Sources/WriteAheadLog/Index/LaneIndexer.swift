/// Keeps the index file of a lane up to date on its own thread, off the path of acks, and answers lookups.
///
/// The writer hands over what each commit made durable; it goes into a bounded list first, which serves lookups at the
/// tail, and is written in large transactions. What the list cannot hold, and what a missing or stale file lacks, is
/// read back from the segments. Failure of SQLite costs lookups of old offsets, never data.
final class LaneIndexer: Sendable {
    struct Work {
        var tail: IndexTail
        var indexedThrough: UInt64
        var durableLSN: UInt64
        var facts: IndexFacts?
        var uploads: [(plan: UploadPlan, isUploaded: Bool)] = []
        var wantsSpare = false
        var mustRebuild = false
        /// No file could be opened: lookups fail until one can be.
        var isClosed = false
        /// Attempts that failed since the last one that worked.
        var failures = 0
        var isClosing = false
        var lastFlushNs: UInt64 = 0
        var retryAtNs: UInt64 = 0
        /// The thread sleeps; the writer wakes it only when there is a reason.
        var isWaiting = false
    }

    static let tailMax = 65_536
    /// Rows per transaction: large, because scattered keys dirty about a page each.
    static let flushCount = 8192
    static let flushAfterNs: UInt64 = 500_000_000
    private static let uploadsMax = 4096

    let monitor: Monitor<Work>
    /// The connection that writes; nil while no file can be opened.
    private let store: Monitor<IndexStore?>
    /// A second connection for lookups, so that they do not wait for a transaction.
    private let lookups: Monitor<IndexStore?>
    private let directory: String
    private let published: PublishedLane
    private let disk: LocalDisk

    init(
        directory: String, disk: LocalDisk, published: PublishedLane, store: IndexStore?, indexedThrough: UInt64,
        durableLSN: UInt64
    ) {
        self.directory = directory
        self.disk = disk
        self.published = published
        self.store = Monitor(store)
        lookups = Monitor(store == nil ? nil : IndexStore(reading: directory))
        let tail = IndexTail(limit: Self.tailMax, floorLSN: durableLSN + 1)
        var work = Work(tail: tail, indexedThrough: indexedThrough, durableLSN: durableLSN)
        work.isClosed = store == nil
        monitor = Monitor(work)
    }

    // MARK: From the writer

    /// Takes what a commit made durable. Never blocks for SQLite.
    func add(_ entries: [IndexEntry], durableLSN: UInt64, facts: IndexFacts?, wantsSpare: Bool) {
        monitor.change { work in
            // With nothing to do it sleeps until it is woken; with something, until the next flush is due.
            let wasEmpty = work.tail.count == 0
            work.tail.append(entries)
            work.durableLSN = durableLSN
            if let facts { work.facts = facts }
            if wantsSpare { work.wantsSpare = true }
            return ((), wake: work.isWaiting && (wasEmpty || work.isUrgent))
        }
    }

    func note(_ plan: UploadPlan, isUploaded: Bool) {
        monitor.withLock { work in
            // The table of uploads is for people; the segments hold what counts.
            if work.uploads.count < Self.uploadsMax { work.uploads.append((plan, isUploaded)) }
        }
    }

    func close() {
        monitor.change { work in
            work.isClosing = true
            return ((), wake: true)
        }
    }

    /// After the thread has ended.
    func closeFiles() {
        store.withLock { $0 = nil }
        lookups.withLock { $0 = nil }
    }

    // MARK: The thread

    /// `makeSpare` zeroes a segment file and tells the writer; it takes a while.
    func run(makeSpare: () -> Void) {
        while true {
            let work = monitor.wait { work -> Monitor<Work>.Step<Task?> in
                work.isWaiting = true
                let step = work.nextTask(at: monotonicNow())
                if case .done = step { work.isWaiting = false }
                return step
            }
            guard let work else { return }
            switch work {
            case .makeSpare: makeSpare()
            case .catchUp(let from, let upTo):
                attempt { () throws(SQLiteConnection.Failure) in try catchUp(from: from, upTo: upTo) }
            case .flush: attempt { () throws(SQLiteConnection.Failure) in try flush() }
            case .reopen: attempt { () throws(SQLiteConnection.Failure) in try reopen() }
            case .rebuild: attempt { () throws(SQLiteConnection.Failure) in try rebuild() }
            }
        }
    }

    enum Task {
        case makeSpare, reopen, rebuild, flush
        /// LSNs that are neither in the file nor in the list.
        case catchUp(from: UInt64, upTo: UInt64)
    }

    private func attempt(_ body: () throws(SQLiteConnection.Failure) -> Void) {
        do throws(SQLiteConnection.Failure) {
            let before = ThreadWrites.bytes()
            defer { noteWritten(since: before) }
            try body()
            monitor.withLock { $0.failures = 0 }
        } catch {
            published.withState { state in
                state.status.alarms.indexFailures += 1
                state.status.alarms.lastMessage = "index: \(error.message)"
            }
            store.withLock { $0?.forgetPartitions() }
            monitor.withLock { work in
                if error.isCorruption { work.mustRebuild = true }
                work.failures += 1
                // Anything else may pass (a full disk); try again later, and close without waiting for it.
                work.retryAtNs = monotonicNow() + 1_000_000_000 << UInt64(min(work.failures - 1, 5))
            }
        }
    }

    private func noteWritten(since before: UInt64?) {
        guard let before, let after = ThreadWrites.bytes() else { return }
        published.withState { $0.status.written.index += after - before }
    }

    /// A file that could not be opened at the start, or was taken away by a failure. One that cannot be opened for a reason
    /// that does not pass, or that tells of another log, is put aside.
    private func reopen() throws(SQLiteConnection.Failure) {
        let path = directory + "/" + IndexSchema.fileName
        var opened: IndexSchema.Opened
        do throws(SQLiteConnection.Failure) {
            opened = try IndexSchema.open(directory: directory)
        } catch {
            if !error.isPassing, monitor.withLock({ $0.failures >= Self.patience }) { IndexSchema.putAside(path) }
            throw error
        }
        let view = published.view
        let segments = view.segments.filter(\.isReadable).map { (sequence: $0.sequence, salt: $0.salt) }
        var store = IndexStore(opened.connection)
        let (belongs, known) = (try store.belongs(to: segments), try store.indexedThrough())
        if !belongs || known > view.durableLSN {
            IndexSchema.putAside(path)
            opened = IndexSchema.Opened(connection: try IndexSchema.begin(path), rebuildReason: "another log")
            store = IndexStore(opened.connection)
        }
        use(store, through: max(opened.rebuildReason == nil ? known : 0, view.firstLSN - 1))
        if opened.rebuildReason != nil { published.withState { $0.status.alarms.indexRebuilds += 1 } }
    }

    /// Attempts to open a file before it is put aside.
    private static let patience = 2

    /// From now on this is the file; what it lacks is read from the segments.
    private func use(_ opened: IndexStore, through lsn: UInt64) {
        store.withLock { $0 = opened }
        lookups.withLock { $0 = IndexStore(reading: directory) }
        monitor.withLock { work in
            work.mustRebuild = false
            work.isClosed = false
            work.indexedThrough = lsn
        }
    }

    private func flush() throws(SQLiteConnection.Failure) {
        let taken = monitor.withLock { work in
            let entries = Array(work.tail.queue.prefix(Self.flushCount))
            // Control frames between and after the batches need no rows.
            let through = entries.count < work.tail.count ? entries[entries.count - 1].lsn : work.durableLSN
            defer {
                work.facts = nil
                work.uploads = []
            }
            return (entries: entries, through: through, facts: work.facts, uploads: work.uploads)
        }
        let last = published.view.segments.last { $0.isReadable && $0.firstLSN <= taken.through }
        try write(taken.entries, through: taken.through, last: last.map { ($0.sequence, $0.salt) })
        try withStore { store throws(SQLiteConnection.Failure) in
            for upload in taken.uploads { try store.record(upload.plan, isUploaded: upload.isUploaded) }
            if let facts = taken.facts { try store.replace(facts, name: published.name) }
        }
        monitor.withLock { work in
            work.tail.remove(through: taken.through)
            work.indexedThrough = max(work.indexedThrough, taken.through)
            work.lastFlushNs = monotonicNow()
        }
        publishProgress()
    }

    /// Reads frames the list did not hold back from the segments, a bounded piece at a time.
    private func catchUp(from: UInt64, upTo: UInt64) throws(SQLiteConnection.Failure) {
        let view = published.view
        guard let place = view.place(of: from), view.segments[place].firstLSN <= upTo else {
            try moveMark(to: upTo)
            return
        }
        let segment = view.segments[place]
        let end = min(upTo, view.followingLSN(of: place) - 1)
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        let mark = segment.mark(before: from)
        var scan = SegmentScan(
            window: window, segment: segment, from: mark.offsetBytes, endBytes: segment.endBytes, expectedLSN: mark.lsn,
            limitLSN: min(end + 1, view.limitLSN(of: place)))
        var entries: [IndexEntry] = []
        let identity = (segment.sequence, segment.salt)
        while let item = try? scan.next() {
            guard case .frame(let frame) = item, frame.header.kind == .batch, frame.header.lsn >= from,
                let entry = IndexEntry(frame, segment: segment.sequence, published: published)
            else { continue }
            entries.append(entry)
            if entries.count >= Self.flushCount {
                try write(entries, through: entry.lsn, last: identity)
                try moveMark(to: entry.lsn)
                entries.removeAll(keepingCapacity: true)
                if monitor.withLock({ $0.isClosing }) { return }
            }
        }
        try write(entries, through: end, last: identity)
        try moveMark(to: end)
    }

    private func moveMark(to lsn: UInt64) throws(SQLiteConnection.Failure) {
        monitor.withLock { $0.indexedThrough = max($0.indexedThrough, lsn) }
        publishProgress()
    }

    private func write(
        _ entries: [IndexEntry], through: UInt64, last: (UInt64, UInt64)?
    ) throws(SQLiteConnection.Failure) {
        try withStore { store throws(SQLiteConnection.Failure) in
            try store.add(entries, through: through, last: last, name: published.name)
        }
    }

    /// Puts the broken file aside and begins again; the segments fill the new one.
    private func rebuild() throws(SQLiteConnection.Failure) {
        monitor.withLock { $0.isClosed = true }
        store.withLock { $0 = nil }
        lookups.withLock { $0 = nil }
        IndexSchema.putAside(directory + "/" + IndexSchema.fileName)
        let opened = try IndexSchema.open(directory: directory)
        use(IndexStore(opened.connection), through: published.view.firstLSN - 1)
        published.withState { $0.status.alarms.indexRebuilds += 1 }
    }

    private func publishProgress() {
        let lsn = monitor.withLock { $0.indexedThrough }
        published.withState { $0.status.indexedLSN = lsn }
    }

    private func withStore<T>(
        _ body: (IndexStore) throws(SQLiteConnection.Failure) -> T
    ) throws(SQLiteConnection.Failure) -> T {
        try Self.with(store, body)
    }

    /// A lookup in the file. A broken file is rebuilt by the thread; the caller is told to come back.
    func lookUp<T>(_ body: (IndexStore) throws(SQLiteConnection.Failure) -> T) throws(WALError) -> T {
        do throws(SQLiteConnection.Failure) {
            return try Self.with(lookups, body)
        } catch {
            if error.isCorruption { distrust() }
            throw .index(error.message)
        }
    }

    /// Something in the file is wrong: it will be rebuilt.
    func distrust() {
        monitor.change { work in
            work.mustRebuild = true
            return ((), wake: true)
        }
    }

    private static func with<T>(
        _ store: Monitor<IndexStore?>, _ body: (IndexStore) throws(SQLiteConnection.Failure) -> T
    ) throws(SQLiteConnection.Failure) -> T {
        let result: Result<T, SQLiteConnection.Failure> = store.withLock { store in
            guard let store else {
                return .failure(SQLiteConnection.Failure(code: 1, message: "no index file is open"))
            }
            do throws(SQLiteConnection.Failure) { return .success(try body(store)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

extension LaneIndexer.Work {
    /// A hole between file and list: the first LSN of it, if there is one.
    var hole: (from: UInt64, upTo: UInt64)? {
        indexedThrough + 1 < tail.floorLSN ? (indexedThrough + 1, tail.floorLSN - 1) : nil
    }

    var isUrgent: Bool {
        tail.count >= LaneIndexer.flushCount || wantsSpare || hole != nil || mustRebuild
    }

    fileprivate mutating func nextTask(at now: UInt64) -> Monitor<Self>.Step<LaneIndexer.Task?> {
        if isClosing, retryAtNs > now { return .done(nil) }
        if wantsSpare, !isClosing {
            wantsSpare = false
            return .done(.makeSpare)
        }
        if retryAtNs > now { return .wait(untilNs: retryAtNs) }
        if mustRebuild { return isClosing ? .done(nil) : .done(.rebuild) }
        if isClosed { return isClosing ? .done(nil) : .done(.reopen) }
        if let hole { return isClosing ? .done(nil) : .done(.catchUp(from: hole.from, upTo: hole.upTo)) }
        let hasWork = tail.count > 0 || facts != nil || !uploads.isEmpty
        if isClosing { return .done(hasWork ? .flush : nil) }
        guard hasWork else { return .wait(untilNs: nil) }
        let due = lastFlushNs + LaneIndexer.flushAfterNs
        return tail.count >= LaneIndexer.flushCount || now >= due ? .done(.flush) : .wait(untilNs: due)
    }
}
