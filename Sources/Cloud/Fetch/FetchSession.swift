import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// One Fetch request, from its first look to its answer. Holds no thread and no scheduled task of its own while it waits.
///
/// Looks at its partitions; answers when there is enough, when something is wrong, or when time is up; else waits for a
/// commit in one of them (``PartitionWatchers``), or for pieces that must come from the store first. Ends without an answer
/// when the connection closes: a thousand clients that ask for everything and go must not have it all built for them.
///
/// `@unchecked Sendable`: confined to `loop`; callbacks from elsewhere only hop there.
final class FetchSession: @unchecked Sendable {
    private let engine: FetchEngine
    private let request: KafkaRequest
    private let isReadCommitted: Bool
    private let items: [FetchItem]
    private let minBytes: Int
    private let maxBytes: Int
    private let connection: KafkaConnection
    private let loop: any EventLoop
    private let deadline: NIODeadline
    private let storeDeadline: NIODeadline
    private let promise: EventLoopPromise<KafkaResponse?>

    private var held = HeldPieces()
    /// Partitions whose pieces could not be read.
    private var failed: Set<TopicPartition> = []
    private var heldBytes = 0
    private var watch: PartitionWatchers.Token?
    private var close: KafkaConnection.CloseToken?
    private let timers: LoopTimer
    private var timer: LoopTimer.Token?
    private var loadTimeout: LoopTimer.Token?
    private var isLoading = false
    private var isDone = false

    /// Pause before another look while other responses use all of the memory for responses.
    private static let crowdedPause = TimeAmount.milliseconds(20)
    /// Pieces made in one look, on the event loop that other connections need too; more are made on other threads.
    private static let makingBytesMax = 1 << 20

    init(
        engine: FetchEngine, request: KafkaRequest, fetch: FetchRequest, items: [FetchItem],
        connection: KafkaConnection
    ) {
        self.engine = engine
        self.request = request
        self.items = items
        self.connection = connection
        loop = connection.eventLoop
        timers = engine.timers.timer(of: loop)
        isReadCommitted = fetch.isolationLevel == 1
        minBytes = Int(max(0, fetch.minBytes))
        maxBytes = min(Int(max(0, fetch.maxBytes)), engine.configuration.responseBytesMax)
        let wait = min(TimeAmount.milliseconds(Int64(max(0, fetch.maxWaitMs))), engine.configuration.waitMax)
        deadline = loop.now + wait
        storeDeadline = loop.now + max(wait, engine.configuration.storeWaitMax)
        promise = loop.makePromise()
    }

    func start() -> EventLoopFuture<KafkaResponse?> {
        close = connection.whenClosed { [self] in connectionClosed() }
        look()
        return promise.futureResult
    }

    // MARK: Looking

    private func look() {
        guard !isDone else { return }
        // Registered before looking: what is committed in between wakes us.
        if watch == nil, loop.now < deadline {
            watch = engine.watchers.watch(items.filter { $0.topicError == nil }.map(\.place)) { [self] in
                loop.execute {
                    self.watch = nil
                    if !self.isLoading { self.look() }
                }
            }
        }
        let granted = engine.allowance.take(upTo: maxBytes)
        let findings = findAll(granted)
        let bytes = findings.reduce(0) { $0 + $1.recordsBytes }
        engine.allowance.giveBack(max(0, granted - bytes))
        let kept = min(granted, bytes)
        let needs = FetchNeed.inTurns(findings.map(\.needs))
        let hasError = findings.contains { $0.error != .none }
        let isOver = loop.now >= deadline
        if bytes > 0 && bytes >= minBytes || hasError || items.isEmpty || (isOver && (needs.isEmpty || bytes > 0)) {
            answer(findings, kept)
        } else if !needs.isEmpty, bytes == 0 || !isOver {
            engine.allowance.giveBack(kept)
            load(needs)
        } else {
            engine.allowance.giveBack(kept)
            held = HeldPieces()
            let isCrowded = granted == 0 && maxBytes > 0
            wait(until: isCrowded ? min(deadline, loop.now + Self.crowdedPause) : deadline)
        }
    }

    private func findAll(_ granted: Int) -> [FetchFinding] {
        var left = granted
        var found = false
        var makingBytes = Self.makingBytesMax
        return items.map { item in
            // A crowded broker gives nothing now; a first batch goes out whatever its size.
            var finding = engine.planner.look(
                item, bytesMax: max(0, left), atLeastOne: !found && (granted > 0 || maxBytes == 0),
                isReadCommitted: isReadCommitted, held: held, makingBytes: &makingBytes)
            let bytes = finding.recordsBytes
            left -= bytes
            found = found || bytes > 0
            guard failed.contains(item.place), !finding.needs.isEmpty else { return finding }
            if bytes == 0 { return FetchFinding(unreadable: finding) }
            // What is there goes out; the rest is for the next fetch to find out.
            finding.needs = []
            return finding
        }
    }

    // MARK: Waiting

    private func wait(until time: NIODeadline) {
        if let timer { timers.cancel(timer) }
        timer = timers.schedule(time) { [self] in
            timer = nil
            if !isLoading { look() }
        }
    }

    private func load(_ needs: [FetchNeed]) {
        isLoading = true
        let affordable = reserveHeld(needs)
        let timeout = timers.schedule(storeDeadline) { [self] in
            loadTimeout = nil
            // Still on its way: it will be there for the next fetch.
            failed.formUnion(items.map(\.place))
            finishLoading()
        }
        loadTimeout = timeout
        engine.bringIn(affordable) { [self] results in
            loop.execute {
                self.timers.cancel(timeout)
                self.loaded(results)
            }
        }
    }

    private func loaded(_ results: [(FetchNeed, Result<Piece, ReadError>)]) {
        guard !isDone else { return giveBackHeld() }
        for (need, result) in results {
            switch result {
            case .success(let piece): held.add(piece, of: need.extent)
            case .failure: failed.formUnion(places(of: need))
            }
        }
        finishLoading()
    }

    private func finishLoading() {
        isLoading = false
        giveBackHeld()
        look()
    }

    private func giveBackHeld() {
        engine.allowance.giveBack(heldBytes)
        heldBytes = 0
    }

    /// Pieces on their way for this fetch count like a response. Returns those that there is room for; one at least, or a
    /// crowded broker would never get on. The response has no room for more than `maxBytes`.
    private func reserveHeld(_ needs: [FetchNeed]) -> [FetchNeed] {
        let limited = needs.prefix(FetchPlanner.needsMaxInAll)
        let sizes = limited.map { min(Int($0.extent.lengthBytes), ExtentReader.pieceBytes) }
        heldBytes = engine.allowance.take(upTo: min(maxBytes, sizes.reduce(0, +)))
        var left = heldBytes
        let count = sizes.prefix { size in
            left -= size
            return left >= 0
        }.count
        return Array(limited.prefix(max(1, count)))
    }

    private func places(of need: FetchNeed) -> [TopicPartition] {
        items.filter { item in
            engine.view.extents(item.topicID, item.index, from: need.offset, maxBytes: 1, maxCount: 1).first
                == need.extent
        }.map(\.place)
    }

    // MARK: Ends

    /// Nobody would take an answer.
    private func connectionClosed() {
        guard !isDone else { return }
        end()
        promise.succeed(nil)
    }

    private func end() {
        isDone = true
        if let timer { timers.cancel(timer) }
        if let loadTimeout { timers.cancel(loadTimeout) }
        if let watch { engine.watchers.cancel(watch) }
        if let close { connection.forget(close) }
        held = HeldPieces()
        // Pieces still on their way stay counted until they are here.
        if !isLoading { giveBackHeld() }
    }

    private func answer(_ findings: [FetchFinding], _ keptBytes: Int) {
        end()
        var response = FetchResponse()
        var topic = FetchResponse.Topic()
        var steps: [FetchStep] = []
        for (item, finding) in zip(items, findings) {
            if topic.name != item.topicName || topic.topicID != item.topicID || topic.partitions.isEmpty {
                if !topic.partitions.isEmpty { response.topics.append(topic) }
                topic = FetchResponse.Topic()
                topic.name = item.topicName
                topic.topicID = item.topicID
            }
            topic.partitions.append(partition(item, finding))
            // A partition whose batches were not in memory must not starve beside others whose are.
            let isMissing = !finding.needs.isEmpty
            guard isMissing || finding.nextOffset > item.offset else { continue }
            steps.append(
                FetchStep(
                    place: item.place, offset: item.offset, next: finding.nextOffset, isMissing: isMissing))
        }
        engine.wentOn(steps)
        if !topic.partitions.isEmpty { response.topics.append(topic) }
        let allowance = engine.allowance
        promise.completeWith(
            request.answer(response, on: loop, whenDone: { allowance.giveBack(keptBytes) }))
    }

    private func partition(_ item: FetchItem, _ finding: FetchFinding) -> FetchResponse.Partition {
        var partition = FetchResponse.Partition()
        partition.index = item.index
        partition.errorCode = finding.error
        partition.highWatermark = finding.highWatermark
        partition.lastStableOffset = finding.lastStable
        partition.logStartOffset = finding.logStart
        partition.abortedTransactions = finding.aborted?.map {
            FetchResponse.AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset)
        }
        guard finding.error == .none, !finding.records.isEmpty else { return partition }
        // Rule F8: a reader that old cannot open zstd.
        if request.header.apiVersion < 10, finding.records.contains(where: Self.holdsZstd) {
            partition.errorCode = .unsupportedCompressionType
            partition.abortedTransactions = nil
            return partition
        }
        partition.setRecords(finding.records)
        return partition
    }
}

extension FetchSession {
    /// Whether one of the batches back to back in `records` is compressed with zstd.
    private static func holdsZstd(_ records: ByteBuffer) -> Bool {
        var index = records.readerIndex
        while let header = try? RecordBatchHeader(reading: records, at: index) {
            if header.compression == .zstd { return true }
            index += header.totalSizeBytes
        }
        return false
    }
}

extension FetchFinding {
    /// There is data, and the store does not give it: an error that makes the client come again.
    init(unreadable finding: FetchFinding) {
        self = finding
        error = .kafkaStorageError
        needs = []
        records = []
        recordsBytes = 0
    }
}
