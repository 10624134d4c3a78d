import NIOCore
public import SiteAuthority
import Synchronization

/// What one start of a gateway is called, and how it signs. Shared by everything in the process that speaks to the cloud.
///
/// Each signed request takes the next counter; each cloud node gives out a challenge of its own, which is learned from its
/// first refusal.
public final class SiteSession: Sendable {
    public let site: String
    /// Random name of this start.
    public let nonce: String
    /// Nil: requests are not signed and replies are not checked.
    public let key: SiteKey?

    private struct State {
        var incarnation: String
        var counter: UInt64 = 0
        /// By node.
        var challenges: [String: String] = [:]
    }
    private let state: Mutex<State>
    private static let nodesMax = 256

    public init(
        site: String, incarnation: String, key: SiteKey?,
        nonce: String = MessageCode.hexadecimal(MessageCode.random(bytes: 16))
    ) {
        self.site = site
        self.key = key
        self.nonce = nonce
        state = Mutex(State(incarnation: incarnation))
    }

    /// The same as a number, for plans and objects; never 0.
    public var author: UInt64 { max(1, UInt64(nonce.prefix(16), radix: 16) ?? 0) }

    public var incarnation: String { state.withLock { $0.incarnation } }

    /// From now on requests are made in this name.
    public func goOn(as incarnation: String) { state.withLock { $0.incarnation = incarnation } }

    /// A request for `node`, signed. Nil without a key.
    func signed(path: String, body: ByteBuffer, node: String) -> (
        headers: [(name: String, value: String)], code: String
    )? {
        guard let key else { return nil }
        let signature = state.withLock { state in
            state.counter += 1
            return AnnounceSignature(
                method: "POST", path: path, site: site, incarnation: state.incarnation, generation: key.generation,
                challenge: state.challenges[node] ?? "", nonce: nonce, counter: state.counter)
        }
        let code = signature.code(key, body: body)
        return (signature.headers + [(AnnounceSignature.Header.code, code)], code)
    }

    /// Returns whether it is news: then the request is worth signing again.
    func learn(challenge: String, of node: String) -> Bool {
        guard challenge.utf8.count == 32 else { return false }
        return state.withLock { state in
            if state.challenges[node] == challenge { return false }
            if state.challenges.count >= Self.nodesMax { state.challenges = [:] }
            state.challenges[node] = challenge
            return true
        }
    }

    /// Whether the node that sent this knows our key. Always true without one.
    func isFromCloud(code: String?, requestCode: String?, status: Int, body: ByteBuffer) -> Bool {
        guard let key else { return true }
        guard let code, let requestCode else { return false }
        return AnnounceSignature.isReply(code, by: key, requestCode: requestCode, status: status, body: body)
    }
}
