/// Values by key, as many as fit into a number of bytes; the one not used for longest goes first.
///
/// A value larger than the whole is not kept.
struct ByteLRU<Key: Hashable, Value> {
    private struct Node {
        var key: Key
        var value: Value
        var bytes: Int
        var newer: Int
        var older: Int
    }

    private static var none: Int { -1 }
    let bytesMax: Int
    private(set) var bytes = 0
    private var nodes: [Node?] = []
    private var free: [Int] = []
    private var places: [Key: Int] = [:]
    private var newest = -1
    private var oldest = -1

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    var count: Int { places.count }

    /// Looks without making it newer.
    func peek(_ key: Key) -> Value? { places[key].flatMap { nodes[$0]?.value } }

    mutating func value(for key: Key) -> Value? {
        guard let place = places[key], let node = nodes[place] else { return nil }
        if place != newest {
            unlink(place)
            linkNewest(place)
        }
        return node.value
    }

    mutating func insert(_ value: Value, for key: Key, bytes size: Int) {
        remove(key)
        guard size <= bytesMax else { return }
        let node = Node(key: key, value: value, bytes: size, newer: Self.none, older: Self.none)
        let place: Int
        if let reused = free.popLast() {
            nodes[reused] = node
            place = reused
        } else {
            nodes.append(node)
            place = nodes.count - 1
        }
        places[key] = place
        bytes += size
        linkNewest(place)
        while bytes > bytesMax, let key = nodes[oldest]?.key { remove(key) }
    }

    mutating func remove(_ key: Key) {
        guard let place = places.removeValue(forKey: key), let node = nodes[place] else { return }
        unlink(place)
        bytes -= node.bytes
        nodes[place] = nil
        free.append(place)
    }

    private mutating func unlink(_ place: Int) {
        guard let node = nodes[place] else { return }
        if node.newer == Self.none { newest = node.older } else { nodes[node.newer]?.older = node.older }
        if node.older == Self.none { oldest = node.newer } else { nodes[node.older]?.newer = node.newer }
    }

    private mutating func linkNewest(_ place: Int) {
        nodes[place]?.newer = Self.none
        nodes[place]?.older = newest
        if newest != Self.none { nodes[newest]?.newer = place }
        newest = place
        if oldest == Self.none { oldest = place }
    }
}
