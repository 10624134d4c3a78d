import Synchronization

/// Wakes one waiting task. A ring with nobody waiting is kept for the next wait; any number of rings count as one.
final class LaneSignal: Sendable {
    private enum State: Sendable {
        case quiet, rung
        case waiting(CheckedContinuation<Void, Never>)
    }

    private let state = Mutex(State.quiet)

    /// From any thread; does not block.
    func ring() {
        let waiting = state.withLock { state in
            let waiting: CheckedContinuation<Void, Never>? =
                if case .waiting(let continuation) = state { continuation } else { nil }
            state = waiting == nil ? .rung : .quiet
            return waiting
        }
        waiting?.resume()
    }

    /// Returns after a ring, or when the task is cancelled. One task at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRung = state.withLock { state in
                    guard case .quiet = state else {
                        state = .quiet
                        return true
                    }
                    state = .waiting(continuation)
                    return false
                }
                if isRung { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }
}
