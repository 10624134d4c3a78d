import Ledger
import Synchronization

/// Who waits for news of which partition (the long polls of Fetch). Costs a commit one atomic read while nobody waits.
final class PartitionWatchers: Sendable {
    typealias Token = UInt64

    private struct Watcher {
        let partitions: [TopicPartition]
        let wake: @Sendable () -> Void
    }

    private struct State {
        var lastToken: Token = 0
        var watchers: [Token: Watcher] = [:]
        var byPartition: [TopicPartition: Set<Token>] = [:]
    }

    private let waiting = Atomic<Int>(0)
    private let state = Mutex(State())

    var count: Int { waiting.load(ordering: .relaxed) }

    /// Calls `wake` once, from any thread, when one of the partitions changes. Look at the partitions after this call, not
    /// before it: what changed in between would wake nobody.
    func watch(_ partitions: [TopicPartition], wake: @escaping @Sendable () -> Void) -> Token {
        waiting.add(1, ordering: .sequentiallyConsistent)
        return state.withLock { state in
            state.lastToken += 1
            state.watchers[state.lastToken] = Watcher(partitions: partitions, wake: wake)
            for partition in partitions { state.byPartition[partition, default: []].insert(state.lastToken) }
            return state.lastToken
        }
    }

    /// Idempotent, and harmless after the watcher was woken.
    func cancel(_ token: Token) {
        state.withLock { state in _ = remove(token, from: &state) }
    }

    func changed(_ partitions: [TopicPartition]) {
        guard waiting.load(ordering: .sequentiallyConsistent) > 0 else { return }
        let woken = state.withLock { state in
            partitions.flatMap { partition in
                (state.byPartition[partition] ?? []).compactMap { remove($0, from: &state) }
            }
        }
        for watcher in woken { watcher.wake() }
    }

    private func remove(_ token: Token, from state: inout State) -> Watcher? {
        guard let watcher = state.watchers.removeValue(forKey: token) else { return nil }
        waiting.subtract(1, ordering: .sequentiallyConsistent)
        for partition in watcher.partitions {
            state.byPartition[partition]?.remove(token)
            if state.byPartition[partition]?.isEmpty == true { state.byPartition[partition] = nil }
        }
        return watcher
    }
}
