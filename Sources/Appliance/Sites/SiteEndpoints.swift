import Cloud
import Console
import FoundationEssentials
import NIOCore
import SiteAuthority
import TransportTLS

/// Administration of sites over a node's HTTP address: `GET /v1/sites` lists, `POST /v1/sites` changes.
///
/// Who may: with `http.admin-token` whoever sends it (`authorization: Bearer …`), from wherever; without one only connections
/// from this machine that no proxy passed on. The header `cairn-admin` keeps pages in a browser on this machine from asking.
enum SiteEndpoints {
    static func all(_ role: CloudRole) -> [ConsoleEndpoint] {
        [
            ConsoleEndpoint(.get, "/v1/sites") { call in
                guard mayAdminister(call, role.settings.adminToken) else { return refused(role.settings) }
                return ConsoleAnswer(200, json: json(role.broker.sites.overview()))
            },
            ConsoleEndpoint(.post, "/v1/sites", bodyBytesMax: 64 << 10) { call in
                guard mayAdminister(call, role.settings.adminToken) else { return refused(role.settings) }
                guard let order = try? JSONDecoder().decode(SiteOrder.self, from: Data(call.body.readableBytesView))
                else { return ConsoleAnswer(400, json: failure("", "not an order about a site")) }
                do throws(SiteFailure) {
                    return ConsoleAnswer(200, json: json(try await obey(order, role)))
                } catch {
                    return ConsoleAnswer(error.status, json: failure(order.site, "\(error)"))
                }
            },
        ]
    }

    static func mayAdminister(_ call: ConsoleCall, _ token: String?) -> Bool {
        guard call.header("cairn-admin") != nil else { return false }
        guard let token else { return call.isLocal }
        let given = call.header("authorization") ?? ""
        return MessageCode.isEqual(Array(given.utf8), Array("Bearer \(token)".utf8))
    }

    private static func refused(_ settings: CloudSettings) -> ConsoleAnswer {
        let why =
            settings.adminToken == nil
            ? "only from the node's own machine, while http.admin-token is not set" : "the admin token does not fit"
        return ConsoleAnswer(403, json: failure("", why))
    }

    private static func obey(_ order: SiteOrder, _ role: CloudRole) async throws(SiteFailure) -> SiteOrderReply {
        let sites = role.broker.sites
        var reply = SiteOrderReply(site: order.site)
        switch order.action {
        case .add:
            let key = try await sites.add(site: order.site, topics: order.topics ?? [], lanes: order.lanes ?? [])
            reply.key = key.text
        case .rotate:
            let overlap = min(max(0, order.overlapSeconds ?? 0), 10 * 365 * 86_400)
            reply.key = try await sites.rotate(site: order.site, overlapMs: overlap * 1000).text
        case .revoke: try await sites.revoke(site: order.site)
        case .grant: try await sites.grant(site: order.site, topics: order.topics, lanes: order.lanes)
        case .set:
            var values: [String: String?] = [:]
            for name in order.removes ?? [] { values[name] = .some(nil) }
            for (name, value) in order.values ?? [:] { values[name] = value }
            try await sites.direct(site: order.site, values)
        case .retry: await sites.retry(site: order.site)
        case .fence: try await sites.fence(site: order.site, incarnation: order.incarnation ?? "")
        case .update, .upload:
            guard let bundle = order.bundle else { throw .invalid("an order about a bundle that names none") }
            if order.action == .update {
                reply.isNew = try await role.bundles.update(order.site, bundle)
            } else {
                reply = try await role.bundles.upload(bundle, reply)
            }
        case .bundles: reply.bundles = try await role.bundles.list()
        }
        guard reply.key != nil || order.action == .upload else { return reply }
        reply.announce = announce(role.settings)
        if reply.announce?.allSatisfy({ $0.hasPrefix("https://") }) == true {
            reply.announceAuthorities = role.settings.announceAuthorities
        }
        reply.store = store(role.settings.store)
        return reply
    }

    private static func announce(_ settings: CloudSettings) -> [String] {
        guard settings.sitesAnnounce.isEmpty else { return settings.sitesAnnounce }
        return settings.http.map { ["\(settings.tls == nil ? "http" : "https")://\($0)"] } ?? []
    }

    /// Where the objects are, without keys.
    private static func store(_ settings: StoreSettings?) -> SiteOrderReply.Store? {
        switch settings {
        case .directory(let path): SiteOrderReply.Store(url: "dir:\(path)", endpoint: "", region: "", pathStyle: false)
        case .s3(let s3):
            SiteOrderReply.Store(
                url: "s3://\(s3.bucket)" + (s3.prefix.isEmpty ? "" : "/\(s3.prefix)"), endpoint: s3.endpoint,
                region: s3.region, pathStyle: s3.pathStyle,
                authorities: s3.tls.authorities.flatMap { try? PEMText($0) }.map {
                    String(decoding: $0.bytes, as: UTF8.self)
                })
        case .stub, nil: nil
        }
    }

    private static func failure(_ site: String, _ reason: String) -> ByteBuffer {
        var reply = SiteOrderReply(site: site)
        reply.error = reason
        return json(reply)
    }

    private static func json(_ value: some Encodable) -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts, numbers and lists always encode.
        guard let data = try? encoder.encode(value) else { return ByteBuffer() }
        return ByteBuffer(bytes: data)
    }
}
