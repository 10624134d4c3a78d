public import AsyncHTTPClient
public import NIOCore
import NIOHTTP1
public import NIOSSL
public import TransportTLS

/// An S3 bucket.
///
/// - Requests: SigV4, payload signed (large ones over TLS: CRC-32C header instead), no trailers and no aws-chunked framing, which many
///   servers refuse or store as data. `README.md` lists the quirks that are met here.
/// - Create-only: `If-None-Match: *`. Where the probe found that a store ignores it (``StoreCapabilities/conditionalCreate`` false),
///   HEAD, then PUT: weaker, two writers at the same moment can both be told "created", and the last one's bytes stay.
/// - Retry: none inside, apart from single parts of a multipart upload and one repetition with a healed clock.
/// - Memory: bodies are sent as they are, in the pieces in which they lie; those that go in parts are put together first. A reply is held
///   whole, bounded by the configuration.
public struct S3Store: ObjectStore {
    public let configuration: S3Configuration
    let transport: S3Transport
    let journal: (any MultipartJournal)?

    /// `journal` lets uploads in parts go on over failures and restarts; without one they are aborted. `httpClient` is the caller's to shut down; ``makeHTTPClient(_:group:)`` makes one with the right timeouts.
    /// `tls` is asked for each request; nil: as the client has it.
    /// Errors: `.invalid` for an endpoint or bucket that cannot be.
    public init(
        configuration: S3Configuration, httpClient: HTTPClient, journal: (any MultipartJournal)? = nil,
        tls: LiveClientTLS? = nil,
        wallClockMs: @escaping @Sendable () -> Int64 = WallClock.nowMs
    ) throws(ObjectStoreError) {
        try configuration.validate()
        let endpoint = try S3Endpoint(configuration)
        self.init(
            configuration, S3Transport(configuration, endpoint, client: httpClient, tls: tls, wallClockMs: wallClockMs),
            journal)
    }

    init(_ configuration: S3Configuration, _ transport: S3Transport, _ journal: (any MultipartJournal)?) {
        self.configuration = configuration
        self.journal = journal
        self.transport = transport
    }

    /// The same store, acting on what the probe found.
    public func adapted(to capabilities: StoreCapabilities) -> S3Store {
        var changed = configuration
        changed.capabilities = capabilities
        return S3Store(changed, transport, journal)
    }

    /// A client without redirects, without hidden connection retries, HTTP/1.1 only, with the configuration's connect timeout (the other ones
    /// are kept by the store). `tls`: how servers are known, and what is shown to them; nil: as the system trusts, and nothing.
    /// `check`: what `tls` leaves to be checked.
    public static func makeHTTPClient(
        _ configuration: S3Configuration, group: any EventLoopGroup = HTTPClient.defaultEventLoopGroup,
        tls: TLSConfiguration? = nil, check: CertificateCheck? = nil
    ) -> HTTPClient {
        var settings = HTTPClient.Configuration(
            tlsConfiguration: tls,
            redirectConfiguration: .disallow,
            timeout: .init(
                connect: TimeAmount(min(max(configuration.connectTimeout, .milliseconds(1)), .seconds(86_400)))))
        settings.httpVersion = .http1Only
        settings.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(1, configuration.connectionsMax)
        settings.connectionPool.retryConnectionEstablishment = false
        settings.http1_1ConnectionDebugInitializer = { channel in
            let tuned = SocketTuning.apply(to: channel, configuration)
            return check.map { check in tuned.flatMap { check.admit(channel) } } ?? tuned
        }
        return HTTPClient(eventLoopGroupProvider: .shared(group), configuration: settings)
    }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent, pacedBy: nil)
    }

    public func put(
        _ key: String, _ body: ObjectBody, ifAbsent: Bool
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, body, ifAbsent: ifAbsent, pacedBy: nil)
    }

    public func put(
        _ key: String, _ body: ByteBuffer, ifAbsent: Bool, pace: any UploadPace
    ) async throws(ObjectStoreError) -> PutResult {
        try await put(key, ObjectBody(body), ifAbsent: ifAbsent, pacedBy: pace)
    }

    private func put(
        _ key: String, _ body: ObjectBody, ifAbsent: Bool, pacedBy pace: (any UploadPace)?
    ) async throws(ObjectStoreError) -> PutResult {
        try ObjectKey.validate(key, operation: .put)
        if let partBytes = partBytes(key, body.sizeBytes, pace) {
            return try await S3Multipart(
                store: self, key: key, body: body.joined, ifAbsent: ifAbsent, pace: pace, journal: journal,
                partBytes: partBytes
            ).run()
        }
        if ifAbsent, !configuration.capabilities.conditionalCreate, try await head(key) != nil { return .alreadyExists }
        var request = request(.put, .PUT, key)
        request.body = body
        request.pace = pace
        if ifAbsent, configuration.capabilities.conditionalCreate { request.headers = [("if-none-match", "*")] }
        let reply = try await transport.send(request)
        if ifAbsent, reply.status == 412 { return .alreadyExists }
        guard reply.status == 200 || reply.status == 201 || reply.status == 204 else { throw failure(request, reply) }
        return .created(etag: reply.etag)
    }

    /// Nil: in one piece. In parts go large bodies, those that would take long on the link as it is, and those of which parts are there already.
    private func partBytes(_ key: String, _ sizeBytes: Int, _ pace: (any UploadPace)?) -> Int? {
        if sizeBytes >= configuration.multipartThresholdBytes { return configuration.partSizeBytes }
        guard let journal else { return nil }
        if journal.entry(key) != nil { return configuration.resumablePartBytes }
        guard sizeBytes >= 2 * configuration.resumablePartBytes, let rate = pace?.linkBytesPerSecond else { return nil }
        return Double(sizeBytes) > rate * 60 ? configuration.resumablePartBytes : nil
    }

    public func head(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try ObjectKey.validate(key, operation: .head)
        let request = request(.head, .HEAD, key)
        let reply = try await transport.send(request)
        if reply.status == 404 { return nil }
        guard reply.status == 200 else { throw failure(request, reply) }
        guard let size = reply.headers.first(name: "content-length").flatMap(Int.init), size >= 0 else {
            throw ObjectStoreError(.head, key: key, .corrupt("no content-length"), status: reply.status)
        }
        let modified = reply.headers.first(name: "last-modified").flatMap(TimeText.parseHTTPDate)
        return ObjectInfo(sizeBytes: size, etag: reply.etag, lastModifiedMs: modified)
    }

    /// A URL that lets its holder GET or PUT `key` for `expiresSeconds` (1 to 604,800) without credentials; nil when this
    /// store has none itself. Treat it as a secret.
    public func presignedURL(_ method: PresignedMethod, key: String, expiresSeconds: Int) -> String? {
        guard (try? ObjectKey.validate(key, operation: .open)) != nil else { return nil }
        return transport.presigned(
            method == .get ? .GET : .PUT, path: transport.endpoint.path(key: key), expiresSeconds: expiresSeconds)
    }

    public enum PresignedMethod: Sendable { case get, put }

    /// What is added to the local wall clock when signing; zero until a store refused a request for its time.
    public var clockOffset: Duration { transport.clockOffset }

    func request(_ operation: ObjectStoreOperation, _ method: HTTPMethod, _ key: String) -> S3Request {
        S3Request(operation: operation, key: key, method: method, path: transport.endpoint.path(key: key))
    }

    func failure(_ request: S3Request, _ reply: S3Reply) -> ObjectStoreError {
        S3Failure.error(request.operation, key: request.key, reply)
    }
}
