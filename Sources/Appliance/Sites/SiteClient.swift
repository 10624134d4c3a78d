import Cloud
import FoundationEssentials
import NIOCore
import NIOHTTP1
import TransportTLS

/// Asks a cloud node about its sites.
struct SiteClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let node: String
    let token: String?
    let tls: ClientTLS
    private static let bytesMax = 64 << 20

    func order(_ order: SiteOrder) async throws(Failure) -> SiteOrderReply {
        let encoder = JSONEncoder()
        guard let body = try? encoder.encode(order) else { throw Failure(description: "the order does not encode") }
        let answer = try await ask(body)
        guard let reply = answer.decoded(SiteOrderReply.self) else {
            throw Failure(description: "\(node): status \(answer.status), not a cloud node's answer")
        }
        guard answer.status == 200 else { throw Failure(description: reply.error ?? "status \(answer.status)") }
        return reply
    }

    func list() async throws(Failure) -> [SiteOverview] {
        let answer = try await ask(nil)
        guard answer.status == 200 else {
            let said = answer.decoded(SiteOrderReply.self)
            throw Failure(description: "\(node): \(said?.error ?? "status \(answer.status)")")
        }
        guard let sites = answer.decoded([SiteOverview].self) else {
            throw Failure(description: "\(node): not a cloud node's answer")
        }
        return sites
    }

    private func ask(_ body: Data?) async throws(Failure) -> ConsoleClient.Answer {
        var headers = [("cairn-admin", "1")]
        if let token { headers.append(("authorization", "Bearer \(token)")) }
        do {
            return try await ConsoleClient.ask(
                node, "/v1/sites", method: body == nil ? .GET : .POST, headers: headers, json: body,
                bytesMax: Self.bytesMax, timeout: .seconds(30), tls: tls)
        } catch {
            throw Failure(
                description: "the cloud node at \(node) (--cloud) cannot be asked: \(ConnectionTrouble.text(error))")
        }
    }
}
