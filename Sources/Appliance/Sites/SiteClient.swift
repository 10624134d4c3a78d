import AsyncHTTPClient
import Cloud
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// Asks a cloud node about its sites.
struct SiteClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let node: String
    let token: String?
    private static let bytesMax = 64 << 20

    func order(_ order: SiteOrder) async throws(Failure) -> SiteOrderReply {
        let encoder = JSONEncoder()
        guard let body = try? encoder.encode(order) else { throw Failure(description: "the order does not encode") }
        let (status, answer) = try await ask(body)
        guard let reply = try? JSONDecoder().decode(SiteOrderReply.self, from: Data(answer.readableBytesView)) else {
            throw Failure(description: "\(node): status \(status), not a cloud node's answer")
        }
        guard status == 200 else { throw Failure(description: reply.error ?? "status \(status)") }
        return reply
    }

    func list() async throws(Failure) -> [SiteOverview] {
        let (status, answer) = try await ask(nil)
        let data = Data(answer.readableBytesView)
        guard status == 200 else {
            let said = try? JSONDecoder().decode(SiteOrderReply.self, from: data)
            throw Failure(description: "\(node): \(said?.error ?? "status \(status)")")
        }
        guard let sites = try? JSONDecoder().decode([SiteOverview].self, from: data) else {
            throw Failure(description: "\(node): not a cloud node's answer")
        }
        return sites
    }

    private func ask(_ body: Data?) async throws(Failure) -> (Int, ByteBuffer) {
        var url = node
        while url.hasSuffix("/") { url.removeLast() }
        var request = HTTPClientRequest(url: url + "/v1/sites")
        request.headers.add(name: "cairn-admin", value: "1")
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token)") }
        if let body {
            request.method = .POST
            request.headers.add(name: "content-type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        do {
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
            return (Int(response.status.code), try await response.body.collect(upTo: Self.bytesMax))
        } catch {
            throw Failure(description: "\(node): \(error)")
        }
    }
}
