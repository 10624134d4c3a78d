/// Who may hold an object in memory and on the link. Facts in, grants out: no I/O, no clock, no `await`.
///
/// At most `permitsMax` at a time, lower priority numbers first, first come first served among equals. The last free
/// permit is kept for the top priority while nobody of it holds one: critical data never waits behind a long PUT. From three permits on,
/// one more is kept from backlogs (priorities of `backlogPriority` and more), for live data of the other lanes.
public struct PermitScheduler: Sendable {
    public typealias Ticket = UInt64

    private struct Waiter: Sendable {
        var ticket: Ticket
        var priority: Int
    }

    public let permitsMax: Int
    public let topPriority: Int
    public let backlogPriority: Int
    private var nextTicket: Ticket = 0
    private var holders: [Ticket: Int] = [:]
    /// In the order to be served.
    private var waiters: [Waiter] = []

    public init(permitsMax: Int, topPriority: Int = 0, backlogPriority: Int = .max) {
        precondition(permitsMax >= 1, "permitsMax \(permitsMax) < 1")
        self.backlogPriority = backlogPriority
        self.permitsMax = permitsMax
        self.topPriority = topPriority
    }

    public var heldCount: Int { holders.count }
    public var waitingCount: Int { waiters.count }

    public func isHolding(_ ticket: Ticket) -> Bool { holders[ticket] != nil }

    /// A ticket for one permit, and whether it is granted at once.
    public mutating func request(priority: Int) -> (ticket: Ticket, isGranted: Bool) {
        let ticket = nextTicket
        nextTicket += 1
        let position = waiters.firstIndex { $0.priority > priority } ?? waiters.endIndex
        waiters.insert(Waiter(ticket: ticket, priority: priority), at: position)
        return (ticket, grant().contains(ticket))
    }

    /// Gives a permit back, or stops waiting for one. Returns the tickets granted by it.
    public mutating func release(_ ticket: Ticket) -> [Ticket] {
        if holders.removeValue(forKey: ticket) == nil { waiters.removeAll { $0.ticket == ticket } }
        return grant()
    }

    private mutating func grant() -> [Ticket] {
        var granted: [Ticket] = []
        while let index = waiters.firstIndex(where: { mayHold(priority: $0.priority) }) {
            let waiter = waiters.remove(at: index)
            holders[waiter.ticket] = waiter.priority
            granted.append(waiter.ticket)
        }
        return granted
    }

    private func mayHold(priority: Int) -> Bool {
        let free = permitsMax - holders.count
        if priority <= topPriority || permitsMax == 1 { return free > 0 }
        if priority >= backlogPriority, permitsMax > 2 {
            let backlogs = holders.values.reduce(0) { $0 + ($1 >= backlogPriority ? 1 : 0) }
            guard backlogs < permitsMax - 2 else { return false }
        }
        let isTopHolding = holders.values.contains { $0 <= topPriority }
        return free > (isTopHolding ? 0 : 1)
    }
}
