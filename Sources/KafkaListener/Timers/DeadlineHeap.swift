public import NIOCore

/// Things to look at, by the time at which to look. The same thing may be in it more than once; who takes it out decides
/// whether it still matters.
public struct DeadlineHeap<Item> {
    private var entries: [(deadline: NIODeadline, item: Item)] = []

    public init() {}

    public var first: NIODeadline? { entries.first?.deadline }
    public var count: Int { entries.count }

    public mutating func insert(_ deadline: NIODeadline, _ item: Item) {
        entries.append((deadline, item))
        var child = entries.count - 1
        while child > 0, entries[child].deadline < entries[(child - 1) / 2].deadline {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// The earliest entry if its time has come.
    public mutating func popFirst(through now: NIODeadline) -> (deadline: NIODeadline, item: Item)? {
        guard let top = entries.first, top.deadline <= now else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return top }
        entries[0] = last
        sink()
        return top
    }

    /// Forgets what nobody waits for any more.
    public mutating func removeAll(where isOver: (Item) -> Bool) {
        let kept = entries.filter { !isOver($0.item) }
        entries.removeAll(keepingCapacity: true)
        for (deadline, item) in kept { insert(deadline, item) }
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].deadline < entries[least].deadline { least = child }
            }
            if least == parent { return }
            entries.swapAt(least, parent)
            parent = least
        }
    }
}
