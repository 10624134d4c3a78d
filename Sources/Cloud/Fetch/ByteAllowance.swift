import Synchronization

/// Bytes of responses that are on their way to clients, over all connections.
final class ByteAllowance: Sendable {
    let limitBytes: Int
    private let used = Atomic<Int>(0)

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    var usedBytes: Int { used.load(ordering: .relaxed) }

    /// As much of `bytes` as there is; 0 when nothing is left. Give back exactly what was taken.
    func take(upTo bytes: Int) -> Int {
        var current = used.load(ordering: .relaxed)
        while true {
            let grant = max(0, min(bytes, limitBytes - current))
            if grant == 0 { return 0 }
            let (done, seen) = used.weakCompareExchange(
                expected: current, desired: current + grant, ordering: .relaxed)
            if done { return grant }
            current = seen
        }
    }

    func giveBack(_ bytes: Int) {
        guard bytes > 0 else { return }
        let left = used.subtract(bytes, ordering: .relaxed).newValue
        precondition(left >= 0, "gave back \(-left) bytes more than were taken")
    }
}
