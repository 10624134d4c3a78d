import Dispatch
import Synchronization

/// Time limits for work that cannot be stopped: who waits too long is answered with nil, and the work is left behind. Only
/// for a command that ends soon after.
enum Bounded {
    /// Runs blocking `work` on a thread.
    static func blocking<Value: Sendable>(
        _ limit: Duration, _ work: @escaping @Sendable () -> Value
    ) async -> Value? {
        await race(limit) { answer in DispatchQueue.global().async { answer(work()) } }
    }

    /// Runs `work`, which is cancelled when its time is over.
    static func run<Value: Sendable>(
        _ limit: Duration, _ work: @escaping @Sendable () async -> Value
    ) async -> Value? {
        let task = Mutex<Task<Void, Never>?>(nil)
        let value: Value? = await race(limit) { answer in
            let running = Task { answer(await work()) }
            task.withLock { $0 = running }
        }
        if value == nil { task.withLock { $0?.cancel() } }
        return value
    }

    private static func race<Value: Sendable>(
        _ limit: Duration, _ start: (@escaping @Sendable (Value) -> Void) -> Void
    ) async -> Value? {
        await withCheckedContinuation { continuation in
            let box = Box(continuation)
            start { box.answer($0) }
            let seconds = Double(limit.components.seconds) + Double(limit.components.attoseconds) / 1e18
            DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { box.answer(nil) }
        }
    }

    /// The first answer counts.
    private final class Box<Value: Sendable>: Sendable {
        private let waiting: Mutex<CheckedContinuation<Value?, Never>?>

        init(_ continuation: CheckedContinuation<Value?, Never>) { waiting = Mutex(continuation) }

        func answer(_ value: Value?) {
            let continuation = waiting.withLock { held in
                defer { held = nil }
                return held
            }
            continuation?.resume(returning: value)
        }
    }
}
