import DequeModule
import Ledger
import NIOCore

/// Which batches of a volume wait for an object, which are on their way into one, and up to where the log is done with.
/// Facts in, decisions out.
struct UploadQueue {
    struct Item: Sendable, Equatable {
        var place: TopicPartition
        var lsn: UInt64
        var baseOffset: Int64
        var lastOffset: Int64
        var bytes: Int
    }

    private struct Waiting {
        var item: Item
        var since: NIODeadline
    }

    let objectBytes: Int
    let interval: TimeAmount
    let uploadsMax: Int
    private var waiting: Deque<Waiting> = []
    private var underWay: [UInt64: [Item]] = [:]
    private var lastTicket: UInt64 = 0
    private(set) var waitingBytes = 0
    private(set) var underWayBytes = 0

    init(objectBytes: Int, interval: TimeAmount, uploadsMax: Int) {
        self.objectBytes = objectBytes
        self.interval = interval
        self.uploadsMax = max(1, uploadsMax)
    }

    var isEmpty: Bool { waiting.isEmpty && underWay.isEmpty }
    var uploadCount: Int { underWay.count }

    /// The lowest LSN that an object does not hold yet; nil if there is none.
    var lowestLSN: UInt64? {
        let moving = underWay.values.lazy.compactMap { $0.first?.lsn }.min()
        guard let first = waiting.first?.item.lsn else { return moving }
        return min(first, moving ?? first)
    }

    /// A batch was committed. LSNs rise.
    mutating func add(_ item: Item, now: NIODeadline) {
        waiting.append(Waiting(item: item, since: now))
        waitingBytes += item.bytes
    }

    /// Takes in what the ledger names and the queue does not know yet.
    mutating func reconcile(_ items: [Item], now: NIODeadline) {
        var known = Set(waiting.lazy.map(\.item.lsn))
        for moving in underWay.values { known.formUnion(moving.lazy.map(\.lsn)) }
        let fresh = items.filter { !known.contains($0.lsn) }
        guard !fresh.isEmpty else { return }
        waitingBytes += fresh.reduce(0) { $0 + $1.bytes }
        waiting = Deque((waiting + fresh.map { Waiting(item: $0, since: now) }).sorted { $0.item.lsn < $1.item.lsn })
    }

    /// When to look again; nil while nothing waits or every upload is busy.
    var nextDue: NIODeadline? {
        guard underWay.count < uploadsMax else { return nil }
        return waiting.first.map { $0.since + interval }
    }

    /// The batches of the next object, if one is due. `all` does not wait for more of them.
    mutating func take(now: NIODeadline, all: Bool = false) -> (ticket: UInt64, items: [Item])? {
        guard underWay.count < uploadsMax, let first = waiting.first else { return nil }
        guard all || waitingBytes >= objectBytes || first.since + interval <= now else { return nil }
        var items: [Item] = []
        var bytes = 0
        while let next = waiting.first, bytes < objectBytes {
            waiting.removeFirst()
            items.append(next.item)
            bytes += next.item.bytes
        }
        waitingBytes -= bytes
        underWayBytes += bytes
        lastTicket += 1
        underWay[lastTicket] = items
        return (lastTicket, items)
    }

    /// An upload ended. `left` could not be moved and comes again, first.
    mutating func finished(_ ticket: UInt64, left: [Item], now: NIODeadline) {
        guard let items = underWay.removeValue(forKey: ticket) else { return }
        underWayBytes -= items.reduce(0) { $0 + $1.bytes }
        for item in left.reversed() {
            waiting.prepend(Waiting(item: item, since: now))
            waitingBytes += item.bytes
        }
    }
}
