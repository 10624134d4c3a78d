import FoundationEssentials
public import Ledger
import Logging
public import NIOCore
public import SiteAuthority
import Synchronization

/// Which sites there are, who may speak for them, and what they are told.
///
/// Registered sites sign their announcements with a key derived from the node's master key; each request counts once
/// (``SiteGuard``). Sites that nobody registered are taken as they come while ``SiteSettings/isOpen`` holds, and refused
/// otherwise. What a site may write is checked again when its objects are adopted, there and in the ledger.
public final class SiteRegistry: Sendable {
    let ledger: Ledger
    let settings: SiteSettings
    let world: CloudWorld
    let adopter: Adopter
    let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var guards: [String: SiteGuard] = [:]
        var reports: [String: SiteReport] = [:]
        var master: MasterKey?
        var refused: [String: UInt64] = [:]
    }

    init(settings: SiteSettings, ledger: Ledger, adopter: Adopter, world: CloudWorld, logger: Logger) {
        self.settings = settings
        self.ledger = ledger
        self.adopter = adopter
        self.world = world
        self.logger = logger
    }

    // MARK: Who speaks

    /// Checks who sent `body`. Signed requests of registered sites come out with the key that their reply is signed with.
    public func admit(
        site: String, signature: AnnounceSignature?, code: String?, body: ByteBuffer
    ) -> SiteAdmission {
        let admission = judge(site: site, signature: signature, code: code, body: body)
        if case .denied(let denial, _) = admission { note(denial, site: site) }
        return admission
    }

    private func judge(
        site: String, signature: AnnounceSignature?, code: String?, body: ByteBuffer
    ) -> SiteAdmission {
        guard let registration = ledger.view.registration(site) else {
            if signature != nil { return .denied(.notRegistered, nil) }
            return settings.isOpen ? .open : .denied(.notRegistered, nil)
        }
        guard !registration.isRevoked else { return .denied(.revoked, nil) }
        guard let signature, let code, signature.site == site else { return .denied(.unsigned, nil) }
        let nowMs = world.wallMs()
        guard let known = registration.keys.first(where: { $0.generation == signature.generation }),
            known.isValid(nowMs: nowMs)
        else { return .denied(.keyOver(generation: signature.generation), nil) }
        guard let key = key(site: site, known) else { return .denied(.noMasterKey, nil) }
        guard signature.isSigned(code, by: key, body: body) else { return .denied(.wrongCode, nil) }
        let reply = ReplyKey(key: key, requestCode: code)
        switch verdict(signature) {
        case .accept: return .signed(reply)
        case .challenge(let challenge): return .denied(.challenge(challenge), reply)
        case .replay: return .denied(.replay, reply)
        }
    }

    private func verdict(_ signature: AnnounceSignature) -> SiteGuard.Verdict {
        let fresh = { MessageCode.hexadecimal(MessageCode.random(bytes: 16)) }
        return state.withLock { state in
            // At most one for each registered site, and the ledger bounds those.
            var guarding = state.guards[signature.site] ?? SiteGuard(challenge: fresh())
            let verdict = guarding.judge(
                challenge: signature.challenge, nonce: signature.nonce, counter: signature.counter, fresh: fresh())
            state.guards[signature.site] = guarding
            return verdict
        }
    }

    /// Logged the first time, then ever more rarely; a challenge is no news.
    private func note(_ denial: SiteDenial, site: String) {
        if case .challenge = denial { return }
        let count = state.withLock { state in
            if state.refused.count >= 1_000, state.refused[denial.word] == nil { return UInt64(3) }
            state.refused[denial.word, default: 0] += 1
            return state.refused[denial.word, default: 0]
        }
        guard count & (count - 1) == 0 else { return }
        logger.warning(
            "an announcement was refused", metadata: ["site": "\(site)", "reason": "\(denial)", "count": "\(count)"])
    }

    /// Refused announcements since the start, by reason.
    public var refusedCounts: [String: UInt64] { state.withLock { $0.refused } }

    // MARK: Keys

    /// Nil when this node has another master key than the one that made the site's.
    func key(site: String, _ known: SiteRegistration.Key) -> SiteKey? {
        guard let master = masterKey(makes: false) else { return nil }
        let key = master.siteKey(site: site, generation: known.generation, salt: known.salt)
        return key.fingerprint == known.fingerprint ? key : nil
    }

    /// Read once from its file; made, with the file, for the first site that is registered.
    func masterKey(makes: Bool) -> MasterKey? {
        if let known = state.withLock({ $0.master }) { return known }
        guard let file = settings.masterKeyFile else { return nil }
        let found = try? MasterKeyFile.read(file, makes: makes)
        guard let found else {
            logger.error("the master key of the sites cannot be used", metadata: ["file": "\(file)"])
            return nil
        }
        state.withLock { $0.master = found }
        return found
    }

    // MARK: What the gateways say of themselves

    /// Whether this start of the gateway may go on under its incarnation.
    public func note(
        site: String, incarnation: String, report: GatewayStatement, peer: String?
    ) async throws(LedgerError) -> BootOutcome {
        let nowMs = world.wallMs()
        let host = String(report.host.prefix(64))
        let address = peer.map { "\(host) at \($0)" } ?? host
        let boot = SiteBoot(number: report.boot, nonce: report.nonce, address: address, seenMs: nowMs)
        let holder = ledger.view.site(site)?.incarnations.first { $0.incarnation == incarnation }?.boot
        state.withLock { state in
            guard state.reports.count < 100_000 || state.reports[site] != nil else { return }
            state.reports[site] = SiteReport(
                address: address, heardMs: nowMs, directives: report.directives, refused: report.refused,
                update: report.update?.bounded)
        }
        // It could not count its start, and claims nothing.
        guard report.boot > 0 else { return .held }
        // The same start as before, from where it was: nothing to write down.
        if let holder, holder.number == boot.number, holder.nonce == boot.nonce, holder.address == address {
            return .held
        }
        let outcome = try await ledger.noteSiteBoot(
            NoteSiteBoot(site: site, incarnation: incarnation, boot: boot, nowMs: nowMs))
        if case .contested(let holder) = outcome {
            logger.error(
                "two gateways with one identity: one is a copy of the other's disk, or was set back to an older state",
                metadata: [
                    "site": "\(site)", "incarnation": "\(incarnation)", "holder": "\(holder.address)",
                    "refused": "\(address)",
                ])
        }
        return outcome
    }

    /// What the site's gateway said last, since this process started.
    func report(_ site: String) -> SiteReport? { state.withLock { $0.reports[site] } }
}

/// What a user may change.
public struct SiteSettings: Sendable, Equatable {
    /// Sites that nobody registered may announce and are adopted.
    public var isOpen = true
    /// Nil: no site can be registered.
    public var masterKeyFile: String?

    public init() {}
}

/// What a reply is signed with.
public struct ReplyKey: Sendable, Equatable {
    let key: SiteKey
    let requestCode: String

    public func code(status: Int, body: ByteBuffer) -> String {
        AnnounceSignature.replyCode(key, requestCode: requestCode, status: status, body: body)
    }
}

public enum SiteAdmission: Sendable, Equatable {
    /// Nobody registered the site, and that is allowed.
    case open
    case signed(ReplyKey)
    /// The reply is signed where the request was.
    case denied(SiteDenial, ReplyKey?)
}

/// Why a request is not listened to.
public enum SiteDenial: Sendable, Equatable, CustomStringConvertible {
    case notRegistered
    case revoked
    case unsigned
    case keyOver(generation: UInt32)
    case wrongCode
    /// Not an error: sign again with this challenge.
    case challenge(String)
    case replay
    /// This node cannot check anybody: an operator must act.
    case noMasterKey

    /// 401: another signature may do. 403: an operator must act. 503: another node may do.
    public var status: Int {
        switch self {
        case .unsigned, .wrongCode, .challenge, .replay: 401
        case .notRegistered, .revoked, .keyOver: 403
        case .noMasterKey: 503
        }
    }

    /// For metrics.
    public var word: String {
        switch self {
        case .notRegistered: "not_registered"
        case .revoked: "revoked"
        case .unsigned: "unsigned"
        case .keyOver: "key_over"
        case .wrongCode: "wrong_signature"
        case .challenge: "challenge"
        case .replay: "replay"
        case .noMasterKey: "no_master_key"
        }
    }

    public var description: String {
        switch self {
        case .notRegistered: "the site is not registered here (cairn site add)"
        case .revoked: "the site was revoked"
        case .unsigned: "the site is registered: announcements must be signed with its key (uplink.site-key)"
        case .keyOver(let generation): "key generation \(generation) is not valid, or not any more (cairn site rotate)"
        case .wrongCode: "the signature does not fit: another key, or changed on the way"
        case .challenge: "sign again with this challenge"
        case .replay: "a request with this counter or a later one was here before"
        case .noMasterKey: "this cloud node does not have the master key that made the site's key"
        }
    }
}

/// What a gateway said of itself.
struct SiteReport: Sendable, Equatable {
    var address: String
    var heardMs: Int64
    var directives: UInt64
    var refused: [String: String]
    var update: UpdateReport?
}
