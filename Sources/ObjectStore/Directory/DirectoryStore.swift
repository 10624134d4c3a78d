import Glibc
public import NIOCore
public import NIOPosix

/// Objects as files under one directory: the embedded default, and a store for tests. Same semantics as S3.
///
/// - Layout: key `a/b/c` is the file `root/a/b/c`; files being written are under `root/.cairn/temporary`. So a key cannot be also
///   the directory of another key (`a` beside `a/b`): such a `put` is `.invalid`.
/// - Atomicity: a body is written to a temporary file and synced, then appears whole by `link` (create-only) or `rename`.
/// - Page cache: bodies of 256 KiB and more go past it where the file system can (``DirectWriter``), so they are not in it when read.
/// - Durability: `put` and `delete` return after the directory and those above it are synced; `alreadyExists` likewise, since the
///   one who created the object may not have come that far.
/// - Sharing: several processes on one machine may use one root at once; two machines over a network file system may not.
/// - Threads: all file work is done on a pool of a few threads, none on the caller's executor.
public final class DirectoryStore: ObjectStore {
    private let files: DirectoryFiles
    private let threads: NIOThreadPool

    /// Shared by all stores of the process that are given no other; never shut down.
    private static let sharedThreads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 4)
        pool.start()
        return pool
    }()

    /// Makes `root` if it is missing and sweeps what a crash left half written. Blocks for that long; call it at start.
    /// Errors: `.invalid` when the file system has no hard links, `.denied`, `.full`, `.unavailable`. `threads` must be running.
    public init(root: String, threads: NIOThreadPool? = nil) throws(ObjectStoreError) {
        files = DirectoryFiles(root: root)
        self.threads = threads ?? Self.sharedThreads
        try files.open()
    }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent)
    }

    public func put(
        _ key: String, _ body: ObjectBody, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        return try await blocking(.put, key) { (files) throws(ObjectStoreError) in
            try files.put(key, body, ifAbsent: ifAbsent)
        }
    }

    /// The same for an object that need not fit into memory, which replaces one that is there. `next` is called on a thread for blocking
    /// work until it gives nil; what it throws ends the put, nothing is stored then, and the error's `detail` says it (`.cancelled`).
    public func put(
        _ key: String, pieces next: @escaping @Sendable () throws -> ByteBuffer?
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        return try await blocking(.put, key) { (files) throws(ObjectStoreError) in try files.put(key, pieces: next) }
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try ObjectKey.validate(key, operation: .get)
        if let range { try checkRange(range, key: key) }
        return try await blocking(.get, key) { (files) throws(ObjectStoreError) in try files.get(key, range: range) }
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try ObjectKey.validate(key, operation: .head)
        return try await blocking(.head, key) { (files) throws(ObjectStoreError) in try files.head(key) }
    }

    public func list(
        prefix: String, startAfter: String?, limit: Int
    ) async throws(ObjectStoreError) -> ListPage {
        try checkListing(prefix: prefix, startAfter: startAfter, limit: limit)
        return try await blocking(.list, prefix) { (files) throws(ObjectStoreError) in
            var listing = DirectoryListing(root: files.root, prefix: prefix, startAfter: startAfter, limit: limit)
            return try listing.run()
        }
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        for key in keys { try ObjectKey.validate(key, operation: .delete) }
        return try await blocking(.delete, keys.first ?? "") { (files) throws(ObjectStoreError) in files.delete(keys) }
    }

    private func blocking<Value: Sendable>(
        _ operation: ObjectStoreOperation, _ key: String,
        _ body: @escaping @Sendable (DirectoryFiles) throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        let result: Result<Value, ObjectStoreError>
        do {
            result = try await threads.runIfActive { [files] in
                do throws(ObjectStoreError) { return .success(try body(files)) } catch { return .failure(error) }
            }
        } catch {
            let kind: ObjectStoreError.Kind = error is CancellationError ? .cancelled : .unavailable
            throw ObjectStoreError(operation, key: key, kind, detail: "\(error)")
        }
        return try result.get()
    }
}
