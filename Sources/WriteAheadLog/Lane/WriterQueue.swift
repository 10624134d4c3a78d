/// What waits for the writer of a lane, in the order of arrival; bounded in bytes.
final class WriterQueue: Sendable {
    enum Request: Sendable {
        case append([LogEntry], bytes: Int, @Sendable ([AppendOutcome]) -> Void)
        case plan(UploadPlan, @Sendable (Result<Void, WALError>) -> Void)
        case uploaded(sequence: UInt64, lastLSN: UInt64, @Sendable (Result<Void, WALError>) -> Void)
        /// Time has passed.
        case expire(nowNs: UInt64, wallMs: Int64?)
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

    fileprivate struct State {
        var requests: [Request] = []
        /// Appends queued, staged and in the group being written.
        var pendingBytes = 0
        var queuedBytes = 0
        /// In the group that the writer is filling, while it waits to write it.
        var stagedBytes = 0
        var controlCount = 0
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
            let wasEmpty = state.requests.isEmpty && state.stagedBytes == 0
            let wasShort = state.queuedBytes + state.stagedBytes < group
            state.requests.append(.append(entries, bytes: bytes, completion))
            state.pendingBytes += bytes
            state.queuedBytes += bytes
            // Between the first request and a full group the writer sleeps until its window ends by itself.
            return (nil, state.isWaiting && (wasEmpty || (wasShort && state.queuedBytes + state.stagedBytes >= group)))
        }
    }

    /// False when closed.
    func post(_ request: Request) -> Bool {
        monitor.change { state in
            if state.isClosing { return (false, false) }
            state.requests.append(request)
            state.controlCount += 1
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

    /// Waits for work, or until the `stagedBytes` that the writer has taken already may be written. After `lastNs`, the
    /// start of the last group, a new group starts at once when the window has passed, when a whole group waits, or when
    /// somebody waits for a control frame.
    func take(lastNs: UInt64, stagedBytes: Int) -> Work {
        let group = groupBytesMax
        let earliest = lastNs + windowNs
        return monitor.wait { state in
            if state.requests.isEmpty, stagedBytes == 0, !state.isClosing {
                (state.isWaiting, state.stagedBytes) = (true, 0)
                return .wait(untilNs: nil)
            }
            if state.mayPause(stagedBytes: stagedBytes, groupBytes: group), monotonicNow() < earliest {
                (state.isWaiting, state.stagedBytes) = (true, stagedBytes)
                return .wait(untilNs: earliest)
            }
            state.isWaiting = false
            return .done(Self.takeGroup(&state, stagedBytes: stagedBytes, limitBytes: group))
        }
    }

    /// Appends at the head of the queue that fit into a group with that much room, without waiting: one, or as many as
    /// make up a piece.
    func takeFitting(roomBytes: Int, pieceBytes: Int) -> [Request] {
        monitor.withLock { state in
            var bytes = 0
            var end = 0
            scan: while end < state.requests.count {
                switch state.requests[end] {
                case .append(_, let size, _):
                    if bytes + size > roomBytes || (bytes > 0 && bytes + size > pieceBytes) { break scan }
                    bytes += size
                case .spare: break
                case .plan, .uploaded, .expire: break scan
                }
                end += 1
            }
            return state.remove(end)
        }
    }

    /// Whether a group of `stagedBytes` should be written now: nothing that waits belongs into its `roomBytes`, and a
    /// group may start as in `take`.
    func isDue(lastNs: UInt64, stagedBytes: Int, roomBytes: Int) -> Bool {
        monitor.withLock { state in
            if case .append(_, let size, _)? = state.requests.first, size <= roomBytes { return false }
            return !state.mayPause(stagedBytes: stagedBytes, groupBytes: groupBytesMax)
                || monotonicNow() >= lastNs + windowNs
        }
    }

    private static func takeGroup(_ state: inout State, stagedBytes: Int, limitBytes: Int) -> Work {
        var bytes = stagedBytes
        var end = 0
        while end < state.requests.count {
            if case .append(_, let size, _) = state.requests[end] {
                if bytes > 0, bytes + size > limitBytes { break }
                bytes += size
            }
            end += 1
        }
        let taken = state.remove(end)
        return Work(requests: taken, isClosing: state.isClosing && state.requests.isEmpty)
    }
}

extension WriterQueue.State {
    /// Whether the writer may wait for more before it begins a group.
    fileprivate func mayPause(stagedBytes: Int, groupBytes: Int) -> Bool {
        !isClosing && controlCount == 0 && queuedBytes + stagedBytes < groupBytes
    }

    /// Takes the first `count` requests out.
    fileprivate mutating func remove(_ count: Int) -> [WriterQueue.Request] {
        var taken: [WriterQueue.Request] = []
        if count == requests.count {
            swap(&taken, &requests)
        } else {
            taken = Array(requests[..<count])
            requests.removeFirst(count)
        }
        for request in taken {
            if case .append(_, let bytes, _) = request { queuedBytes -= bytes } else { controlCount -= 1 }
        }
        return taken
    }
}
