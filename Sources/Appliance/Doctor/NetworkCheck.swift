import AsyncHTTPClient
import Foundation
import NIOCore
import ObjectStore
import Uplink

/// The far side: names, the store, the cloud nodes that are told of objects.
enum NetworkCheck {
    // MARK: Names

    static let namesName = "names"

    /// - Parameter addresses: nil when nobody answered in time.
    static func names(_ host: String, addresses: [String]?, seconds: Int64) -> Finding {
        let advice =
            "check /etc/resolv.conf and the route to the name server (resolvectl query \(host)), or use an address"
        guard let addresses else {
            return .failure(namesName, "\(host): no answer from the name server within \(seconds) s", advice)
        }
        guard let first = addresses.first else { return .failure(namesName, "\(host) is not known", advice) }
        return .good(namesName, "\(host) is \(first)" + (addresses.count > 1 ? " and \(addresses.count - 1) more" : ""))
    }

    /// The host of a URL, when it is a name.
    static func name(ofURL text: String) -> String? {
        guard let host = URL(string: text)?.host(), !host.contains(":"),
            (try? SocketAddress(ipAddress: host, port: 0)) == nil
        else { return nil }
        return host
    }

    static func resolve(_ host: String) -> [String] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var texts: [String] = []
        var next = list
        while let entry = next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            if getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
                == 0
            {
                let address = text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
                if !texts.contains(address) { texts.append(address) }
            }
            next = entry.pointee.ai_next
        }
        return texts
    }

    // MARK: Store

    static let storeName = "store"

    static func store(_ report: StoreProbeReport, _ description: String) -> [Finding] {
        let flaws = report.findings.filter { $0.flaw != nil }
        let working = report.findings.count - flaws.count
        return [
            .good(
                storeName,
                "\(description): written, read and listed; \(working) of \(report.findings.count) capabilities")
        ]
            + flaws.map { .warning(storeName, "\($0.what): \($0.flaw ?? "")", advice(of: $0.what)) }
    }

    private static func advice(of what: String) -> String {
        switch what {
        case "create only if absent", "create only, in parts":
            "gateways work without; do not let two nodes write one prefix, and ask for a store with conditional writes"
        case "LIST sees what was PUT", "LIST in byte order, in pages":
            "grant s3:ListBucket if it is missing; without, objects are found by announcements only"
        case "DELETE of many at once": "objects are deleted one by one; grant s3:DeleteObject if it is missing"
        default: "cairn works without it"
        }
    }

    static func store(_ error: ObjectStoreError, _ description: String) -> Finding {
        .failure(
            storeName, "\(description): \(error)",
            "check store.url, store.endpoint and the keys, the clock, and that this machine reaches the endpoint")
    }

    /// A directory store, looked at and not written to where its files would get another owner.
    static func directoryStore(_ facts: DataDirectoryCheck.Facts) -> Finding {
        var finding = DataDirectoryCheck.directory(facts)
        finding.check = storeName
        finding.advice = finding.advice.map { $0.replacing("data-dir", with: "store.url") }
        return finding
    }

    // MARK: Announcements

    static let announceName = "announce"

    static func announce(_ url: String, _ outcome: Result<Void, AnnounceError>, isSigned: Bool) -> Finding {
        guard case .failure(let error) = outcome else {
            return .good(announceName, "\(url) answers" + (isSigned ? ", and takes this site's key" : ""))
        }
        switch error.kind {
        case .refused, .challenged:
            return .failure(
                announceName, "\(url) does not take this gateway: \(error)",
                "the site must be registered there with this key: cairn site list, cairn site add or rotate")
        case .badReply where isSigned:
            return .failure(
                announceName, "\(url) does not know this site's key: \(error)",
                "check that the address is this site's cloud node, and uplink.site-key against cairn site list")
        case .busy:
            return .warning(announceName, "\(url) is busy: \(error)", "look at the cloud node's /health")
        case .untrusted:
            return .failure(
                announceName, "\(url): \(error)",
                "uplink.tls-ca names the authorities of the cloud node, uplink.tls-certificate and -key what it asks for: docs/site-authority.md"
            )
        case .unreachable, .badReply, .contested:
            return .failure(
                announceName, "\(url) does not answer as a cloud node: \(error)",
                "check uplink.announce, the route and the firewall, and that the cloud node's http.listen is reachable")
        }
    }

    /// A greeting without a statement: it proves who asks, and changes nothing there.
    static func greet(_ url: String, _ session: SiteSession, _ client: HTTPClient) async -> Result<Void, AnnounceError>
    {
        do {
            _ = try await HTTPAnnouncer(client: client, baseURLs: [url], timeout: .seconds(5), session: session).greet()
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}
