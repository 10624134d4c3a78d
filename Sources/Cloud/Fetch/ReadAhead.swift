import Ledger
import Synchronization

/// Who goes on where it stopped gets the next stretch brought in while it digests this one.
///
/// The stretch doubles with every fetch that goes on, and starts small again for who jumps. Bounded: a few thousand
/// partitions are remembered, and one stretch of each is under way at most.
final class ReadAhead: Sendable {
    private struct Window {
        var expected: Int64
        var bytes: Int
        /// Brought in, or being brought in, up to here.
        var through: Int64
        var isBusy = false
    }

    private let range: ClosedRange<Int>
    private let view: LedgerView
    private let windows: Mutex<ByteLRU<TopicPartition, Window>>

    init(range: ClosedRange<Int>, view: LedgerView) {
        self.range = range
        self.view = view
        windows = Mutex(ByteLRU(bytesMax: 4_096))
    }

    /// A fetch read from `offset` up to `next`: what to bring in now. Tell `ended` when it is there.
    func read(_ place: TopicPartition, from offset: Int64, next: Int64) -> [FetchNeed] {
        let window = windows.withLock { windows -> Window in
            var window = Window(expected: next, bytes: range.lowerBound, through: next)
            if let known = windows.value(for: place), known.expected == offset {
                window = known
                window.expected = next
                window.bytes = min(known.bytes * 2, range.upperBound)
                window.through = max(known.through, next)
            }
            windows.insert(window, for: place, bytes: 1)
            return window
        }
        guard !window.isBusy else { return [] }
        let extents = view.extents(
            place.topicID, place.partition, from: next, maxBytes: window.bytes, maxCount: FetchPlanner.needsMax)
        let needs = extents.filter { $0.lastOffset >= window.through }
            .map { FetchNeed(extent: $0, offset: max(next, $0.baseOffset)) }
        if !needs.isEmpty { update(place) { $0.isBusy = true } }
        return needs
    }

    func ended(_ place: TopicPartition, _ needs: [FetchNeed]) {
        let through = (needs.last?.extent.lastOffset ?? -1) + 1
        update(place) { window in
            window.isBusy = false
            window.through = max(window.through, through)
        }
    }

    private func update(_ place: TopicPartition, _ change: (inout Window) -> Void) {
        windows.withLock { windows in
            guard var window = windows.peek(place) else { return }
            change(&window)
            windows.insert(window, for: place, bytes: 1)
        }
    }
}
