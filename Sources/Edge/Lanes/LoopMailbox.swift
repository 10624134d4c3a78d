import NIOCore
import Synchronization

/// Work that other threads leave for one event loop. However many items come while the loop is busy, they cost one
/// `execute`, so one wake-up: that is what makes a commit with many acknowledgements cheap.
final class LoopMailbox: Sendable {
    let eventLoop: any EventLoop
    private let items = Mutex<[@Sendable () -> Void]>([])

    init(eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Runs `work` on the event loop, after everything that was posted before it.
    func post(_ work: @escaping @Sendable () -> Void) {
        let isFirst = items.withLock { items in
            items.append(work)
            return items.count == 1
        }
        if isFirst { eventLoop.execute { self.drain() } }
    }

    private func drain() {
        let batch = items.withLock { items in
            let batch = items
            items = []
            items.reserveCapacity(min(batch.count, 256))
            return batch
        }
        for work in batch { work() }
    }
}

/// One mailbox for each event loop that was ever asked for. Loops are few and live as long as the process.
final class LoopMailboxes: Sendable {
    private let mailboxes = Mutex<[ObjectIdentifier: LoopMailbox]>([:])

    func mailbox(of eventLoop: any EventLoop) -> LoopMailbox {
        mailboxes.withLock { mailboxes in
            if let known = mailboxes[ObjectIdentifier(eventLoop)] { return known }
            let new = LoopMailbox(eventLoop: eventLoop)
            mailboxes[ObjectIdentifier(eventLoop)] = new
            return new
        }
    }
}
