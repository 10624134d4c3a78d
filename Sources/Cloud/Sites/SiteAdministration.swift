import Ledger
import SharedObject
public import SiteAuthority

/// What an administrator does with sites. Each change is one ledger command, made from the state it saw.
extension SiteRegistry {
    /// Registers a site, or again one that was revoked. The key is shown here and never again.
    public func add(site: String, topics: [String], lanes: [String]) async throws(SiteFailure) -> SiteKey {
        guard ObjectKeys.isName(site) else { throw .invalid("site: 1 to 64 letters, digits, '.', '_' or '-'") }
        guard !topics.isEmpty else { throw .invalid("topics: at least one pattern, for example gnss.* or *") }
        for pattern in topics where !Self.isPattern(pattern) {
            throw .invalid("topics: '\(pattern)' is not a name, a name followed by *, or *")
        }
        for lane in lanes where !ObjectKeys.isName(lane) { throw .invalid("lanes: '\(lane)' is no name") }
        let present = ledger.view.registration(site)
        guard present?.isRevoked != false else { throw .exists(site) }
        let (key, record) = try makeKey(
            site: site, generation: (present?.version).map { UInt32(clamping: $0 + 1) } ?? 1)
        var registration = SiteRegistration(topics: topics, lanes: lanes, keys: [record], nowMs: world.wallMs())
        registration.version = (present?.version ?? 0) + 1
        registration.createdMs = present?.createdMs ?? registration.createdMs
        try await write(site, registration)
        return key
    }

    /// A new key, valid at once; those before stay valid for `overlapMs`.
    public func rotate(site: String, overlapMs: Int64) async throws(SiteFailure) -> SiteKey {
        var registration = try active(site)
        // Generations follow the versions, so that a site revoked and added again never meets an old one.
        let (key, record) = try makeKey(site: site, generation: UInt32(clamping: registration.version + 1))
        registration.rotate(to: record, overlapMs: overlapMs, nowMs: world.wallMs())
        try await write(site, registration)
        return key
    }

    /// Nothing of the site is adopted any more, and its announcements are refused.
    public func revoke(site: String) async throws(SiteFailure) {
        var registration = try active(site)
        registration.revoke(nowMs: world.wallMs())
        try await write(site, registration)
    }

    /// Replaces what the site may write to.
    public func grant(site: String, topics: [String]?, lanes: [String]?) async throws(SiteFailure) {
        var registration = try active(site)
        for pattern in topics ?? [] where !Self.isPattern(pattern) {
            throw .invalid("topics: '\(pattern)' is not a name, a name followed by *, or *")
        }
        registration.topics = topics ?? registration.topics
        registration.lanes = lanes ?? registration.lanes
        registration.change(nowMs: world.wallMs())
        try await write(site, registration)
    }

    /// Sets (or, nil, removes) directives.
    public func direct(site: String, _ values: [String: String?]) async throws(SiteFailure) {
        var registration = try active(site)
        for (name, value) in values {
            guard let value else { continue }
            if let flaw = Directive.flaw(name, value) { throw .invalid("\(name): \(flaw)") }
        }
        registration.direct(values, nowMs: world.wallMs())
        try await write(site, registration)
    }

    /// Tells the site to install a bundle, under a serial of its own. False: it is told the same already, and `again` was not asked for.
    public func update(
        site: String, version: String, sizeBytes: Int, sha256: String, key: String, again: Bool
    ) async throws(SiteFailure) -> Bool {
        var registration = try active(site)
        // Versions of a registration are never given twice, so neither are serials.
        let order = UpdateOrder(
            serial: registration.version + 1, version: version, sizeBytes: sizeBytes, sha256: sha256, key: key)
        guard order.isSound, UpdateOrder(order.text) == order else {
            throw .invalid("no such update can be told: \(order.text)")
        }
        if let told = registration.directives["update"].flatMap({ UpdateOrder($0) }), told.isSame(as: order), !again {
            return false
        }
        registration.direct(["update": order.text], nowMs: world.wallMs())
        try await write(site, registration)
        return true
    }

    /// An incarnation that may not be adopted from any more; there is no way back.
    public func fence(site: String, incarnation: String) async throws(SiteFailure) {
        guard ObjectKeys.isIncarnation(incarnation) else { throw .invalid("incarnation: 32 hexadecimal digits") }
        let suspended = ledger.view.site(site)?.isSuspended ?? false
        do {
            _ = try await ledger.submit(
                .setSiteState(
                    SetSiteState(
                        site: site, suspended: suspended, fencedIncarnation: incarnation, nowMs: world.wallMs())))
        } catch { throw SiteFailure(error) }
    }

    /// Looks at once at what was set aside, instead of after the usual pause.
    public func retry(site: String) async { await adopter.retry(site: site) }

    private func write(_ site: String, _ registration: SiteRegistration) async throws(SiteFailure) {
        do {
            try await ledger.setSiteRegistration(
                SetSiteRegistration(site: site, registration: registration, nowMs: world.wallMs()))
        } catch { throw SiteFailure(error) }
        // What did not fit may fit now.
        if !registration.isRevoked { await adopter.retry(site: site) }
    }

    private func active(_ site: String) throws(SiteFailure) -> SiteRegistration {
        guard let registration = ledger.view.registration(site) else { throw .unknown(site) }
        guard !registration.isRevoked else { throw .revoked(site) }
        return registration
    }

    private func makeKey(
        site: String, generation: UInt32
    ) throws(SiteFailure) -> (SiteKey, SiteRegistration.Key) {
        guard let master = masterKey(makes: true) else {
            throw .unavailable("the master key cannot be read or made: \(settings.masterKeyFile ?? "no file is set")")
        }
        let salt = MessageCode.hexadecimal(MessageCode.random(bytes: 16))
        let key = master.siteKey(site: site, generation: generation, salt: salt)
        let record = SiteRegistration.Key(
            generation: generation, salt: salt, fingerprint: key.fingerprint, createdMs: world.wallMs())
        return (key, record)
    }

    private static func isPattern(_ text: String) -> Bool {
        text == "*" || TopicName.isValid(text.hasSuffix("*") ? String(text.dropLast()) : text)
    }
}

/// Why an administrator's wish was not done.
public enum SiteFailure: Error, Equatable, CustomStringConvertible {
    case invalid(String)
    case exists(String)
    case unknown(String)
    case revoked(String)
    /// Somebody else changed it in the same moment: look again.
    case conflict(String)
    case unavailable(String)

    init(_ error: LedgerError) {
        switch error {
        case .refused(.siteChanged(let site, _)): self = .conflict(site)
        case .refused(.unknownSite(let site)): self = .unknown(site)
        case .refused(let refusal): self = .invalid("\(refusal)")
        default: self = .unavailable("\(error)")
        }
    }

    public var status: Int {
        switch self {
        case .invalid: 400
        case .unknown: 404
        case .exists, .revoked, .conflict: 409
        case .unavailable: 503
        }
    }

    public var description: String {
        switch self {
        case .invalid(let what): what
        case .exists(let site): "site \(site) is registered already; rotate gives it a new key"
        case .unknown(let site): "site \(site) is not registered"
        case .revoked(let site): "site \(site) was revoked; add registers it again"
        case .conflict(let site): "site \(site) was changed in the same moment; look again"
        case .unavailable(let what): what
        }
    }
}
