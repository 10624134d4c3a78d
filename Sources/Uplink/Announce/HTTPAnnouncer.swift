public import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import ObjectStore

/// Announces to cloud nodes over HTTP: `POST {base}/v1/announce` with the JSON of ``Announcement``.
///
/// The nodes are tried in turn, beginning with the one that answered last, each within `timeout`; a node that refuses the
/// announcement ends the round, because every other node would refuse it too. Give it a client that does not retry the
/// making of a connection (`connectionPool.retryConnectionEstablishment`), or a dead node costs a whole `timeout`.
public actor HTTPAnnouncer: Announcer {
    private let client: HTTPClient
    private let urls: [String]
    private let headers: [(name: String, value: String)]
    private let timeout: Duration
    private let clock: any Clock<Duration>
    private var preferred = 0

    /// `baseURLs` such as `https://cloud.example:8443`; `headers` are sent with each request (a credential, say).
    public init(
        client: HTTPClient, baseURLs: [String], headers: [(name: String, value: String)] = [],
        timeout: Duration = .seconds(10), clock: any Clock<Duration> = ContinuousClock()
    ) {
        self.client = client
        self.clock = clock
        self.headers = headers
        self.timeout = timeout
        urls = baseURLs.map { base in
            var base = base
            while base.hasSuffix("/") { base.removeLast() }
            return base + "/v1/announce"
        }
    }

    public func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        var last = AnnounceError(.unreachable, detail: "no cloud address configured")
        let body = AnnounceCoding.encode(announcement)
        for turn in 0..<urls.count {
            let index = (preferred + turn) % urls.count
            do {
                let reply = try await post(body, to: urls[index])
                preferred = index
                return reply
            } catch {
                last = error
                if case .refused = error.kind { throw error }
                if Task.isCancelled { throw error }
            }
        }
        preferred = urls.isEmpty ? 0 : (preferred + 1) % urls.count
        throw last
    }

    private func post(_ body: ByteBuffer, to url: String) async throws(AnnounceError) -> AnnounceReply {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/json")
        for header in headers { request.headers.add(name: header.name, value: header.value) }
        request.body = .bytes(body)
        let response: HTTPClientResponse
        let answer: ByteBuffer
        do {
            (response, answer) = try await exchange(request)
        } catch is NIOTooManyBytesError {
            throw AnnounceError(.badReply, detail: "\(url): more than \(AnnounceCoding.bodyBytesMax) bytes")
        } catch {
            throw AnnounceError(.unreachable, detail: "\(url): \(error)")
        }
        guard (200..<300).contains(response.status.code) else { throw Self.error(response, answer, url: url) }
        guard let reply = AnnounceCoding.reply(answer) else {
            throw AnnounceError(.badReply, status: Int(response.status.code), detail: url)
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
                return (response, try await response.body.collect(upTo: AnnounceCoding.bodyBytesMax))
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
    private static func error(_ response: HTTPClientResponse, _ answer: ByteBuffer, url: String) -> AnnounceError {
        let status = Int(response.status.code)
        let detail = "\(url): \(String(buffer: answer).prefix(200))"
        switch status {
        case 400, 401, 403, 404, 413, 422: return AnnounceError(.refused, status: status, detail: detail)
        case 429, 503:
            let pause = RetryAfter.parse(
                response.headers.first(name: "retry-after"), date: response.headers.first(name: "date"))
            return AnnounceError(.busy(retryAfter: pause), status: status, detail: detail)
        default: return AnnounceError(.unreachable, status: status, detail: detail)
        }
    }
}
