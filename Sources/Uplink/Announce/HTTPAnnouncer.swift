public import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import ObjectStore
public import SiteAuthority
public import TransportTLS

/// Announces to cloud nodes over HTTP: `POST {base}/v1/announce` with the JSON of ``Announcement``.
///
/// The nodes are tried in turn, beginning with the one that answered last, each within `timeout`; a node that refuses the
/// announcement ends the round, because every other node would refuse it too. Give it a client that does not retry the
/// making of a connection (`connectionPool.retryConnectionEstablishment`), or a dead node costs a whole `timeout`.
///
/// With a ``SiteSession`` that has a key, requests are signed, and a reply that the cloud did not sign counts as none: it
/// carries directives and permissions.
public actor HTTPAnnouncer: Announcer {
    private let client: HTTPClient
    private let tls: LiveClientTLS?
    private let urls: [String]
    private let headers: [(name: String, value: String)]
    private let timeout: Duration
    private let clock: any Clock<Duration>
    private let session: SiteSession?
    private let report: (@Sendable () -> GatewayStatement?)?
    private let onReply: (@Sendable (AnnounceReply) -> Void)?
    private var preferred = 0

    /// `baseURLs` such as `https://cloud.example:8443`; `headers` are sent with each request (a credential, say).
    /// `report` is asked for each request, `onReply` is told each reply, before the caller. `tls` is asked for each request;
    /// nil: as the client has it.
    public init(
        client: HTTPClient, baseURLs: [String], tls: LiveClientTLS? = nil,
        headers: [(name: String, value: String)] = [], timeout: Duration = .seconds(10),
        clock: any Clock<Duration> = ContinuousClock(),
        session: SiteSession? = nil, report: (@Sendable () -> GatewayStatement?)? = nil,
        onReply: (@Sendable (AnnounceReply) -> Void)? = nil
    ) {
        self.session = session
        self.report = report
        self.onReply = onReply
        self.client = client
        self.tls = tls
        self.clock = clock
        self.headers = headers
        self.timeout = timeout
        urls = baseURLs.map { base in
            var base = base
            while base.hasSuffix("/") { base.removeLast() }
            return base + Self.path
        }
    }

    private static let path = "/v1/announce"

    public func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        try await send(
            AnnounceRequest(
                site: announcement.site, incarnation: session?.incarnation ?? announcement.incarnation,
                announcement: announcement, gateway: report?()))
    }

    /// Tells a node that this gateway is there, and learns what the cloud has for it.
    public func greet() async throws(AnnounceError) -> AnnounceReply {
        guard let session else { preconditionFailure("greet() without a session") }
        return try await send(
            AnnounceRequest(
                site: session.site, incarnation: session.incarnation, announcement: nil, gateway: report?()))
    }

    private func send(_ request: AnnounceRequest) async throws(AnnounceError) -> AnnounceReply {
        var last = AnnounceError(.unreachable, detail: "no cloud address configured")
        let body = AnnounceCoding.encode(request)
        for turn in 0..<urls.count {
            let index = (preferred + turn) % urls.count
            do {
                let reply = try await post(body, to: urls[index])
                preferred = index
                onReply?(reply)
                return reply
            } catch {
                last = error
                if error.isFinal || Task.isCancelled { throw error }
            }
        }
        preferred = urls.isEmpty ? 0 : (preferred + 1) % urls.count
        throw last
    }

    /// Once, and once more if the node gives out a challenge that is new.
    private func post(_ body: ByteBuffer, to url: String) async throws(AnnounceError) -> AnnounceReply {
        do {
            return try await postOnce(body, to: url)
        } catch {
            guard case .challenged = error.kind else { throw error }
        }
        return try await postOnce(body, to: url)
    }

    private func postOnce(_ body: ByteBuffer, to url: String) async throws(AnnounceError) -> AnnounceReply {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.tlsConfiguration = tls?.configuration
        request.headers.add(name: "content-type", value: "application/json")
        for header in headers { request.headers.add(name: header.name, value: header.value) }
        let signed = session?.signed(path: Self.path, body: body, node: url)
        for header in signed?.headers ?? [] { request.headers.add(name: header.name, value: header.value) }
        request.body = .bytes(body)
        let response: HTTPClientResponse
        let answer: ByteBuffer
        do {
            (response, answer) = try await exchange(request)
        } catch is NIOTooManyBytesError {
            throw AnnounceError(.badReply, detail: "\(url): more than \(AnnounceCoding.replyBytesMax) bytes")
        } catch {
            if let trouble = TLSTrouble.text(error) { throw AnnounceError(.untrusted, detail: "\(url): \(trouble)") }
            throw AnnounceError(.unreachable, detail: "\(url): \(error)")
        }
        let status = Int(response.status.code)
        let code = response.headers.first(name: AnnounceSignature.Header.code)
        let isSigned =
            session?.isFromCloud(code: code, requestCode: signed?.code, status: status, body: answer) ?? true
        if status == 401, let challenge = response.headers.first(name: AnnounceSignature.Header.challenge),
            session?.learn(challenge: challenge, of: url) == true
        {
            throw AnnounceError(.challenged, status: status, detail: url)
        }
        guard (200..<300).contains(status) else {
            throw Self.error(response, answer, url: url, isSigned: isSigned)
        }
        guard isSigned else {
            throw AnnounceError(
                .badReply, status: status, detail: "\(url): the reply is not signed with this site's key")
        }
        guard let reply = AnnounceCoding.reply(answer) else {
            throw AnnounceError(.badReply, status: status, detail: url)
        }
        return reply
    }

    /// The client's own deadline ends with the response head; the clock bounds the body too.
    private func exchange(
        _ request: HTTPClientRequest
    ) async throws -> (HTTPClientResponse, ByteBuffer) {
        try await withThrowingTaskGroup(of: (HTTPClientResponse, ByteBuffer).self) { group in
            group.addTask { [client, timeout] in
                let response = try await client.execute(request, timeout: TimeAmount(timeout))
                return (response, try await response.body.collect(upTo: AnnounceCoding.replyBytesMax))
            }
            group.addTask { [clock, timeout] in
                try await clock.sleep(for: timeout)
                throw HTTPClientError.deadlineExceeded
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw CancellationError() }
            return first
        }
    }

    /// 400, 401, 403, 404, 413 and 422 speak of the announcement or the credential; all else of the node.
    /// 409, if the cloud signed it, says that another start holds the incarnation.
    private static func error(
        _ response: HTTPClientResponse, _ answer: ByteBuffer, url: String, isSigned: Bool
    ) -> AnnounceError {
        let status = Int(response.status.code)
        let detail = "\(url): \(String(buffer: answer).prefix(200))"
        switch status {
        case 409 where isSigned: return AnnounceError(.contested, status: status, detail: detail)
        case 400, 401, 403, 404, 413, 422: return AnnounceError(.refused, status: status, detail: detail)
        case 429, 503:
            let pause = RetryAfter.parse(
                response.headers.first(name: "retry-after"), date: response.headers.first(name: "date"))
            return AnnounceError(.busy(retryAfter: pause), status: status, detail: detail)
        default: return AnnounceError(.unreachable, status: status, detail: detail)
        }
    }
}
