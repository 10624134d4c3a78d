import Dispatch
import Synchronization

/// Runs work that blocks (disks) away from event loops and from the cooperative pool.
func onBlockingThread<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
        DispatchQueue.global(qos: .userInitiated).async { continuation.resume(returning: work()) }
    }
}

/// Numbers of the objects that this node writes under one epoch: each is given once.
final class ObjectSequences: Sendable {
    private let last = Atomic<UInt64>(0)

    func next() -> UInt64 { last.wrappingAdd(1, ordering: .relaxed).newValue }
}
