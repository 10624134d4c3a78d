/// A dictionary of bounded size that knows which entry has not been used for the longest time. Every operation takes constant time.
struct RecencyTable<Key: Hashable, Value> {
    private struct Node {
        var key: Key
        var value: Value
        var older: Int?
        var newer: Int?
    }
    private var nodes: [Node?] = []
    private var free: [Int] = []
    private var index: [Key: Int] = [:]
    private var oldest: Int?
    private var newest: Int?
    let countMax: Int

    init(countMax: Int) {
        self.countMax = countMax
    }

    var count: Int { index.count }
    var isFull: Bool { index.count >= countMax }
    var values: [Value] { nodes.compactMap { $0?.value } }
    var oldestKey: Key? { oldest.flatMap { nodes[$0]?.key } }

    /// The value of `key`, which becomes the most recent one.
    mutating func use(_ key: Key) -> Value? {
        guard let place = index[key] else { return nil }
        unlink(place)
        link(place)
        return nodes[place]?.value
    }

    /// Adds a key that is not there; the table is not full.
    mutating func insert(_ key: Key, _ value: Value) {
        precondition(!isFull && index[key] == nil, "insert into \(count) of \(countMax) entries")
        let node = Node(key: key, value: value, older: nil, newer: nil)
        let place = free.popLast() ?? nodes.count
        if place == nodes.count { nodes.append(node) } else { nodes[place] = node }
        index[key] = place
        link(place)
    }

    @discardableResult
    mutating func remove(_ key: Key) -> Value? {
        guard let place = index.removeValue(forKey: key) else { return nil }
        unlink(place)
        defer {
            nodes[place] = nil
            free.append(place)
        }
        return nodes[place]?.value
    }

    private mutating func link(_ place: Int) {
        nodes[place]?.older = newest
        nodes[place]?.newer = nil
        if let newest { nodes[newest]?.newer = place } else { oldest = place }
        newest = place
    }

    private mutating func unlink(_ place: Int) {
        let older = nodes[place]?.older
        let newer = nodes[place]?.newer
        if let older { nodes[older]?.newer = newer } else { oldest = newer }
        if let newer { nodes[newer]?.older = older } else { newest = older }
    }
}
