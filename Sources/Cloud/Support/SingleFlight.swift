import Synchronization

/// One piece of work per key at a time; who asks for a key that is under way gets the same result.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private let flights = Mutex<[Key: [CheckedContinuation<Value?, Never>]]>([:])

    func run(_ key: Key, _ work: () async -> Value) async -> Value {
        while true {
            if start(key) {
                let value = await work()
                let others = flights.withLock { $0.removeValue(forKey: key) ?? [] }
                for other in others { other.resume(returning: value) }
                return value
            }
            // Nil: it landed between the two looks; then this is the next flight.
            if let value = await join(key) { return value }
        }
    }

    private func start(_ key: Key) -> Bool {
        flights.withLock { flights in
            if flights[key] != nil { return false }
            flights[key] = []
            return true
        }
    }

    private func join(_ key: Key) async -> Value? {
        await withCheckedContinuation { continuation in
            let isWaiting = flights.withLock { flights in
                guard flights[key] != nil else { return false }
                flights[key]?.append(continuation)
                return true
            }
            if !isWaiting { continuation.resume(returning: nil) }
        }
    }
}
