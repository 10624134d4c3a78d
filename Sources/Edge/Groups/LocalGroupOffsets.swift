import GroupCoordination
import KafkaProtocol
import Logging
import NIOCore
import NIOPosix
import Synchronization
import WriteAheadLog

/// Offsets of the site's groups: answered from memory, kept in ``GroupOffsetFile``.
///
/// - Durability: a commit is answered after the fsync of its transaction; all that came while the one before was written are one
///   transaction.
/// - Bounds: ``OffsetLimits`` for what is kept, ``pendingBytesMax`` for what waits for the disk; both end in an error code.
/// - A disk that fails costs COORDINATOR_NOT_AVAILABLE, and heals with the disk. While the file has never been read, nobody is told
///   that there is no offset: that would send consumers to the start or the end of their partitions.
final class LocalGroupOffsets: GroupOffsetStore {
    /// Changes that wait for the disk; one alone may be as large as a request.
    static let pendingBytesMax = 8 << 20

    private struct Pending {
        let change: OffsetChange
        let promise: EventLoopPromise<Result<[ErrorCode], ErrorCode>>
    }

    private struct State {
        /// Nil until the file has been read. Only what is durable.
        var table: OffsetTable?
        var pending: [Pending] = []
        var pendingBytes = 0
        var isWriting = false
        var isClosed = false
        var openedLastNs: UInt64 = 0
        var status = LocalGroupStatus()
    }

    /// Touched on the one thread of the pool, and at the start.
    private struct Disk {
        var file: GroupOffsetFile?
    }

    private let path: String
    private let topics: LocalTopics
    private let limits: OffsetLimits
    private let end: @Sendable (TopicPartition) -> Int64
    private let clock: any WallClock
    private let logger: Logger
    /// One thread, so that one transaction follows the other and an event loop never waits for the disk.
    private let pool = NIOThreadPool(numberOfThreads: 1)
    private let state = Mutex(State())
    private let disk = Mutex(Disk())

    /// Reads the file; blocks. One that is damaged is put aside, one that cannot be read is tried again later.
    /// - Parameter end: the offset after the newest record of a partition, 0 for one that has none.
    init(
        path: String, topics: LocalTopics, limits: OffsetLimits = OffsetLimits(), clock: any WallClock, logger: Logger,
        end: @escaping @Sendable (TopicPartition) -> Int64
    ) {
        self.path = path
        self.topics = topics
        self.limits = limits
        self.end = end
        self.clock = clock
        self.logger = logger
        pool.start()
        openFile()
    }

    var status: LocalGroupStatus {
        state.withLock { state in
            var status = state.status
            status.groups = state.table?.groups.count ?? 0
            status.offsets = state.table?.offsetCount ?? 0
            return status
        }
    }

    /// Writes what waits, answers it, and lets the file go. Idempotent; later changes are refused.
    func close() async {
        guard
            state.withLock({ state in
                defer { state.isClosed = true }
                return !state.isClosed
            })
        else { return }
        // The thread works in order: what was handed to it before is done.
        try? await pool.runIfActive { self.disk.withLock { $0.file = nil } }
        try? await pool.shutdownGracefully()
    }

    // MARK: Questions

    /// Set until the file has been read; then every question is answered.
    var unavailable: ErrorCode? {
        let nowNs = clock.read().monotonicNs
        let mustOpen = state.withLock { state -> Bool? in
            guard state.table == nil else { return nil }
            guard !state.isClosed, nowNs - min(nowNs, state.openedLastNs) >= 1_000_000_000 else { return false }
            state.openedLastNs = nowNs
            return true
        }
        guard let mustOpen else { return nil }
        if mustOpen { pool.submit { if case .active = $0 { self.openFile() } } }
        return .coordinatorLoadInProgress
    }

    func topic(named name: String) -> GroupTopic? { topics.topic(named: name).map(GroupTopic.init) }
    func topic(id: KafkaUUID) -> GroupTopic? { topics.topic(id: id).map(GroupTopic.init) }

    func groups() -> [String] { state.withLock { $0.table.map { Array($0.groups.keys) } ?? [] } }
    func groupExists(_ group: String) -> Bool { state.withLock { $0.table?.groups[group] != nil } }

    func offset(_ group: String, _ place: OffsetPlace) -> CommittedOffset? {
        guard let name = named(place) else { return nil }
        return state.withLock { $0.table?.groups[group]?[name] }
    }

    func offsets(_ group: String) -> [OffsetPlace: CommittedOffset] {
        var found: [OffsetPlace: CommittedOffset] = [:]
        let known: OffsetTable.Offsets = state.withLock { $0.table?.groups[group] ?? [:] }
        for (name, offset) in known {
            guard let topic = topics.topic(named: name.topic) else { continue }
            found[OffsetPlace(topicID: topic.id, partition: name.partition)] = offset
        }
        return found
    }

    /// A gateway has no transactions.
    func hasPendingOffset(_ group: String, _ place: OffsetPlace) -> Bool { false }

    private func named(_ place: OffsetPlace) -> TopicPartition? {
        topics.topic(id: place.topicID).map { TopicPartition(topic: $0.name, partition: place.partition) }
    }

    // MARK: Changes

    func commit(
        _ group: String, _ items: [OffsetCommitItem], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>> {
        var offsets: [OffsetChange.NamedOffset] = []
        for item in items {
            // Topics of a gateway never go while it runs.
            guard let place = named(item.place) else { return loop.makeSucceededFuture(.failure(.unknownTopicId)) }
            offsets.append(.init(place: place, offset: item.offset))
        }
        return submit(.commit(group: group, offsets: offsets), on: loop)
    }

    func delete(_ group: String, on loop: any EventLoop) -> EventLoopFuture<ErrorCode> {
        submit(.deleteGroup(group), on: loop).map { result in
            switch result {
            case .success(let codes): codes.first ?? .none
            case .failure(let code): code
            }
        }
    }

    func deleteOffsets(
        _ group: String, _ places: [OffsetPlace], on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>> {
        let names = places.compactMap(named)
        guard names.count == places.count else { return loop.makeSucceededFuture(.failure(.unknownTopicOrPartition)) }
        return submit(.deleteOffsets(group: group, places: names), on: loop)
    }

    private func submit(
        _ change: OffsetChange, on loop: any EventLoop
    ) -> EventLoopFuture<Result<[ErrorCode], ErrorCode>> {
        let promise = loop.makePromise(of: Result<[ErrorCode], ErrorCode>.self)
        if let code = unavailable {
            promise.succeed(.failure(code))
            return promise.futureResult
        }
        let sizeBytes = change.sizeBytes
        let (isTaken, mustWake) = state.withLock { state in
            let hasRoom = state.pending.isEmpty || state.pendingBytes + sizeBytes <= Self.pendingBytesMax
            guard !state.isClosed, hasRoom else { return (false, false) }
            state.pending.append(Pending(change: change, promise: promise))
            state.pendingBytes += sizeBytes
            defer { state.isWriting = true }
            return (true, !state.isWriting)
        }
        if !isTaken { promise.succeed(.failure(.coordinatorNotAvailable)) }
        if mustWake { pool.submit { self.writeAll(isCancelled: $0 == .cancelled) } }
        return promise.futureResult
    }

    // MARK: On the thread

    private func writeAll(isCancelled: Bool) {
        while true {
            let (pending, table) = state.withLock { state in
                defer {
                    state.pending = []
                    state.pendingBytes = 0
                }
                if state.pending.isEmpty { state.isWriting = false }
                return (state.pending, state.table)
            }
            guard !pending.isEmpty else { return }
            guard !isCancelled, let table else {
                for one in pending { one.promise.succeed(.failure(.coordinatorNotAvailable)) }
                continue
            }
            write(pending, over: table)
        }
    }

    private func write(_ pending: [Pending], over shown: OffsetTable) {
        var table = shown
        var rows: [OffsetRow] = []
        let codes = pending.map { table.apply($0.change, rows: &rows) }
        let failure = rows.isEmpty ? nil : write(rows, over: shown)
        let refused = codes.reduce(0) { $0 + $1.reduce(0) { $0 + ($1 == .none ? 0 : 1) } }
        state.withLock { state in
            state.status.refusedOffsets += UInt64(refused)
            guard failure == nil else { return }
            state.table = table
            state.status.transactions += rows.isEmpty ? 0 : 1
        }
        for (one, codes) in zip(pending, codes) {
            one.promise.succeed(failure.map { .failure($0) } ?? .success(codes))
        }
    }

    private func write(_ rows: [OffsetRow], over shown: OffsetTable) -> ErrorCode? {
        do throws(SQLiteConnection.Failure) {
            try disk.withLock { disk throws(SQLiteConnection.Failure) in
                do throws(SQLiteConnection.Failure) {
                    try disk.file?.write(rows)
                } catch {
                    guard error.isDamage else { throw error }
                    // Memory still knows all that was durable.
                    alarm("the file of committed offsets is damaged (\(error.message)); a new one is written")
                    try disk.file?.startAnew(with: shown.allRows + rows)
                }
            }
            state.withLock { $0.status.diskProblem = nil }
            return nil
        } catch {
            fail("committed offsets cannot be written: \(error.message)")
            return .coordinatorNotAvailable
        }
    }

    private func openFile() {
        do throws(SQLiteConnection.Failure) {
            let table = try disk.withLock { disk throws(SQLiteConnection.Failure) -> OffsetTable in
                let opened = try GroupOffsetFile.open(path: path)
                let (rows, damage) = (opened.rows, opened.damage)
                disk.file = opened.file
                if let damage {
                    alarm("the file of committed offsets was damaged (\(damage)) and put aside; \(rows.count) are kept")
                }
                return try restore(rows, &disk)
            }
            state.withLock { state in
                state.table = table
                state.status.diskProblem = nil
            }
        } catch {
            fail("committed offsets cannot be read: \(error.message)")
        }
    }

    /// What the file holds, as far as it fits and agrees with the log.
    private func restore(_ rows: [OffsetRow], _ disk: inout Disk) throws(SQLiteConnection.Failure) -> OffsetTable {
        var table = OffsetTable(limits: limits)
        var ignored: [OffsetRow] = []
        var refused = 0
        for case .put(let group, let place, let offset) in rows {
            let change = OffsetChange.commit(group: group, offsets: [.init(place: place, offset: offset)])
            refused += table.apply(change, rows: &ignored) == [.none] ? 0 : 1
        }
        if refused > 0 { alarm("\(refused) committed offsets are more than the limits allow and are not used") }
        var clamped: [OffsetRow] = []
        let beyond = table.clamp(rows: &clamped, end: end)
        if beyond > 0 {
            alarm("\(beyond) committed offsets were beyond the end of the log and are set to it: records were lost")
            try disk.file?.write(clamped)
        }
        return table
    }

    /// Stays until the next start: somebody has to know.
    private func alarm(_ message: String) {
        logger.error("\(message)", metadata: ["file": "\(path)"])
        state.withLock { $0.status.damage = message }
    }

    /// Goes when the disk works again.
    private func fail(_ message: String) {
        let isNew = state.withLock { state in
            defer { state.status.diskProblem = message }
            return state.status.diskProblem != message
        }
        if isNew { logger.error("\(message)", metadata: ["file": "\(path)"]) }
    }
}

/// What is kept for the groups of the site.
public struct LocalGroupStatus: Sendable, Equatable {
    /// Groups that have committed offsets, and how many.
    public var groups = 0
    public var offsets = 0
    /// Groups that have been joined since the start, and members they have now.
    public var activeGroups = 0
    public var members = 0
    /// Transactions of the file, each with one fsync.
    public var transactions: UInt64 = 0
    /// Offsets that were refused: no offsets, or more than may be kept.
    public var refusedOffsets: UInt64 = 0
    /// What was found broken since the start.
    public var damage: String?
    /// Why the file cannot be read or written now.
    public var diskProblem: String?
}

extension GroupTopic {
    fileprivate init(_ topic: LocalTopic) {
        self.init(id: topic.id, name: topic.name, partitionCount: topic.partitionCount)
    }
}
