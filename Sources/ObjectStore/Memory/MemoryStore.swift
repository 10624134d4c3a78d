public import NIOCore
import Synchronization

/// Objects in memory, for tests and simulation: deterministic, never fails by itself. ``FaultyStore`` around it brings the faults.
public final class MemoryStore: ObjectStore {
    private struct Stored {
        var body: ByteBuffer
        var version: UInt64
        var modifiedMs: Int64
    }

    private struct State {
        var objects: [String: Stored] = [:]
        /// In byte order.
        var keys: [String] = []
        var versions: UInt64 = 0

        /// The place of the first key that is not before `key`.
        func place(of key: String) -> Int {
            var low = 0
            var high = keys.count
            while low < high {
                let middle = (low + high) / 2
                if ObjectKey.isBefore(keys[middle], key) { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    private let state = Mutex(State())
    private let nowMs: @Sendable () -> Int64

    /// `nowMs` gives the objects their time of modification.
    public init(nowMs: @escaping @Sendable () -> Int64 = { 0 }) { self.nowMs = nowMs }

    /// All objects, for a test to look at.
    public var contents: [String: ByteBuffer] { state.withLock { $0.objects.mapValues(\.body) } }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        let nowMs = nowMs()
        return state.withLock { state in
            let isNew = state.objects[key] == nil
            if ifAbsent, !isNew { return .alreadyExists }
            state.versions += 1
            state.objects[key] = Stored(body: body, version: state.versions, modifiedMs: nowMs)
            if isNew { state.keys.insert(key, at: state.place(of: key)) }
            return .created(etag: Self.etag(state.versions))
        }
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try ObjectKey.validate(key, operation: .get)
        if let range { try checkRange(range, key: key) }
        guard let body = state.withLock({ $0.objects[key]?.body }) else {
            throw ObjectStoreError(.get, key: key, .notFound)
        }
        guard let range else { return body }
        guard range.upperBound <= body.readableBytes,
            let slice = body.getSlice(at: body.readerIndex + range.lowerBound, length: range.count)
        else {
            throw ObjectStoreError(
                .get, key: key, .rangeOutsideObject, detail: "object of \(body.readableBytes) bytes")
        }
        return slice
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try ObjectKey.validate(key, operation: .head)
        return state.withLock { state in
            state.objects[key].map {
                ObjectInfo(
                    sizeBytes: $0.body.readableBytes, etag: Self.etag($0.version), lastModifiedMs: $0.modifiedMs)
            }
        }
    }

    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        try checkListing(prefix: prefix, startAfter: startAfter, limit: limit)
        return state.withLock { state in
            var page = ListPage(objects: [], next: nil)
            let first = startAfter.map { ObjectKey.isBefore(prefix, $0) ? $0 : prefix } ?? prefix
            for key in state.keys[state.place(of: first)...] where key != startAfter {
                guard ObjectKey.hasPrefix(key, prefix), let stored = state.objects[key] else { break }
                if page.objects.count == limit {
                    page.next = page.objects.last?.key
                    break
                }
                page.objects.append(
                    ListedObject(
                        key: key, sizeBytes: stored.body.readableBytes, lastModifiedMs: stored.modifiedMs))
            }
            return page
        }
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        for key in keys { try ObjectKey.validate(key, operation: .delete) }
        state.withLock { state in
            for key in keys where state.objects.removeValue(forKey: key) != nil {
                state.keys.remove(at: state.place(of: key))
            }
        }
        return [:]
    }

    private static func etag(_ version: UInt64) -> String { "\"v\(version)\"" }
}
