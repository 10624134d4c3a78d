import AsyncHTTPClient
import FoundationEssentials
import NIOCore
import NIOHTTP1

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
    /// Throws when nobody answers within `timeout`, or with more.
    static func ask(
        _ node: String, _ path: String, method: HTTPMethod = .GET, headers: [(String, String)] = [], json: Data? = nil,
        bytesMax: Int, timeout: TimeAmount = .seconds(10)
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
        let response = try await HTTPClient.shared.execute(request, timeout: timeout)
        return Answer(status: Int(response.status.code), body: try await response.body.collect(upTo: bytesMax))
    }
}
