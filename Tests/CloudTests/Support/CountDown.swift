import Synchronization

/// True so many times.
final class CountDown: Sendable {
    private let left: Atomic<Int>
    init(_ times: Int) { left = Atomic(times) }
    func take() -> Bool { left.subtract(1, ordering: .relaxed).newValue >= 0 }
}
