import Synchronization

/// Uploads end in any order; commits go by number. Each waits for the turn of its number and passes the turn on.
final class CommitTurns: Sendable {
    private struct State {
        var next: UInt64
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Passed before they were due.
        var passed: Set<UInt64> = []
    }

    private let state: Mutex<State>

    init(first: UInt64) {
        state = Mutex(State(next: first))
    }

    /// Returns when all lower numbers have passed.
    func wait(for number: UInt64) async {
        await withCheckedContinuation { continuation in
            let isDue = state.withLock { state in
                if state.next >= number { return true }
                state.waiting[number] = continuation
                return false
            }
            if isDue { continuation.resume() }
        }
    }

    /// Every number passes once, whatever became of it.
    func pass(_ number: UInt64) {
        let due = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.passed.insert(number)
            while state.passed.remove(state.next) != nil { state.next += 1 }
            return state.waiting.removeValue(forKey: state.next)
        }
        due?.resume()
    }
}
