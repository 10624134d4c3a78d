/// A cloud node's memory of one site's requests: accepts each signed request once. Facts in, verdict out.
///
/// - The challenge is random and lives as long as this guard: what was recorded before, or from another node, names another
///   one and is worth nothing. So nothing has to survive a restart, and no clock has to be right.
/// - Within it, each start of a gateway (a nonce) counts its requests; a counter that does not rise is a replay.
/// - At most ``startsMax`` starts are remembered; one more, and everybody gets a new challenge, which costs a round trip.
public struct SiteGuard: Sendable, Equatable {
    public enum Verdict: Sendable, Equatable {
        case accept
        /// Sign again with this challenge.
        case challenge(String)
        /// Seen before, or older than what was seen.
        case replay
    }

    public private(set) var challenge: String
    private var counters: [String: UInt64] = [:]
    static let startsMax = 16

    public init(challenge: String) { self.challenge = challenge }

    /// Call it only for a request whose code is right: others must not change anything.
    /// - Parameter fresh: 32 hexadecimal digits nobody can guess, used when a new challenge is due.
    public mutating func judge(
        challenge asked: String, nonce: String, counter: UInt64, fresh: @autoclosure () -> String
    ) -> Verdict {
        guard asked == challenge else { return .challenge(challenge) }
        if let last = counters[nonce] {
            guard counter > last else { return .replay }
        } else if counters.count >= Self.startsMax {
            counters = [:]
            challenge = fresh()
            return .challenge(challenge)
        }
        counters[nonce] = counter
        return .accept
    }
}
