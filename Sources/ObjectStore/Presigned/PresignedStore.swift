public import AsyncHTTPClient
public import NIOCore
import NIOHTTP1
public import TransportTLS

/// A store that can only do what somebody with keys has permitted beforehand: put an object that is not there yet, and read it
/// back. No credentials are here, and none are needed.
///
/// - `put` with `ifAbsent` sends `If-None-Match: *`, which the URL's signature covers: whoever has the URL can create the object
///   once and change nothing. Without `ifAbsent` it needs a permission of its own.
/// - `head` is a ranged GET, because a HEAD would need a third signature.
/// - Where a permission is missing or over, ``Permissions/wanted`` is called and the error is `.throttled`: try again in a while.
/// - `list` and `delete` are `.invalid`.
public struct PresignedStore: ObjectStore {
    /// Where URLs come from.
    public struct Permissions: Sendable {
        /// A URL that may still be good; nil: ask for one.
        public var url: @Sendable (PresignedUse, _ key: String) -> String?
        /// There is none, or (`refused`) the store says that it is not good any more.
        public var wanted: @Sendable (PresignedUse, _ key: String, _ refused: String?) -> Void

        public init(
            url: @escaping @Sendable (PresignedUse, _ key: String) -> String?,
            wanted: @escaping @Sendable (PresignedUse, _ key: String, _ refused: String?) -> Void
        ) {
            self.url = url
            self.wanted = wanted
        }
    }

    private let transport: S3Transport
    private let permissions: Permissions
    private let objectBytesMax: Int
    private static let pause = Duration.seconds(2)

    /// Of `configuration` only timeouts and sizes count; its credentials are not used. `tls` is asked for each request; nil:
    /// as the client has it.
    public init(
        configuration: S3Configuration, httpClient: HTTPClient, permissions: Permissions, tls: LiveClientTLS? = nil
    ) throws(ObjectStoreError) {
        var configuration = configuration
        configuration.credentials = nil
        try configuration.validate()
        transport = S3Transport(
            configuration, try S3Endpoint(configuration), client: httpClient, tls: tls, wallClockMs: { 0 })
        objectBytesMax = configuration.objectBytesMax
        self.permissions = permissions
    }

    public func put(_ key: String, _ body: ByteBuffer, ifAbsent: Bool) async throws(ObjectStoreError) -> PutResult {
        try await put(key, body, ifAbsent: ifAbsent, pacedBy: nil)
    }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, body, ifAbsent: ifAbsent, pacedBy: pace)
    }

    private func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pacedBy pace: (any UploadPace)?
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        let use = ifAbsent ? PresignedUse.create : .overwrite
        let url = try permitted(use, .put, key)
        var request = S3Request(operation: .put, key: key, method: .PUT, path: "/")
        request.presignedURL = url
        request.body = ObjectBody(body)
        request.pace = pace
        if ifAbsent { request.headers = [("if-none-match", "*")] }
        let reply = try await transport.send(request)
        if ifAbsent, reply.status == 412 { return .alreadyExists }
        guard reply.status == 200 || reply.status == 201 || reply.status == 204 else {
            throw failure(request, reply, use, url)
        }
        return .created(etag: reply.etag)
    }

    public func get(_ key: String, range: Range<Int>?) async throws(ObjectStoreError) -> ByteBuffer {
        try ObjectKey.validate(key, operation: .get)
        if let range { try checkRange(range, key: key) }
        let (reply, request, url) = try await read(key, range)
        guard reply.status == 200 || reply.status == 206 else { throw failure(request, reply, .read, url) }
        guard let range else { return reply.body }
        return try RangeReply.bytes(of: range, in: reply, key: key)
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try ObjectKey.validate(key, operation: .head)
        let (reply, request, url) = try await read(key, 0..<1)
        // No byte to give: the object is there and empty.
        if reply.status == 416 { return ObjectInfo(sizeBytes: 0, etag: reply.etag) }
        if reply.status == 404 { return nil }
        guard reply.status == 200 || reply.status == 206 else { throw failure(request, reply, .read, url) }
        if let total = reply.headers.first(name: "content-range").flatMap({ $0.split(separator: "/").last }) {
            guard let sizeBytes = Int(total), sizeBytes >= 0 else {
                throw ObjectStoreError(.head, key: key, .corrupt("size \(total)"), status: reply.status)
            }
            return ObjectInfo(sizeBytes: sizeBytes, etag: reply.etag)
        }
        return ObjectInfo(sizeBytes: reply.body.readableBytes, etag: reply.etag)
    }

    public func list(prefix: String, startAfter: String?, limit: Int) async throws(ObjectStoreError) -> ListPage {
        throw ObjectStoreError(.list, key: prefix, .invalid("a store without keys cannot list"))
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) -> [String: ObjectStoreError] {
        throw ObjectStoreError(.delete, key: keys.first ?? "", .invalid("a store without keys cannot delete"))
    }

    private func read(
        _ key: String, _ range: Range<Int>?
    ) async throws(ObjectStoreError) -> (S3Reply, S3Request, String) {
        let url = try permitted(.read, .get, key)
        var request = S3Request(operation: .get, key: key, method: .GET, path: "/")
        request.presignedURL = url
        request.replyBytesMax = objectBytesMax
        if let range { request.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")] }
        return (try await transport.send(request), request, url)
    }

    private func permitted(
        _ use: PresignedUse, _ operation: ObjectStoreOperation, _ key: String
    ) throws(ObjectStoreError) -> String {
        if let url = permissions.url(use, key) { return url }
        permissions.wanted(use, key, nil)
        throw ObjectStoreError(
            operation, key: key, .throttled(retryAfter: Self.pause), detail: "no permission from the cloud yet")
    }

    /// 401 and 403 speak of the URL: over, or its signer lost the right. A new one may be good.
    private func failure(
        _ request: S3Request, _ reply: S3Reply, _ use: PresignedUse, _ url: String
    ) -> ObjectStoreError {
        var error = S3Failure.error(request.operation, key: request.key, reply)
        guard case .denied = error.kind else { return error }
        permissions.wanted(use, request.key, url)
        error.kind = .throttled(retryAfter: Self.pause)
        error.detail = "the permission is over; another one is asked for. " + error.detail
        return error
    }
}

public enum PresignedUse: Sendable, Hashable {
    /// PUT with `If-None-Match: *`.
    case create
    /// PUT over what is there.
    case overwrite
    case read
}

/// A URL in its parts: what many of one time have in common, and what is each one's own.
public struct PresignedURL: Sendable, Equatable {
    /// Up to the question mark.
    public var address: String
    /// Up to the signature.
    public var query: String
    public var signature: String

    public static let signatureField = "&X-Amz-Signature="
    public var text: String { address + "?" + query + Self.signatureField + signature }
}

extension S3Store {
    /// Nil without credentials, or for a key that cannot be. `timeMs`: what the store's clock is thought to say.
    public func presigned(_ use: PresignedUse, key: String, expiresSeconds: Int, timeMs: Int64) -> PresignedURL? {
        guard (try? ObjectKey.validate(key, operation: .open)) != nil else { return nil }
        let headers: [(name: String, value: String)] = use == .create ? [("if-none-match", "*")] : []
        return transport.presignedParts(
            use == .read ? .GET : .PUT, path: transport.endpoint.path(key: key), headers: headers,
            expiresSeconds: expiresSeconds, timeMs: timeMs)
    }
}
