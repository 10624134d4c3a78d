public import NIOCore

/// All that Cairn asks of an object store: whole, immutable objects under string keys.
///
/// - Shape: a key is 1 to 1,024 bytes of UTF-8 as ``ObjectKey/validate(_:operation:)`` allows; a body is one `ByteBuffer`,
///   which must not be written to until the call returns (a `ByteBuffer` copies on write, so a held one is safe).
/// - Atomicity: a reader sees a whole object or none; an overwrite is seen whole or not at all.
/// - Durability: `put` returns after the store said it keeps the object. `alreadyExists` promises the same of the object there.
/// - Order: a `get`, `head` or `list` begun after a `put` returned sees it. Keys are listed in the byte order of the whole key,
///   apart from S3 servers for which ``StoreCapabilities/listInByteOrder`` is false.
/// - Idempotence: `get`, `head`, `list` and `delete` may be repeated freely. `put` may be repeated with the same bytes. After an error
///   with ``ObjectStoreError/effectUnknown`` a create-only `put` may have happened: its repetition then answers `alreadyExists`
///   for the caller's own object, so a caller that must tell own from foreign compares what is there.
/// - Retry: not inside. Callers own it, through ``RetryPolicy`` and ``withRetry(_:clock:using:_:)``.
/// - Errors: ``ObjectStoreError``, nothing else. Cancelling the task ends a call with `.cancelled`, effect unknown.
public protocol ObjectStore: Sendable {
    /// Stores `body` under `key`. With `ifAbsent` an object already there is left as it is and `alreadyExists` is the answer;
    /// of several such calls at once exactly one creates. Without it the last one wins.
    func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult

    /// The same, its bytes leaving as `pace` allows; there is a default that asks for all of them first.
    func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult

    /// The same for bytes that lie in pieces. By default they are put together first.
    func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult

    /// The whole object, or exactly the bytes of `range` (not empty, inside the object): never fewer, never more.
    /// Errors: `notFound`; `rangeOutsideObject` when the object ends before `range` does.
    func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer

    /// Size and tag, or nil when there is no such object.
    func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo?

    /// Up to `limit` (at least 1) objects whose keys begin with `prefix` and come after `startAfter`. A page may be short, even
    /// empty, and yet have a `next`: only `next == nil` is the end.
    func list(prefix: String, startAfter: String?, limit: Int) async throws(ObjectStoreError) -> ListPage

    /// Deletes the objects; one that is not there counts as deleted. Returns the keys that failed, each with its error.
    /// Throws when a whole request failed: some keys may then be gone, and the call may simply be repeated.
    func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError]
}

extension ObjectStore {
    public func put(_ key: String, _ body: ObjectBody, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await put(key, body.joined, ifAbsent: ifAbsent)
    }

    /// The whole object.
    public func get(_ key: String) async throws(ObjectStoreError) -> ByteBuffer {
        try await get(key, range: nil)
    }

    /// One page from the start of `prefix`.
    public func list(prefix: String, limit: Int = 1000) async throws(ObjectStoreError) -> ListPage {
        try await list(prefix: prefix, startAfter: nil, limit: limit)
    }
}

/// What became of a `put`.
public enum PutResult: Sendable, Equatable {
    /// This call stored the object. `etag` is the store's name for this content, where it gives one; compare only, do not interpret.
    case created(etag: String?)
    /// Only with `ifAbsent`: an object is there already, durable, and was left as it is.
    case alreadyExists
}

/// Facts of one object, without its bytes.
public struct ObjectInfo: Sendable, Equatable {
    public var sizeBytes: Int
    public var etag: String?
    /// Milliseconds since 1970-01-01 UTC by the store's clock, where the store says it.
    public var lastModifiedMs: Int64?

    public init(sizeBytes: Int, etag: String? = nil, lastModifiedMs: Int64? = nil) {
        self.sizeBytes = sizeBytes
        self.etag = etag
        self.lastModifiedMs = lastModifiedMs
    }
}

/// One object of a listing.
public struct ListedObject: Sendable, Equatable {
    public var key: String
    /// Of a sealed object that ``SealedStore`` has not met yet: what is stored, a little more than can be read.
    public var sizeBytes: Int
    /// Milliseconds since 1970-01-01 UTC by the store's clock, where the store says it.
    public var lastModifiedMs: Int64?

    public init(key: String, sizeBytes: Int, lastModifiedMs: Int64? = nil) {
        self.key = key
        self.sizeBytes = sizeBytes
        self.lastModifiedMs = lastModifiedMs
    }
}

/// One page of a listing.
public struct ListPage: Sendable, Equatable {
    public var objects: [ListedObject]
    /// Give this as `startAfter` to go on; nil at the end of the listing.
    public var next: String?

    public init(objects: [ListedObject], next: String?) {
        self.objects = objects
        self.next = next
    }
}
