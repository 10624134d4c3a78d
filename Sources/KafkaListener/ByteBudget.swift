import DequeModule
import Synchronization

/// Bytes that many connections share, counted without a lock while there is room.
///
/// Who finds no room waits in line: `granted` is called once, from the thread that freed the bytes, with the bytes already
/// reserved. While somebody waits nobody passes by, so a large request is not starved by small ones.
public final class ByteBudget: Sendable {
    public let limitBytes: Int
    private let usedBytes = Atomic<Int>(0)
    private let waitingCount = Atomic<Int>(0)
    private let waiters = Mutex<Deque<Waiter>>([])

    private struct Waiter {
        let bytes: Int
        let granted: @Sendable () -> Void
    }

    public init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    /// A hint for counters; other threads change it at any time.
    public var used: Int { usedBytes.load(ordering: .relaxed) }

    /// Whether `bytes` were reserved. A request above the whole limit can never be served and is the caller's mistake.
    public func reserve(_ bytes: Int) -> Bool {
        precondition(bytes <= limitBytes, "reserve \(bytes) bytes of a budget of \(limitBytes)")
        guard waitingCount.load(ordering: .sequentiallyConsistent) == 0 else { return false }
        return take(bytes)
    }

    /// Reserves now and returns true, or returns false and calls `granted` later with the bytes reserved.
    public func reserve(_ bytes: Int, orWait granted: @escaping @Sendable () -> Void) -> Bool {
        if reserve(bytes) { return true }
        return waiters.withLock { waiters in
            // Count first, look second; `release` does it the other way round, so one of the two sees the other.
            waitingCount.add(1, ordering: .sequentiallyConsistent)
            if waiters.isEmpty, take(bytes) {
                waitingCount.subtract(1, ordering: .sequentiallyConsistent)
                return true
            }
            waiters.append(Waiter(bytes: bytes, granted: granted))
            return false
        }
    }

    public func release(_ bytes: Int) {
        let left = usedBytes.subtract(bytes, ordering: .sequentiallyConsistent).newValue
        precondition(left >= 0, "released \(-left) bytes more than were reserved")
        if waitingCount.load(ordering: .sequentiallyConsistent) > 0 { serveWaiters() }
    }

    private func serveWaiters() {
        let served = waiters.withLock { waiters in
            var served: [Waiter] = []
            while let first = waiters.first, take(first.bytes) {
                served.append(first)
                waiters.removeFirst()
                waitingCount.subtract(1, ordering: .sequentiallyConsistent)
            }
            return served
        }
        for waiter in served { waiter.granted() }
    }

    private func take(_ bytes: Int) -> Bool {
        var used = usedBytes.load(ordering: .sequentiallyConsistent)
        while used + bytes <= limitBytes {
            let (exchanged, current) = usedBytes.weakCompareExchange(
                expected: used, desired: used + bytes, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            used = current
        }
        return false
    }
}
