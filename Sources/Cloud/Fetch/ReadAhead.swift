import Ledger
import NIOCore
import Synchronization

/// How far a fetch got in one partition.
struct FetchStep: Sendable {
    var place: TopicPartition
    var offset: Int64
    /// Where the next fetch will go on.
    var next: Int64
    /// What comes at `next` had to be left out, because it was not in memory.
    var isMissing: Bool
}

/// Who goes on where it stopped gets the next stretch brought in while it digests this one.
///
/// The stretch of a partition doubles with every fetch that goes on, and starts small again for who jumps. All stretches
/// together stay within `bytesMax`: what is brought in must still be there when it is asked for, also when hundreds of partitions
/// are read at once. A few thousand partitions are remembered, and one stretch of each is under way at most.
final class ReadAhead: Sendable {
    struct Stretch: Sendable {
        var place: TopicPartition
        var needs: [FetchNeed]
    }

    private struct Window {
        var expected: Int64
        var bytes: Int
        /// Brought in, or being brought in, up to here.
        var through: Int64
        var isBusy = false
        /// The turn in which it was counted as read.
        var turn = -1
    }

    /// Partitions read in a second, counted in turns of one.
    private struct Readers {
        static let turnLength = TimeAmount.seconds(1)
        var turn = 0
        private var began = NIODeadline.now()
        private var now = 0
        private var before = 0

        mutating func count(_ window: inout Window, at time: NIODeadline) {
            if time - began > Self.turnLength {
                before = time - began > Self.turnLength * 2 ? 0 : now
                (now, began, turn) = (0, time, turn + 1)
            }
            guard window.turn != turn else { return }
            window.turn = turn
            now += 1
        }

        var number: Int { max(1, now, before) }
    }

    private struct State {
        var windows = ByteLRU<TopicPartition, Window>(bytesMax: 4_096)
        var readers = Readers()
    }

    /// The smallest share of a partition, however many there are.
    private static let shareBytesMin = 64 << 10
    private let range: ClosedRange<Int>
    private let bytesMax: Int
    private let view: LedgerView
    private let state = Mutex(State())

    init(range: ClosedRange<Int>, bytesMax: Int, view: LedgerView) {
        self.range = range
        self.bytesMax = bytesMax
        self.view = view
    }

    /// What to bring in after one fetch. Tell `ended` when it is there.
    func goOn(_ steps: [FetchStep], now: NIODeadline) -> [Stretch] {
        let windows = state.withLock { state in
            let windows = steps.map { advance($0, now, &state) }
            let share = max(Self.shareBytesMin, bytesMax / state.readers.number)
            return windows.map { (through: $0.through, bytes: min($0.bytes, share), isBusy: $0.isBusy) }
        }
        var stretches: [Stretch] = []
        for (step, window) in zip(steps, windows) where !window.isBusy {
            let extents = view.extents(
                step.place.topicID, step.place.partition, from: step.next, maxBytes: window.bytes,
                maxCount: FetchPlanner.needsMax)
            let needs = extents.filter { $0.lastOffset >= window.through }
                .map { FetchNeed(extent: $0, offset: max(step.next, $0.baseOffset)) }
            guard !needs.isEmpty else { continue }
            update(step.place) { $0.isBusy = true }
            stretches.append(Stretch(place: step.place, needs: needs))
        }
        return stretches
    }

    private func advance(_ step: FetchStep, _ now: NIODeadline, _ state: inout State) -> Window {
        var window = Window(expected: step.next, bytes: range.lowerBound, through: step.next)
        if let known = state.windows.value(for: step.place), known.expected == step.offset {
            window = known
            window.expected = step.next
            if step.next > step.offset { window.bytes = min(known.bytes * 2, range.upperBound) }
            // What was brought in and is not there any more is wanted again.
            window.through = step.isMissing ? step.next : max(known.through, step.next)
        }
        state.readers.count(&window, at: now)
        state.windows.insert(window, for: step.place, bytes: 1)
        return window
    }

    func ended(_ stretch: Stretch) {
        let through = (stretch.needs.last?.extent.lastOffset ?? -1) + 1
        update(stretch.place) { window in
            window.isBusy = false
            window.through = max(window.through, through)
        }
    }

    private func update(_ place: TopicPartition, _ change: (inout Window) -> Void) {
        state.withLock { state in
            guard var window = state.windows.peek(place) else { return }
            change(&window)
            state.windows.insert(window, for: place, bytes: 1)
        }
    }
}
