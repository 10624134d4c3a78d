public import NIOCore
import Synchronization

/// Requests and bytes that went to a store, failed ones included: what it bills.
public struct StoreCounts: Sendable, Equatable {
    public var puts: UInt64 = 0
    public var gets: UInt64 = 0
    public var heads: UInt64 = 0
    public var lists: UInt64 = 0
    /// Requests, of up to a thousand keys each.
    public var deletes: UInt64 = 0
    public var keysDeleted: UInt64 = 0
    public var failures: UInt64 = 0
    public var bytesPut: UInt64 = 0
    public var bytesGot: UInt64 = 0

    public init() {}

    public var requests: UInt64 { puts + gets + heads + lists + deletes }

    /// Requests of all kinds for each 10^9 bytes written; nil before anything was written.
    public var requestsPerGBPut: Double? {
        bytesPut > 0 ? Double(requests) / (Double(bytesPut) / 1e9) : nil
    }
}

/// A store around another one that counts what passes.
public final class CountingStore: ObjectStore {
    private let base: any ObjectStore
    private let state = Mutex(StoreCounts())

    public init(_ base: any ObjectStore) { self.base = base }

    public var counts: StoreCounts { state.withLock { $0 } }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent)
    }

    public func put(
        _ key: String, _ body: ObjectBody, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        let sizeBytes = UInt64(body.sizeBytes)
        count { $0.puts += 1 }
        return try await counted { () throws(ObjectStoreError) in
            let result = try await base.put(key, body, ifAbsent: ifAbsent)
            if case .created = result { count { $0.bytesPut += sizeBytes } }
            return result
        }
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        count { $0.gets += 1 }
        return try await counted { () throws(ObjectStoreError) in
            let bytes = try await base.get(key, range: range)
            count { $0.bytesGot += UInt64(bytes.readableBytes) }
            return bytes
        }
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        count { $0.heads += 1 }
        return try await counted { () throws(ObjectStoreError) in try await base.head(key) }
    }

    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        count { $0.lists += 1 }
        return try await counted { () throws(ObjectStoreError) in
            try await base.list(prefix: prefix, startAfter: startAfter, limit: limit)
        }
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        count {
            $0.deletes += 1
            $0.keysDeleted += UInt64(keys.count)
        }
        return try await counted { () throws(ObjectStoreError) in try await base.delete(keys) }
    }

    private func count(_ change: (inout StoreCounts) -> Void) { state.withLock { change(&$0) } }

    private func counted<Value: Sendable>(
        _ body: () async throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        do throws(ObjectStoreError) {
            return try await body()
        } catch {
            count { $0.failures += 1 }
            throw error
        }
    }
}
