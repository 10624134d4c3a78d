import SiteAuthority
import Synchronization
import WriteAheadLog

@testable import Uplink

/// In whose name one start of a gateway writes. What decides is `Installation` and `Succession`; this greets, writes and waits,
/// as the gateway's runner does.
final class SimulatedRunner: Sendable {
    private struct State {
        var succession: Succession
        var greetAtMs: Int64 = 0
        /// When the successor may be made.
        var goOnAtMs: Int64?
    }

    private static let greetEveryMs: Int64 = 60_000

    private let files: SimulatedFiles
    private let clock: SimulatedClock
    private let link: SimulatedLink
    private let session: SiteSession
    private let address: String
    private let boot: UInt64
    private let state: Mutex<State>

    /// One more start, counted if its number can be written down.
    init(
        _ files: SimulatedFiles, _ surroundings: Surroundings, address: String, lanes: [String: UploadState],
        names: (incarnation: String, nonce: String)
    ) {
        self.files = files
        self.address = address
        clock = surroundings.clock
        link = surroundings.link
        let contents = files.contents
        let found = Installation.Found(text: contents.installation, copy: contents.installationCopy)
        let (installation, _) = Installation.started(
            from: found, root: SimulatedSite.root, machine: "", lanes: lanes, incarnation: names.incarnation)
        boot = files.replace(installation: installation.text) ? installation.boot : 0
        session = SiteSession(
            site: SimulatedSite.site, incarnation: installation.incarnation, key: nil, nonce: names.nonce)
        state = Mutex(State(succession: Succession(installation)))
    }

    var installation: Installation { state.withLock { $0.succession.installation } }
    var conflict: UplinkConflict? { state.withLock { $0.succession.conflict } }
    /// What an operator reads.
    var trouble: String? { state.withLock { $0.succession.trouble } }
    var renewals: Int { state.withLock { $0.succession.renewals } }

    var identity: UplinkIdentity {
        guard
            let identity = UplinkIdentity(
                site: SimulatedSite.site, eras: installation.eras, author: session.author)
        else {
            preconditionFailure("\(installation.incarnation) is not a name")
        }
        return identity
    }

    func noticed(_ conflict: UplinkConflict) { state.withLock { $0.succession.noticed(conflict) } }

    func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        try await link.carry(request(announcement))
    }

    /// Before the first upload, and every minute.
    var isGreetingDue: Bool { state.withLock { $0.greetAtMs <= clock.milliseconds } }

    func greet(lanes: [String: UploadState]) async {
        state.withLock { $0.greetAtMs = clock.milliseconds + Self.greetEveryMs }
        do throws(AnnounceError) {
            let reply = try await link.carry(request(nil))
            state.withLock { $0.succession.told(adopted: reply.adopted, lanes: lanes) }
        } catch {
            if case .contested = error.kind { noticed(.contested(error.description)) }
        }
    }

    private func request(_ announcement: Announcement?) -> AnnounceRequest {
        AnnounceRequest(
            site: SimulatedSite.site, incarnation: session.incarnation, announcement: announcement,
            gateway: GatewayStatement(boot: boot, nonce: session.nonce, host: address))
    }

    enum Step: Equatable {
        case upload
        /// Nothing is uploaded.
        case wait(untilMs: Int64)
        /// The uplinks must be made anew.
        case wentOn
    }

    /// What there is to do about a conflict.
    func attend(lanes: [String: UploadState], incarnation: String) -> Step {
        let nowMs = clock.milliseconds
        return state.withLock { state in
            guard state.succession.conflict != nil else { return .upload }
            if state.goOnAtMs == nil {
                state.succession.waits()
                state.goOnAtMs = nowMs + Int64(state.succession.pause.components.seconds) * 1000
            }
            guard let goOnAtMs = state.goOnAtMs, goOnAtMs <= nowMs else { return .wait(untilMs: state.goOnAtMs ?? 0) }
            let successor = state.succession.successor(incarnation: incarnation, lanes: lanes)
            guard files.replace(installation: successor.text) else { return .wait(untilMs: nowMs + 5000) }
            session.goOn(as: successor.incarnation)
            state.succession.wentOn(as: successor)
            state.goOnAtMs = nil
            state.greetAtMs = 0
            return .wentOn
        }
    }
}
