import Synchronization

/// A partition of the gateway.
struct TopicPartition: Hashable, Sendable {
    let topic: String
    let partition: Int32
}

/// Who waits for records in which partition (the long polls of Fetch). Woken by appends that became durable; costs the
/// append path one atomic read while nobody waits.
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

    private let count = Atomic<Int>(0)
    private let state = Mutex(State())

    /// Nobody waits. Read after the records became durable, it never misses somebody who looked before.
    var isEmpty: Bool { count.load(ordering: .sequentiallyConsistent) == 0 }

    /// Calls `wake` once, from any thread, when one of the partitions gets records. Look at the partitions after this call,
    /// not before it: what became durable in between would wake nobody.
    func watch(_ partitions: [TopicPartition], wake: @escaping @Sendable () -> Void) -> Token {
        count.add(1, ordering: .sequentiallyConsistent)
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

    /// These partitions have new durable records.
    func advanced(_ partitions: some Sequence<TopicPartition>) {
        if isEmpty { return }
        let woken = state.withLock { state in
            var woken: [Watcher] = []
            for partition in partitions {
                for token in state.byPartition[partition] ?? [] {
                    if let watcher = remove(token, from: &state) { woken.append(watcher) }
                }
            }
            return woken
        }
        for watcher in woken { watcher.wake() }
    }

    private func remove(_ token: Token, from state: inout State) -> Watcher? {
        guard let watcher = state.watchers.removeValue(forKey: token) else { return nil }
        count.subtract(1, ordering: .sequentiallyConsistent)
        for partition in watcher.partitions {
            state.byPartition[partition]?.remove(token)
            if state.byPartition[partition]?.isEmpty == true { state.byPartition[partition] = nil }
        }
        return watcher
    }
}
