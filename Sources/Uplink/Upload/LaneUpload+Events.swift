import ObjectStore
public import WriteAheadLog

/// Why a step failed, as far as the machine cares.
public struct UploadFailure: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// May pass by itself: rest with full jitter, longer each time.
        case transient(retryAfter: Duration?)
        /// The link did not carry the object in time: as `transient`, and the next objects are smaller.
        case timeout
        /// Somebody must act: rest at least the cap each time.
        case permanent
    }
    public var kind: Kind
    /// Operation and reason, for people.
    public var message: String

    public init(_ kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }
}

extension LaneUpload {
    /// `bytes` is the count of durable bytes since the process started, or 0 if nobody counts. Nil: a step or a rest is
    /// under way and goes on.
    public mutating func durable(throughLSN: UInt64, bytes: UInt64, now: Duration) -> Action? {
        durableLSN = max(durableLSN, throughLSN)
        durableBytes = max(durableBytes, bytes)
        switch state {
        case .idle, .gathering: return next(now: now)
        case .busy, .resting: return nil
        }
    }

    /// Time passed. Harmless at any moment.
    public mutating func timer(now: Duration) -> Action? {
        switch state {
        case .idle, .gathering: return next(now: now)
        case .busy: return nil
        case .resting(let step, let until): return now < until ? .rest(until: until) : begin(step)
        }
    }

    /// From now on what is durable goes out without waiting for company: the process is about to stop.
    public mutating func flush(now: Duration) -> Action? {
        isFlushing = true
        return timer(now: now)
    }

    /// The batches read end at `lastLSN`; nil if there were none through what is durable. `isFull`: there are more.
    /// `clock`: what the plan has to remember of a clock that gave times while nobody believed it.
    public mutating func gathered(
        lastLSN: UInt64?, isFull: Bool, clock: PlanClock? = nil, now: Duration
    ) -> Action {
        guard case .busy(.reading) = state else { preconditionFailure("gathered() in \(state)") }
        failures = 0
        guard let lastLSN else {
            isBacklog = false
            return next(now: now)
        }
        precondition(lastLSN >= nextPlanLSN, "gathered LSN \(lastLSN), asked from \(nextPlanLSN)")
        isBacklog = isFull
        lastGatheredAt = now
        let plan = UploadPlan(
            sequence: nextSequence, firstLSN: nextPlanLSN, lastLSN: lastLSN, clock: clock, author: author)
        return begin(.planning(plan))
    }

    public mutating func planRecorded() -> Action {
        guard case .busy(.planning(let plan)) = state else { preconditionFailure("planRecorded() in \(state)") }
        failures = 0
        if openPlans.first != plan {
            nextSequence = plan.sequence + 1
            nextPlanLSN = plan.lastLSN + 1
            openPlans = [plan]
        }
        return begin(.putting(plan))
    }

    /// Data was dropped between gathering and planning, so that the plan would end inside a gap: gather again.
    public mutating func planOutdated(now: Duration) -> Action {
        guard case .busy(.planning) = state else { preconditionFailure("planOutdated() in \(state)") }
        failures = 0
        isBacklog = true
        return next(now: now)
    }

    /// The store keeps the object.
    public mutating func putSucceeded(objectBytes: Int, logBytes: Int, took: Duration) -> Action {
        let plan: UploadPlan
        switch state {
        case .busy(.putting(let put)), .busy(.replacing(let put)): plan = put
        default: preconditionFailure("putSucceeded() in \(state)")
        }
        failures = 0
        sizing.sent(objectBytes: objectBytes, logBytes: logBytes, took: took)
        return begin(.recording(plan))
    }

    /// There is an object under our key already: from an attempt whose answer was lost, or not ours.
    public mutating func putExisted() -> Action {
        guard case .busy(.putting(let plan)) = state else { preconditionFailure("putExisted() in \(state)") }
        return begin(.comparing(plan))
    }

    public mutating func compared(
        _ comparison: Comparison, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        guard case .busy(.comparing(let plan)) = state else { preconditionFailure("compared() in \(state)") }
        switch comparison {
        case .same:
            failures = 0
            return begin(.recording(plan))
        case .torn: return begin(.replacing(plan))
        case .foreign: return rest(.putting(plan), .permanent, now: now, using: &random)
        case .absent: return rest(.putting(plan), .transient(retryAfter: nil), now: now, using: &random)
        }
    }

    /// The log has freed what it can of the plan's range.
    public mutating func uploadRecorded(now: Duration) -> Action {
        guard case .busy(.recording(let plan)) = state else { preconditionFailure("uploadRecorded() in \(state)") }
        failures = 0
        openPlans = openPlans.drop { $0.sequence <= plan.sequence }
        return next(now: now)
    }

    /// The step under way failed.
    public mutating func failed(
        _ failure: UploadFailure, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        guard case .busy(let step) = state else { preconditionFailure("failed() in \(state)") }
        if failure.kind == .timeout, case .putting = step { sizing.timedOut() }
        switch step {
        // These begin again with the create-only PUT: by then the object may be gone, or whole.
        case .comparing(let plan), .replacing(let plan):
            return rest(.putting(plan), failure.kind, now: now, using: &random)
        case .reading, .planning, .putting, .recording: return rest(step, failure.kind, now: now, using: &random)
        }
    }

    /// The PUT under way was told to stop: no failure. The same object is put again as soon as that may be.
    public mutating func stopped(now: Duration) -> Action {
        switch state {
        case .busy(.putting(let plan)), .busy(.replacing(let plan)):
            state = .resting(.putting(plan), until: now)
            return .rest(until: now)
        default: preconditionFailure("stopped() in \(state)")
        }
    }

    private mutating func rest(
        _ step: Step, _ kind: UploadFailure.Kind, now: Duration, using random: inout some RandomNumberGenerator
    ) -> Action {
        failures += 1
        let pause =
            switch kind {
            case .transient(let retryAfter):
                settings.retry.boundedDelay(afterAttempt: failures, retryAfter: retryAfter, using: &random)
            case .timeout: settings.retry.boundedDelay(afterAttempt: failures, retryAfter: nil, using: &random)
            case .permanent:
                settings.retry.boundedDelay(afterAttempt: .max, retryAfter: settings.retry.cap, using: &random)
            }
        state = .resting(step, until: now + pause)
        return .rest(until: now + pause)
    }

    private mutating func begin(_ step: Step) -> Action {
        state = .busy(step)
        switch step {
        case .reading:
            seenLSN = durableLSN
            seenBytes = durableBytes
            return .gather(from: nextPlanLSN, logBytesMax: sizing.logBytesMax(isBacklog: isBacklog))
        case .planning(let plan): return .recordPlan(plan)
        case .putting(let plan): return .put(plan, attempt: failures + 1)
        case .replacing(let plan): return .replace(plan)
        case .comparing(let plan): return .compare(plan)
        case .recording(let plan): return .recordUploaded(plan)
        }
    }

    /// Between two objects.
    private mutating func next(now: Duration) -> Action {
        // Found after a restart: the log may have seen it without it being durable, so it is recorded once more.
        if let plan = openPlans.first { return begin(.planning(plan)) }
        guard isBacklog || durableLSN > max(seenLSN, nextPlanLSN - 1) else {
            state = .idle
            return .awaitData
        }
        let bytesMax = sizing.logBytesMax(isBacklog: false)
        let until = flushTime(now: now)
        guard isBacklog || isFlushing || now >= until || durableBytes &- seenBytes >= UInt64(bytesMax) else {
            state = .gathering(until: until)
            return .awaitMore(until: until, bytes: bytesMax - Int(durableBytes &- seenBytes))
        }
        return begin(.reading)
    }

    /// Objects are at least the flush interval apart, and nothing waits longer than it; after a pause the first data
    /// waits a tenth of it for the rest of its burst.
    private func flushTime(now: Duration) -> Duration {
        if case .gathering(let until) = state { return until }
        let linger = now + settings.flushInterval / 10
        guard let lastGatheredAt else { return linger }
        return max(linger, lastGatheredAt + settings.flushInterval)
    }
}
