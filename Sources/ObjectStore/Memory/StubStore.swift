public import NIOCore
import Synchronization

/// Takes objects as fast as memory does and keeps the newest of them: what a node costs without its store. For benches; whoever
/// wants to keep data cannot use it.
///
/// An object that had to go is answered with `notFound`.
public final class StubStore: ObjectStore {
    private struct State {
        var objects: [String: ObjectBody] = [:]
        /// Oldest first.
        var order: [String] = []
        var bytes = 0
    }

    private let bytesMax: Int
    private let state = Mutex(State())

    public init(bytesMax: Int) { self.bytesMax = bytesMax }

    public func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent)
    }

    public func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        return state.withLock { state in
            if let there = state.objects[key] {
                if ifAbsent { return .alreadyExists }
                state.bytes -= there.sizeBytes
            } else {
                state.order.append(key)
            }
            state.objects[key] = body
            state.bytes += body.sizeBytes
            while state.bytes > bytesMax, state.order.count > 1 {
                state.bytes -= state.objects.removeValue(forKey: state.order.removeFirst())?.sizeBytes ?? 0
            }
            return .created(etag: nil)
        }
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try ObjectKey.validate(key, operation: .get)
        if let range { try checkRange(range, key: key) }
        guard let body = state.withLock({ $0.objects[key] }) else {
            throw ObjectStoreError(.get, key: key, .notFound)
        }
        if let bytes = body.bytes(range ?? 0..<body.sizeBytes) { return bytes }
        throw ObjectStoreError(.get, key: key, .rangeOutsideObject, detail: "object of \(body.sizeBytes) bytes")
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try ObjectKey.validate(key, operation: .head)
        return state.withLock { $0.objects[key].map { ObjectInfo(sizeBytes: $0.sizeBytes) } }
    }

    public func list(prefix: String, startAfter: String?, limit: Int) async throws(ObjectStoreError) -> ListPage {
        try checkListing(prefix: prefix, startAfter: startAfter, limit: limit)
        let found = state.withLock { state in
            state.objects.compactMap { key, body in
                let isAfter = startAfter.map { ObjectKey.isBefore($0, key) } ?? true
                return isAfter && ObjectKey.hasPrefix(key, prefix)
                    ? ListedObject(key: key, sizeBytes: body.sizeBytes) : nil
            }
        }
        let sorted = found.sorted { ObjectKey.isBefore($0.key, $1.key) }
        return ListPage(
            objects: Array(sorted.prefix(limit)), next: sorted.count > limit ? sorted[limit - 1].key : nil)
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        for key in keys { try ObjectKey.validate(key, operation: .delete) }
        state.withLock { state in
            for key in keys { state.bytes -= state.objects.removeValue(forKey: key)?.sizeBytes ?? 0 }
            let gone = Set(keys)
            state.order.removeAll { gone.contains($0) }
        }
        return [:]
    }
}
