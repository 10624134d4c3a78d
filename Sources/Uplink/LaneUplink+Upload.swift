import Logging
import NIOCore
import ObjectStore
import SharedObject
import Synchronization
import WriteAheadLog

/// Something under a planned key that is not a whole object, as it was seen once.
struct UnreadableObject: Sendable, Equatable {
    var key: String
    var error: ObjectFormatError
    var sizeBytes: Int
}

/// What is known of the object under way without its bytes.
struct PlannedObject: Sendable {
    var footer: ObjectFooter
    var logBytes: Int
    var lostLSNs: UInt64
    var repaired: RepairCounts
}

extension LaneUplink {
    /// Tells the machine the time and what is durable, and obeys one action.
    public func step() async -> Pause {
        if !action.isStep { look() }
        let current = action
        guard current.isStep else {
            publish()
            return pause(current)
        }
        if current.needsPermit, permit == nil {
            if let pause = parts.pacer?.hold(lane: builder.lane) {
                publish(isHeld: true)
                return .until(parts.clock.now.advanced(by: pause), data: false)
            }
            let rank = Pacing.rank(priority: priority, isBacklog: upload.isKnownBacklog)
            permit = await parts.permits.acquire(priority: rank)
            guard permit != nil else { return .none }  // cancelled
        }
        publish()
        action = await obey(current)
        if action == .awaitData { look() }  // more may have become durable meanwhile
        if !action.needsPermit, !action.isRecordPlan {
            gathered = nil
            releasePermit()
        }
        publish()
        return pause(action)
    }

    /// Tells the machine the time and what is durable.
    private func look() {
        let (durableLSN, bytes) = (parts.source.durableLSN, durableBytes())
        upload.believe(linkBytesPerSecond: parts.pacer?.linkBytesPerSecond)
        action = upload.durable(throughLSN: durableLSN, bytes: bytes, now: now) ?? upload.timer(now: now) ?? action
        shared.withLock { $0.durableLSN = durableLSN }
    }

    func releasePermit() {
        if let permit { parts.permits.release(permit) }
        permit = nil
    }

    private func pause(_ action: LaneUpload.Action) -> Pause {
        switch action {
        case .awaitData: .until(nil, data: true)
        case .awaitMore(let until, _): .until(start.advanced(by: until), data: true)
        case .rest(let until): .until(start.advanced(by: until), data: false)
        case .gather, .recordPlan, .put, .replace, .compare, .recordUploaded: .none
        }
    }

    private func obey(_ action: LaneUpload.Action) async -> LaneUpload.Action {
        switch action {
        case .gather(let first, let logBytesMax): gather(from: first, logBytesMax: logBytesMax)
        case .recordPlan(let plan): await recordPlan(plan)
        case .put(let plan, _): await put(plan, ifAbsent: true)
        case .replace(let plan): await put(plan, ifAbsent: false)
        case .compare(let plan): await compare(plan)
        case .recordUploaded(let plan): await recordUploaded(plan)
        case .awaitData, .awaitMore, .rest: action
        }
    }

    private func gather(from first: UInt64, logBytesMax: Int) -> LaneUpload.Action {
        do {
            var range = try parts.source.gather(from: first, bytesMax: logBytesMax)
            let clock = parts.believedClock.flatMap { range.settleClock($0) }
            // A gap is as good as data: the cloud has to learn of it.
            let hasGaps =
                range.lastLSN >= first
                && !(range.lost.isEmpty && parts.source.gapRecords(from: first, through: range.lastLSN).isEmpty)
            let isNothing = range.batches.isEmpty && !hasGaps
            gathered = isNothing ? nil : range
            let lastLSN = isNothing ? nil : range.lastLSN
            return upload.gathered(lastLSN: lastLSN, isFull: range.isFull, clock: clock, now: now)
        } catch {
            return failed(UploadFailure(log: error, operation: "read log"))
        }
    }

    private func recordPlan(_ plan: UploadPlan) async -> LaneUpload.Action {
        do {
            try await parts.source.recordPlan(plan)
            return upload.planRecorded()
        } catch .planOutdated {
            gathered = nil
            return upload.planOutdated(now: now)
        } catch {
            return failed(UploadFailure(log: error, operation: "record plan"))
        }
    }

    private func put(_ plan: UploadPlan, ifAbsent: Bool) async -> LaneUpload.Action {
        let body: ByteBuffer
        do {
            body = try build(plan)
        } catch let error as WALError {
            return failed(UploadFailure(log: error, operation: "read log"))
        } catch {
            return failed(UploadFailure(.permanent, message: "build object \(plan.sequence): \(error)"))
        }
        let began = now
        let session = parts.pacer?.begin(lane: builder.lane, priority: priority, isBacklog: upload.isKnownBacklog)
        do {
            let result = try await send(builder.key(sequence: plan.sequence), body, ifAbsent: ifAbsent, session)
            session?.end(isWhole: result != .alreadyExists)
            if case .alreadyExists = result { return upload.putExisted() }
            stored(plan)
            return upload.putSucceeded(
                objectBytes: body.readableBytes, logBytes: planned?.logBytes ?? 0, took: now - began)
        } catch {
            session?.end(isWhole: false)
            if session?.wasStopped == true { return upload.stopped(now: now) }
            if let pause = error.retryAfter { parts.pacer?.throttled(for: pause) }
            return failed(UploadFailure(store: error))
        }
    }

    private func send(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, _ session: PacedUpload<C>?
    ) async throws(ObjectStoreError) -> PutResult {
        guard let session else { return try await parts.store.put(key, body, ifAbsent: ifAbsent) }
        return try await parts.store.put(key, body, ifAbsent: ifAbsent, pace: session)
    }

    /// The object of `plan`: from the batches just gathered, or from the log once more.
    private func build(_ plan: UploadPlan) throws -> ByteBuffer {
        var range = try gathered ?? parts.source.gather(plan: plan)
        gathered = nil
        let (logBytes, lostLSNs) = (range.logBytes, range.lostLSNs)
        let gaps = gaps(of: plan, lost: range.lost)
        var batches = range.batches
        range.batches = []
        // What was read before the plan may have been dropped before it.
        batches.removeAll { batch in gaps.contains { $0.firstLSN <= batch.lsn && $0.lastLSN >= batch.lsn } }
        var repair = TimeRepair(plan.clock)
        let (body, footer) = try builder.build(plan, batches: batches, gaps: gaps, &repair)
        planned = PlannedObject(footer: footer, logBytes: logBytes, lostLSNs: lostLSNs, repaired: repair.counts)
        return body
    }

    /// What the object of `plan` must tell as missing, by rising LSN: recorded gaps, and what cannot be read besides.
    private func gaps(of plan: UploadPlan, lost: [LSNGap]) -> [GapRecord] {
        let recorded = parts.source.gapRecords(from: plan.firstLSN, through: plan.lastLSN)
        let news = lost.filter { gap in
            !recorded.contains { $0.firstLSN <= gap.lastLSN && $0.lastLSN >= gap.firstLSN }
        }
        guard !news.isEmpty else { return recorded }
        return (recorded + parts.source.describe(lost: news)).sorted { $0.firstLSN < $1.firstLSN }
    }

    private func compare(_ plan: UploadPlan) async -> LaneUpload.Action {
        let key = builder.key(sequence: plan.sequence)
        guard let planned else { preconditionFailure("comparing plan \(plan.sequence) without an object built") }
        let comparison: LaneUpload.Comparison
        do {
            switch try await StoredFooter.read(key, from: parts.store) {
            case .found(let footer):
                comparison = footer.difference(from: planned.footer).map { .foreign($0) } ?? .same
            case .absent: comparison = .absent
            case .unreadable(let error, let sizeBytes):
                // The bytes may have changed on the way here: what is there says the same a few times before help is called for.
                let sight = UnreadableObject(key: key, error: error, sizeBytes: sizeBytes)
                sights = sights.last == sight ? sights + [sight] : [sight]
                if sights.count <= Self.unreadableMax {
                    return failed(UploadFailure(.transient(retryAfter: nil), message: "compare \(key): \(error)"))
                }
                comparison =
                    try await isTorn(plan, sizeBytes: sizeBytes) ? .torn("\(sizeBytes) bytes") : .foreign("\(error)")
            }
        } catch let error as ObjectStoreError {
            return failed(UploadFailure(store: error))
        } catch {
            return failed(
                UploadFailure(.transient(retryAfter: nil), message: "build object \(plan.sequence): \(error)"))
        }
        sights = []
        switch comparison {
        case .same: stored(plan)
        case .absent: note("compare \(key): gone again", isAlarm: false)
        case .torn(let what):
            note(
                "compare \(key): the store kept the first \(what) of an upload that broke off; it is replaced",
                isAlarm: false)
        case .foreign(let why):
            let message = "compare \(key): another object is there, \(why); it is left as it is"
            note(message, isAlarm: true)
            parts.onConflict?(.foreign(lane: builder.lane, plan: plan.sequence, message))
        }
        return upload.compared(comparison, now: now, using: &random)
    }

    /// What is there is the beginning of our object and not all of it.
    private func isTorn(_ plan: UploadPlan, sizeBytes: Int) async throws -> Bool {
        let body = try build(plan)
        guard sizeBytes < body.readableBytes else { return false }
        guard sizeBytes > 0 else { return true }
        let there = try await parts.store.get(builder.key(sequence: plan.sequence), range: 0..<sizeBytes)
        return there == body.getSlice(at: body.readerIndex, length: sizeBytes)
    }

    private static var unreadableMax: Int { 3 }

    private func recordUploaded(_ plan: UploadPlan) async -> LaneUpload.Action {
        do {
            try await parts.source.recordUploaded(sequence: plan.sequence, lastLSN: plan.lastLSN)
        } catch {
            return failed(UploadFailure(log: error, operation: "record upload"))
        }
        count(plan)
        return upload.uploadRecorded(now: now)
    }

    /// The store keeps the object: say so, while the log is told.
    private func stored(_ plan: UploadPlan) {
        guard parts.announcer != nil, let announcement = builder.announcement(of: plan) else { return }
        if let next = announcing.uploaded(announcement) { announceAction = next }
        announceSignal.ring()
    }
}

// MARK: - What others see

extension LaneUplink {
    private func failed(_ failure: UploadFailure) -> LaneUpload.Action {
        let next = upload.failed(failure, now: now, using: &random)
        note(failure.message, isAlarm: failure.kind == .permanent)
        return next
    }

    /// Logs a failure the first time, then ever more rarely: its 2nd, 4th, 8th, … time.
    private func note(_ message: String, isAlarm: Bool) {
        guard !Task.isCancelled else { return }
        let count = upload.failures
        if count & (count - 1) == 0 || (isAlarm && status.alarm == nil) {
            let metadata: Logger.Metadata = ["lane": "\(builder.lane)", "failures": "\(count)"]
            parts.logger.log(level: isAlarm ? .error : .warning, "\(message)", metadata: metadata)
        }
        shared.withLock { status in
            status.failedAttempts += 1
            status.lastError = message
            if isAlarm { status.alarm = message }
        }
    }

    private func count(_ plan: UploadPlan) {
        let object = planned
        planned = nil
        shared.withLock { status in
            status.uploadedThrough = plan.lastLSN
            status.uploadedObjects += 1
            status.uploadedObjectBytes += UInt64(object?.footer.objectSizeBytes ?? 0)
            status.uploadedLogBytes += UInt64(object?.logBytes ?? 0)
            status.uploadedRecords += UInt64(object?.footer.recordCount ?? 0)
            status.lostLSNs &+= object?.lostLSNs ?? 0
            status.redatedRecords += object?.repaired.moved ?? 0
            status.undatedRecords += object?.repaired.marked ?? 0
            status.lastSuccess = now
            status.lastError = nil
            status.alarm = nil
        }
    }

    private func publish(isHeld: Bool = false) {
        let (action, upload) = (action, upload)
        shared.withLock { status in
            status.phase = isHeld ? .held : action.phase(isAlarmed: status.alarm != nil)
            status.nextTry = action.nextTry
            status.currentPlan = upload.currentPlan
            status.nextSequence = upload.nextSequence
            status.attempt = upload.failures + 1
            status.linkBytesPerSecond = upload.sizing.bytesPerSecond
            status.compressionRatio = upload.sizing.compressionRatio
            status.isBacklog = upload.isBacklog
        }
    }
}

extension LaneUpload.Action {
    /// Something to do, as opposed to waiting.
    var isStep: Bool {
        switch self {
        case .gather, .recordPlan, .put, .replace, .compare, .recordUploaded: true
        case .awaitData, .awaitMore, .rest: false
        }
    }

    /// It takes the lane's data into memory.
    var needsPermit: Bool {
        switch self {
        case .gather, .put, .replace: true
        case .awaitData, .awaitMore, .recordPlan, .compare, .recordUploaded, .rest: false
        }
    }

    var nextTry: Duration? {
        switch self {
        case .rest(let until), .awaitMore(let until, _): until
        default: nil
        }
    }

    var isRecordPlan: Bool { if case .recordPlan = self { true } else { false } }

    func phase(isAlarmed: Bool) -> LaneUplinkStatus.Phase {
        switch self {
        case .awaitData, .awaitMore: .waiting
        case .gather: .reading
        case .recordPlan: .planning
        case .put, .replace: .putting
        case .compare: .comparing
        case .recordUploaded: .recording
        case .rest: isAlarmed ? .parked : .resting
        }
    }
}

extension UploadFailure {
    init(store error: ObjectStoreError) {
        let kind: Kind =
            switch error.kind {
            case .timeout: .timeout
            case .throttled(let retryAfter): .transient(retryAfter: retryAfter)
            case .conflict, .unavailable, .corrupt, .cancelled: .transient(retryAfter: nil)
            case .notFound, .rangeOutsideObject, .denied, .full, .invalid: .permanent
            }
        self.init(kind, message: "\(error)")
    }

    init(log error: WALError, operation: String) {
        let kind: Kind =
            switch error {
            case .closed, .planRefused, .configuration, .locked: .permanent
            default: .transient(retryAfter: nil)
            }
        self.init(kind, message: "\(operation): \(error)")
    }
}
