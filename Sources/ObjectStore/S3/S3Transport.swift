import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import Synchronization
import TransportTLS

/// One request before it is signed.
struct S3Request {
    var operation: ObjectStoreOperation
    /// For errors; the prefix of a listing.
    var key: String
    var method: HTTPMethod
    var path: String
    /// Signed by somebody else: sent as it is, and nothing is added that it does not cover.
    var presignedURL: String?
    var query: [(name: String, value: String)] = []
    var headers: [(name: String, value: String)] = []
    var body = ObjectBody()
    /// The most that the reply's body may have.
    var replyBytesMax = S3Configuration.documentBytesMax
    /// Bytes that the store must handle before it can answer, beside the body: they lengthen the timeout.
    var extraWorkBytes = 0
    /// When the body's bytes may leave; nil: at once.
    var pace: (any UploadPace)?
}

/// One whole reply.
struct S3Reply {
    var status: Int
    var headers: HTTPHeaders
    var body: ByteBuffer

    var dateMs: Int64? { headers.first(name: "date").flatMap(TimeText.parseHTTPDate) }
    var etag: String? { headers.first(name: "etag") }
}

/// Signs, sends and collects. The one thing it repeats by itself is a request that was refused for the clock's sake.
///
/// The clock offset is shared by all requests of a store and lives as long as it; nothing else is kept.
final class S3Transport: Sendable {
    private let configuration: S3Configuration
    let endpoint: S3Endpoint
    private let client: HTTPClient
    private let wallClockMs: @Sendable () -> Int64
    private let clockOffsetMs = Atomic<Int64>(0)
    private let signer: SigV4?
    /// Nil: the client's own.
    private let tls: LiveClientTLS?

    init(
        _ configuration: S3Configuration, _ endpoint: S3Endpoint, client: HTTPClient, tls: LiveClientTLS?,
        wallClockMs: @escaping @Sendable () -> Int64
    ) {
        self.configuration = configuration
        self.endpoint = endpoint
        self.client = client
        self.tls = tls
        self.wallClockMs = wallClockMs
        signer = configuration.credentials.map { SigV4(credentials: $0, region: configuration.region) }
    }

    /// What is added to the local wall clock when signing.
    var clockOffset: Duration { .milliseconds(clockOffsetMs.load(ordering: .relaxed)) }

    func send(_ request: S3Request) async throws(ObjectStoreError) -> S3Reply {
        let payload = request.presignedURL == nil ? payloadHeaders(request.body) : []
        let signedAtMs = nowMs()
        let reply = try await attempt(request, payload, signedAtMs)
        guard signer != nil, let offset = ClockSkew.offset(reply, signedAtMs: signedAtMs, localMs: wallClockMs()) else {
            return reply
        }
        clockOffsetMs.store(offset, ordering: .relaxed)
        return try await attempt(request, payload, nowMs())
    }

    /// A URL that lets its holder do `method` on `path` without credentials.
    func presigned(_ method: HTTPMethod, path: String, expiresSeconds: Int) -> String? {
        guard let signer else { return nil }
        let request = SigV4.Request(
            method: method.rawValue, path: path, headers: [("host", endpoint.authority)],
            payloadHash: SigV4.unsignedPayload)
        return endpoint.url(
            path: path, query: signer.presign(request, expiresSeconds: expiresSeconds, timeMs: nowMs()))
    }

    /// The same in parts, at a time of the caller's, with headers that its holder must send.
    func presignedParts(
        _ method: HTTPMethod, path: String, headers: [(name: String, value: String)], expiresSeconds: Int,
        timeMs: Int64
    ) -> PresignedURL? {
        guard let signer else { return nil }
        let request = SigV4.Request(
            method: method.rawValue, path: path, headers: [("host", endpoint.authority)] + headers,
            payloadHash: SigV4.unsignedPayload)
        let healedMs = timeMs.addingReportingOverflow(clockOffsetMs.load(ordering: .relaxed)).partialValue
        let query = signer.presign(request, expiresSeconds: expiresSeconds, timeMs: healedMs)
        guard let end = query.firstRange(of: PresignedURL.signatureField) else { return nil }
        return PresignedURL(
            address: endpoint.url(path: path, query: ""), query: String(query[..<end.lowerBound]),
            signature: String(query[end.upperBound...]))
    }

    private func nowMs() -> Int64 {
        wallClockMs().addingReportingOverflow(clockOffsetMs.load(ordering: .relaxed)).partialValue
    }

    private func attempt(
        _ request: S3Request, _ payload: [(name: String, value: String)], _ timeMs: Int64
    ) async throws(ObjectStoreError) -> S3Reply {
        do {
            let response = try await execute(request, payload, timeMs)
            return try await collect(response, request)
        } catch {
            throw S3Failure.error(request.operation, key: request.key, thrown: error)
        }
    }

    /// From the call to the reply's head, watched: see ``UploadProgress``.
    private func execute(
        _ request: S3Request, _ payload: [(name: String, value: String)], _ timeMs: Int64
    ) async throws -> HTTPClientResponse {
        let limits = UploadProgress.Limits(
            beginning: TimeAmount(configuration.attemptTimeout),
            piece: TimeAmount(configuration.progressTimeout),
            reply: timeout(
                bytes: min(request.body.sizeBytes, S3Configuration.buffersBytesMax) + request.extraWorkBytes))
        let watch = UploadWatch(
            UploadProgress(limits: limits, hasBody: request.body.sizeBytes > 0, now: .now()))
        var message = signed(request, payload, timeMs)
        if request.body.sizeBytes > 0 {
            let slices = PacedSlices(body: request.body, pace: request.pace, watch: watch)
            message.body = .stream(slices, length: .known(Int64(request.body.sizeBytes)))
        }
        let running = Task { [client, message] in try await client.execute(message, deadline: .distantFuture) }
        let look = min(limits.piece, limits.reply, limits.beginning, .seconds(1))
        let timer = client.eventLoopGroup.any().scheduleRepeatedTask(initialDelay: look, delay: look) { _ in
            if watch.isStuck { running.cancel() }
        }
        defer { timer.cancel() }
        // Awaited, and cancelled with the caller: as bound to it as a child task.
        return try await withTaskCancellationHandler {
            do {
                return try await running.value
            } catch {
                throw watch.isStuck && !Task.isCancelled ? HTTPClientError.deadlineExceeded : error
            }
        } onCancel: {
            running.cancel()
        }
    }

    private func signed(
        _ request: S3Request, _ payload: [(name: String, value: String)], _ timeMs: Int64
    ) -> HTTPClientRequest {
        // The host of a URL that is not ours is in it.
        let host = request.presignedURL == nil ? [("host", endpoint.authority)] : []
        var headers = request.headers + payload + host
        if let signer {
            let facts = SigV4.Request(
                method: request.method.rawValue, path: request.path, query: request.query, headers: headers,
                payloadHash: payload.first { $0.name == "x-amz-content-sha256" }?.value ?? SigV4.unsignedPayload)
            headers += signer.sign(facts, timeMs: timeMs)
        }
        headers.append(("user-agent", "cairn"))
        var message = HTTPClientRequest(
            url: request.presignedURL
                ?? endpoint.url(path: request.path, query: URIEncoding.query(request.query)))
        message.method = request.method
        message.headers = HTTPHeaders(headers)
        // The client keeps connections of each configuration apart, so a renewed one counts from the next request on.
        message.tlsConfiguration = tls?.configuration
        return message
    }

    /// Computed once, before the first byte is sent, over the very bytes that are sent.
    private func payloadHeaders(_ body: ObjectBody) -> [(name: String, value: String)] {
        guard body.sizeBytes > 0 else { return [("x-amz-content-sha256", SigV4.emptyPayload)] }
        guard body.sizeBytes > configuration.signedPayloadBytesMax ?? Int.max else {
            return [("x-amz-content-sha256", Hex.lowercase(Digest.sha256(body)))]
        }
        let crc = Digest.crc32c(body)
        let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: crc >> UInt32($0)) }
        return [("x-amz-content-sha256", SigV4.unsignedPayload), ("x-amz-checksum-crc32c", Base64.encode(bytes))]
    }

    private func timeout(bytes: Int) -> TimeAmount {
        let transferMs = bytes / max(1, configuration.slowestBytesPerSecond / 1000)
        return TimeAmount(configuration.attemptTimeout) + .milliseconds(Int64(transferMs))
    }

    private func collect(_ response: HTTPClientResponse, _ request: S3Request) async throws -> S3Reply {
        let status = Int(response.status.code)
        let limit = (200..<300).contains(status) ? request.replyBytesMax : S3Configuration.documentBytesMax
        var reply = S3Reply(status: status, headers: response.headers, body: ByteBuffer())
        guard request.method != .HEAD else { return reply }
        let announced = response.headers.first(name: "content-length").flatMap(Int.init)
        if let announced, announced > limit { throw tooLarge(request, announced, limit) }
        if announced == 0 || status == 204 { return reply }
        let reader = S3BodyReader(
            limit: limit, announced: announced, timeout: timeout(bytes: announced ?? limit),
            progressTimeout: TimeAmount(configuration.progressTimeout))
        reply.body = try await reader.read(response.body, watchedBy: client.eventLoopGroup.any())
        if let announced, reply.body.readableBytes != announced {
            let why = "reply of \(reply.body.readableBytes) of \(announced) bytes"
            throw ObjectStoreError(request.operation, key: request.key, .corrupt(why), status: status)
        }
        return reply
    }

    private func tooLarge(_ request: S3Request, _ sizeBytes: Int, _ limitBytes: Int) -> ObjectStoreError {
        let why = "reply of at least \(sizeBytes) bytes, at most \(limitBytes) allowed"
        return ObjectStoreError(request.operation, key: request.key, .invalid(why))
    }
}

/// Heals a wrong wall clock: a gateway may wake up decades off, and must still be able to sign.
enum ClockSkew {
    /// S3 itself allows 15 minutes; a smaller difference is not why a request was refused.
    static let toleratedMs: Int64 = 4 * 60 * 1000

    /// The offset to sign with from now on, when `reply` refuses a request signed at `signedAtMs` and the store's
    /// clock is far from that. A 403 to HEAD has no body and so no code, so that the status decides.
    static func offset(_ reply: S3Reply, signedAtMs: Int64, localMs: Int64) -> Int64? {
        guard reply.status == 403 || reply.status == 400, let storeMs = reply.dateMs else { return nil }
        if reply.status == 400, S3Fault.read(reply.body)?.code != "RequestTimeTooSkewed" { return nil }
        let (skewMs, overflow) = storeMs.subtractingReportingOverflow(signedAtMs)
        guard overflow || skewMs.magnitude > toleratedMs.magnitude else { return nil }
        return storeMs.subtractingReportingOverflow(localMs).partialValue
    }
}
