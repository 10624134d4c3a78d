public import NIOCore
import Synchronization

/// Wake-ups for any number of waiters of one event loop. They cost it one scheduled task, at the earliest time of all.
///
/// A wake-up comes once, on the event loop, at its time or a little later, and never after it was cancelled. A cancelled one
/// takes room in the heap until its time comes or until more than half of the heap is of that kind.
///
/// `@unchecked Sendable`: everything is touched on the event loop only.
public final class LoopTimer: @unchecked Sendable {
    public struct Token: Hashable, Sendable {
        fileprivate let number: UInt64
    }

    private let eventLoop: any EventLoop
    private var heap = DeadlineHeap<Token>()
    private var waiting: [Token: () -> Void] = [:]
    private var lastNumber: UInt64 = 0
    private var task: (deadline: NIODeadline, scheduled: Scheduled<Void>)?
    /// Tasks given to the event loop so far.
    private(set) var tasksScheduled = 0

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Waiters that are still to be woken.
    public var count: Int { waiting.count }
    /// The same with those that were cancelled and not yet forgotten.
    var heapCount: Int { heap.count }

    /// Calls `wake` at `deadline`.
    public func schedule(_ deadline: NIODeadline, _ wake: @escaping () -> Void) -> Token {
        eventLoop.preconditionInEventLoop()
        lastNumber += 1
        let token = Token(number: lastNumber)
        waiting[token] = wake
        heap.insert(deadline, token)
        arm()
        return token
    }

    /// Harmless after the wake-up.
    public func cancel(_ token: Token) {
        eventLoop.preconditionInEventLoop()
        guard waiting.removeValue(forKey: token) != nil, heap.count > 2 * waiting.count + Self.idleMax else { return }
        heap.removeAll { waiting[$0] == nil }
    }

    private static let idleMax = 64

    /// A task that is early finds nothing and arms again; only one that would be late is given up.
    private func arm() {
        guard let first = heap.first, first < task?.deadline ?? .distantFuture else { return }
        task?.scheduled.cancel()
        tasksScheduled += 1
        let scheduled = eventLoop.scheduleTask(deadline: first) { [weak self] () -> Void in self?.fire() }
        task = (first, scheduled)
    }

    private func fire() {
        task = nil
        let now = eventLoop.now
        // All that is due first: what a waiter schedules anew waits for the next turn, so that the loop gets on.
        var due: [Token] = []
        while let (_, token) = heap.popFirst(through: now) { due.append(token) }
        for token in due { waiting.removeValue(forKey: token)?() }
        arm()
    }
}

/// One timer for each event loop that was ever asked for. Loops are few and live as long as the process.
public final class LoopTimers: Sendable {
    private let timers = Mutex<[ObjectIdentifier: LoopTimer]>([:])

    public init() {}

    public func timer(of eventLoop: any EventLoop) -> LoopTimer {
        timers.withLock { timers in
            if let known = timers[ObjectIdentifier(eventLoop)] { return known }
            let new = LoopTimer(eventLoop: eventLoop)
            timers[ObjectIdentifier(eventLoop)] = new
            return new
        }
    }
}
