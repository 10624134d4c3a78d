/// What waits for the writer of a lane, in the order of arrival; bounded in bytes.
final class WriterQueue: Sendable {
    enum Request: Sendable {
        case append([LogEntry], bytes: Int, @Sendable ([AppendOutcome]) -> Void)
        case plan(UploadPlan, @Sendable (Result<Void, WALError>) -> Void)
        case uploaded(sequence: UInt64, lastLSN: UInt64, @Sendable (Result<Void, WALError>) -> Void)
        /// A zeroed segment file has been made.
        case spare(String)
    }
    enum Refusal: Equatable {
        case overloaded(pendingBytes: Int)
        case closed
    }
    /// What the writer gets at once: at most one group of appends, and what came between them.
    struct Work: Sendable {
        var requests: [Request]
        var isClosing: Bool
    }

    private struct State {
        var requests: [Request] = []
        /// Appends queued and in the group being written.
        var pendingBytes = 0
        var queuedBytes = 0
        var hasControl = false
        var isClosing = false
        var isWaiting = false
        var acceptedRecords: UInt64 = 0
        var acceptedBytes: UInt64 = 0
    }

    private let monitor = Monitor(State())
    private let limitBytes: Int
    private let groupBytesMax: Int
    private let windowNs: UInt64

    init(limitBytes: Int, groupBytesMax: Int, window: Duration) {
        self.limitBytes = limitBytes
        self.groupBytesMax = groupBytesMax
        windowNs = window.wholeNanoseconds
    }

    var pendingBytes: Int { monitor.withLock { $0.pendingBytes } }
    var accepted: (records: UInt64, bytes: UInt64) { monitor.withLock { ($0.acceptedRecords, $0.acceptedBytes) } }

    /// Nil when queued. An append to an empty queue is taken whatever its size, so that none waits for ever.
    func append(
        _ entries: [LogEntry], bytes: Int, records: UInt64, _ completion: @escaping @Sendable ([AppendOutcome]) -> Void
    ) -> Refusal? {
        let limit = limitBytes
        let group = groupBytesMax
        return monitor.change { state -> (Refusal?, wake: Bool) in
            state.acceptedRecords += records
            state.acceptedBytes += UInt64(bytes)
            if state.isClosing { return (.closed, false) }
            if state.pendingBytes > 0, state.pendingBytes + bytes > limit {
                return (.overloaded(pendingBytes: state.pendingBytes), false)
            }
            let wasEmpty = state.requests.isEmpty
            let wasShort = state.queuedBytes < group
            state.requests.append(.append(entries, bytes: bytes, completion))
            state.pendingBytes += bytes
            state.queuedBytes += bytes
            // Between the first request and a full group the writer sleeps until its window ends by itself.
            return (nil, state.isWaiting && (wasEmpty || (wasShort && state.queuedBytes >= group)))
        }
    }

    /// False when closed.
    func post(_ request: Request) -> Bool {
        monitor.change { state in
            if state.isClosing { return (false, false) }
            state.requests.append(request)
            state.hasControl = true
            return (true, state.isWaiting)
        }
    }

    func close() {
        monitor.change { state in
            state.isClosing = true
            return ((), true)
        }
    }

    /// Called by the writer when a group is through.
    func finished(bytes: Int) {
        monitor.withLock { $0.pendingBytes -= bytes }
    }

    /// Waits for work. After `lastNs`, the start of the last group, a new group starts at once when the window has
    /// passed, when a whole group waits, or when somebody waits for a control frame.
    func take(lastNs: UInt64) -> Work {
        let group = groupBytesMax
        let earliest = lastNs + windowNs
        return monitor.wait { state in
            let mayPause = !state.isClosing && !state.hasControl && state.queuedBytes < group
            if state.requests.isEmpty, !state.isClosing {
                state.isWaiting = true
                return .wait(untilNs: nil)
            }
            if mayPause, !state.requests.isEmpty, monotonicNow() < earliest {
                state.isWaiting = true
                return .wait(untilNs: earliest)
            }
            state.isWaiting = false
            return .done(Self.takeGroup(&state, limitBytes: group))
        }
    }

    private static func takeGroup(_ state: inout State, limitBytes: Int) -> Work {
        var bytes = 0
        var end = 0
        while end < state.requests.count {
            if case .append(_, let size, _) = state.requests[end] {
                if bytes > 0, bytes + size > limitBytes { break }
                bytes += size
            }
            end += 1
        }
        var taken: [Request]
        if end == state.requests.count {
            taken = []
            swap(&taken, &state.requests)
            taken.reserveCapacity(0)
        } else {
            taken = Array(state.requests[..<end])
            state.requests.removeFirst(end)
        }
        state.queuedBytes -= bytes
        state.hasControl = false
        return Work(requests: taken, isClosing: state.isClosing && state.requests.isEmpty)
    }
}
