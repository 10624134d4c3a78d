import NIOCore
import ObjectStore
import Synchronization

/// Which log each object was made from, so that nothing can pass for another's.
final class Authors: Sendable {
    private struct Body: Hashable {
        var key: String
        var bytes: ByteBuffer
    }

    private let branches = Mutex<[Body: Set<Int>]>([:])

    func note(_ key: String, _ body: ByteBuffer, branch: Int) {
        branches.withLock { _ = $0[Body(key: key, bytes: body), default: []].insert(branch) }
    }

    /// The logs that have tried to put exactly this; several when they hold the same.
    func branches(of key: String, _ body: ByteBuffer) -> Set<Int> {
        branches.withLock { $0[Body(key: key, bytes: body)] ?? [] }
    }
}

/// The store as one log sees it.
struct AuthoredStore: PutWatchingStore {
    let base: any ObjectStore
    let authors: Authors
    let branch: Int

    func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        authors.note(key, body, branch: branch)
        return try await base.put(key, body, ifAbsent: ifAbsent)
    }
}
