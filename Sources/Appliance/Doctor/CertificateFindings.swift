import FoundationEssentials
import TransportTLS

/// Certificates: those that settings name, and those that servers show. Whether they are valid, for how long, and for whom.
enum CertificateFindings {
    static let name = "tls"

    /// A certificate with its key, or authorities, as settings name them.
    struct Files: Sendable, Equatable {
        enum Kind: Sendable, Equatable {
            /// Shown to others; the first is its owner's own.
            case chain
            /// What others are judged by.
            case authorities
        }

        /// The setting.
        var setting: String
        /// A path, or PEM itself.
        var text: String
        var kind: Kind
    }

    /// A server that this machine connects to with TLS.
    struct Server: Sendable, Equatable {
        /// The setting.
        var setting: String
        var host: String
        var port: Int
        var tls: ClientTLS

        var place: String { "\(setting) \(HostPort(host: host, port: port))" }
    }

    /// By which time dates are judged; nil: none is known.
    typealias Now = Int64?

    private static let daySeconds: Int64 = 86_400

    /// A renewal is due when so little of it is left: 30 days, or a third of its life where that is shorter.
    static func dueSeconds(_ facts: CertificateFacts) -> Int64 {
        min(30 * daySeconds, (facts.endsSeconds - facts.beginsSeconds) / 3)
    }

    // MARK: Files

    static func findings(_ files: Files, now: Now) -> [Finding] {
        let place = files.text.contains("-----BEGIN ") ? files.setting : "\(files.setting) \(files.text)"
        let chain: [CertificateFacts]
        do {
            chain = try CertificateFacts.read(files.text)
        } catch {
            return [.failure(name, "\(files.setting): \(error)", "name a PEM file with certificates")]
        }
        return files.kind == .chain ? own(chain, place, now) : authorities(chain, place, now)
    }

    private static func own(_ chain: [CertificateFacts], _ place: String, _ now: Now) -> [Finding] {
        var found = [
            dates(
                chain, place, now,
                advice: "renew it and put the new chain and key in the place of the old ones; "
                    + "what runs takes them by itself")
        ]
        for (subject, issuer) in zip(chain, chain.dropFirst()) where !subject.isSigned(by: issuer) {
            found.append(
                .failure(
                    name, "\(place): certificate '\(subject.name)' is not signed by the next one, '\(issuer.name)'",
                    "put the own certificate first, then the one that signed it, and so on"))
        }
        return found
    }

    /// Others may still be good when one is over.
    private static func authorities(_ all: [CertificateFacts], _ place: String, _ now: Now) -> [Finding] {
        guard let now else { return [.skipped(name, "\(place): \(all.count) authorities; the time is not known")] }
        let good = all.filter { $0.beginsSeconds <= now && now < $0.endsSeconds }
        let advice = "get the new certificates of the authority and put them into that file"
        guard let last = good.map(\.endsSeconds).max() else {
            return [.failure(name, "\(place): no authority in it is valid now", advice)]
        }
        if let over = all.first(where: { $0.endsSeconds <= now }) {
            return [.warning(name, "\(place): authority '\(over.name)' is over since \(day(over.endsSeconds))", advice)]
        }
        let due = good.filter { $0.endsSeconds - now < dueSeconds($0) }
        if let first = due.min(by: { $0.endsSeconds < $1.endsSeconds }) {
            return [
                .warning(name, "\(place): authority '\(first.name)' \(left(first.endsSeconds, now))", advice)
            ]
        }
        return [
            .good(name, "\(place): \(all.count == 1 ? "an authority" : "\(all.count) authorities"), until \(day(last))")
        ]
    }

    /// The certificate of a chain that ends first decides.
    private static func dates(_ chain: [CertificateFacts], _ place: String, _ now: Now, advice: String) -> Finding {
        guard let own = chain.first, let first = chain.min(by: { $0.endsSeconds < $1.endsSeconds }) else {
            return .failure(name, "\(place): no certificate", advice)
        }
        let what = first == own ? "'\(own.name)'" : "'\(first.name)', between '\(own.name)' and its authority,"
        guard let now else {
            return .skipped(name, "\(place): \(what) until \(day(first.endsSeconds)); the time is not known")
        }
        if let early = chain.first(where: { $0.beginsSeconds > now }) {
            return .failure(
                name, "\(place): '\(early.name)' is valid only from \(day(early.beginsSeconds)) on",
                "check the clock (it is \(day(now))), or wait, or get another certificate")
        }
        guard now < first.endsSeconds else {
            return .failure(name, "\(place): \(what) is over since \(day(first.endsSeconds))", advice)
        }
        let text = "\(place): \(what) \(left(first.endsSeconds, now))"
        return first.endsSeconds - now < dueSeconds(first) ? .warning(name, text, advice) : .good(name, text)
    }

    // MARK: Servers

    enum Answer: Sendable, Equatable {
        /// What the server showed, its own certificate first.
        case shown([CertificateFacts])
        /// No TLS came about, for another reason than a certificate.
        case failed(String)
        /// Nobody is there; other findings say so.
        case unreachable(String)
    }

    static func findings(_ server: Server, _ answer: Answer, now: Now) -> [Finding] {
        switch answer {
        case .unreachable(let reason): return [.skipped(name, "\(server.place): \(reason)")]
        case .failed(let reason):
            return [
                .failure(
                    name, "\(server.place): \(reason)",
                    "check that this is the port for https://, and what stands between (a proxy, a firewall)")
            ]
        case .shown(let chain):
            let dates = dates(
                chain, server.place, now,
                advice:
                    "whoever runs that server has to renew its certificate; cairn doctor on a cloud node says the same")
            return [dates] + [trust(server, chain)].compactMap { $0 }
        }
    }

    /// Nil when it is trusted.
    private static func trust(_ server: Server, _ chain: [CertificateFacts]) -> Finding? {
        let flaw: String?
        do { flaw = try CertificateFacts.distrust(chain, as: server.host, authorities: server.tls.authorities) } catch {
            flaw = error.description
        }
        guard let flaw else { return nil }
        let role = server.setting.prefix { $0 != "." }
        let isName = flaw.contains("ostname mismatch") || flaw.contains("IP address mismatch")
        let advice =
            isName
            ? "name the server as its certificate does ('\(chain.first?.name ?? "")'), or give it a certificate for \(server.host)"
            : "\(role).tls-ca names the file of the authority that signed it; certificates between must come with the server's own"
        return .failure(name, "\(server.place): '\(chain.first?.name ?? "")' is not trusted: \(flaw)", advice)
    }

    // MARK: Words

    private static func left(_ ends: Int64, _ now: Int64) -> String {
        "until \(day(ends)), \(CertificateFacts.span(ends - now)) more"
    }

    private static func day(_ seconds: Int64) -> String {
        Date(timeIntervalSince1970: Double(seconds)).formatted(.iso8601.year().month().day())
    }
}
