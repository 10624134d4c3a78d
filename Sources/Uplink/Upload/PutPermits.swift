import Synchronization

/// ``PermitScheduler`` for tasks: `acquire` waits for its turn.
public final class PutPermits: Sendable {
    private struct Shared: Sendable {
        var scheduler: PermitScheduler
        var waiting: [PermitScheduler.Ticket: CheckedContinuation<Bool, Never>] = [:]
        /// Granted or given up before the continuation was there.
        var early: [PermitScheduler.Ticket: Bool] = [:]
    }

    private let shared: Mutex<Shared>

    public init(permitsMax: Int = 3, topPriority: Int = 0) {
        let scheduler = PermitScheduler(
            permitsMax: permitsMax, topPriority: topPriority, backlogPriority: Pacing.backlogRank)
        shared = Mutex(Shared(scheduler: scheduler))
    }

    /// A permit, to be given back with `release`; nil if the task was cancelled first.
    func acquire(priority: Int) async -> PermitScheduler.Ticket? {
        let (ticket, isGranted) = shared.withLock { $0.scheduler.request(priority: priority) }
        if isGranted { return ticket }
        let isHeld = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided = shared.withLock { shared in
                    let early = shared.early.removeValue(forKey: ticket)
                    if early == nil { shared.waiting[ticket] = continuation }
                    return early
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            giveUp(ticket)
        }
        return isHeld ? ticket : nil
    }

    func release(_ ticket: PermitScheduler.Ticket) {
        let resumed = shared.withLock { shared in Self.tell(shared.scheduler.release(ticket), &shared) }
        for continuation in resumed { continuation.resume(returning: true) }
    }

    private func giveUp(_ ticket: PermitScheduler.Ticket) {
        let (own, resumed) = shared.withLock { shared in
            // A ticket granted in this very moment is handed to its task, which releases it.
            guard shared.early[ticket] == nil, !shared.scheduler.isHolding(ticket) else {
                return (nil as CheckedContinuation<Bool, Never>?, [CheckedContinuation<Bool, Never>]())
            }
            let own = shared.waiting.removeValue(forKey: ticket)
            if own == nil { shared.early[ticket] = false }
            return (own, Self.tell(shared.scheduler.release(ticket), &shared))
        }
        own?.resume(returning: false)
        for continuation in resumed { continuation.resume(returning: true) }
    }

    private static func tell(
        _ granted: [PermitScheduler.Ticket], _ shared: inout Shared
    ) -> [CheckedContinuation<Bool, Never>] {
        granted.compactMap { ticket in
            let continuation = shared.waiting.removeValue(forKey: ticket)
            if continuation == nil { shared.early[ticket] = true }
            return continuation
        }
    }
}
