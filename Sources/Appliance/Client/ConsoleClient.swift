import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1
import TransportTLS

/// Asks the console of a running role: what the commands know of it.
enum ConsoleClient {
    struct Answer {
        var status: Int
        var body: ByteBuffer

        /// Nil when the body is something else.
        func decoded<Value: Decodable>(_ type: Value.Type) -> Value? {
            try? JSONDecoder().decode(type, from: Data(body.readableBytesView))
        }
    }

    /// - Parameters:
    ///   - node: `http://HOST:PORT`, with or without a slash at its end.
    ///   - path: with its query.
    ///   - bytesMax: of the answer.
    ///   - tls: how an `https://` node is known, and what is shown to it.
    /// Throws when nobody answers within `timeout`, or with more.
    static func ask(
        _ node: String, _ path: String, method: HTTPMethod = .GET, headers: [(String, String)] = [], json: Data? = nil,
        bytesMax: Int, timeout: TimeAmount = .seconds(10), tls: ClientTLS = ClientTLS()
    ) async throws -> Answer {
        var address = node
        while address.hasSuffix("/") { address.removeLast() }
        var request = HTTPClientRequest(url: address + path)
        request.method = method
        request.headers = HTTPHeaders(headers)
        if let json {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: json))
        }
        guard tls.isUsed else { return try await answer(request, HTTPClient.shared, bytesMax, timeout) }
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton, configuration: .init(tlsConfiguration: try tls.configuration()))
        let result: Result<Answer, any Error>
        do {
            result = .success(try await answer(request, client, bytesMax, timeout))
        } catch {
            result = .failure(error)
        }
        try? await client.shutdown()
        return try result.get()
    }

    private static func answer(
        _ request: HTTPClientRequest, _ client: HTTPClient, _ bytesMax: Int, _ timeout: TimeAmount
    ) async throws -> Answer {
        do {
            let response = try await client.execute(request, timeout: timeout)
            return Answer(status: Int(response.status.code), body: try await response.body.collect(upTo: bytesMax))
        } catch {
            guard let trouble = TLSTrouble.text(error) else { throw error }
            throw TLSFlaw(description: trouble)
        }
    }
}
