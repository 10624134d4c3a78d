import NIOCore
import ObjectStore
import Synchronization

/// A store that some PUTs reach only later, after their sender has given up on them, or died.
final class LateStore: PutWatchingStore {
    private struct Late {
        var key: String
        var body: ByteBuffer
        var ifAbsent: Bool
    }

    let base: any ObjectStore
    private let random: SharedRandom
    private let late = Mutex((perMille: 0, puts: [Late]()))

    init(_ base: any ObjectStore, random: SharedRandom) {
        self.base = base
        self.random = random
    }

    func setChance(perMille: Int) { late.withLock { $0.perMille = perMille } }

    /// What is under way.
    var bodies: [ByteBuffer] { late.withLock { $0.puts.map(\.body) } }

    /// One of the PUTs under way arrives.
    func arrive(using random: inout SeededRandom) async {
        let count = late.withLock { $0.puts.count }
        guard count > 0 else { return }
        let place = Int.random(in: 0..<count, using: &random)
        let put = late.withLock { $0.puts.remove(at: place) }
        _ = try? await base.put(put.key, put.body, ifAbsent: put.ifAbsent)
    }

    func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        if random.chance(late.withLock { $0.perMille }) {
            late.withLock { $0.puts.append(Late(key: key, body: body, ifAbsent: ifAbsent)) }
            throw ObjectStoreError(.put, key: key, .timeout, detail: "under way")
        }
        return try await base.put(key, body, ifAbsent: ifAbsent)
    }
}

/// A store before another one that has its own way only with PUTs.
protocol PutWatchingStore: ObjectStore {
    var base: any ObjectStore { get }
}

extension PutWatchingStore {
    func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try await base.get(key, range: range)
    }

    func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? { try await base.head(key) }

    func list(prefix: String, startAfter: String?, limit: Int) async throws(ObjectStoreError) -> ListPage {
        try await base.list(prefix: prefix, startAfter: startAfter, limit: limit)
    }

    func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        try await base.delete(keys)
    }
}
