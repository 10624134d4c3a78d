public import WriteAheadLog

/// Decides in whose name a gateway writes while it runs: when it must go on under a new incarnation, and how soon.
///
/// Facts in, values out: no I/O, no clock, no randomness. Its driver stops the uplinks at a conflict, waits, makes the
/// successor durable and goes on in its name; intake never stops for it.
public struct Succession: Sendable, Equatable {
    public private(set) var installation: Installation
    /// What is to be resolved; the first one since the last resolution.
    public private(set) var conflict: UplinkConflict?
    /// New incarnations since the start.
    public private(set) var renewals = 0
    /// What is wrong with the installation, for people; nil until somebody else wrote under an incarnation of this start.
    public private(set) var trouble: String?

    public init(_ installation: Installation) { self.installation = installation }

    public mutating func noticed(_ conflict: UplinkConflict) {
        if self.conflict == nil { self.conflict = conflict }
    }

    /// The cloud says what it has adopted of the present incarnation, by lane. It may know objects that the log does not.
    public mutating func told(adopted: [String: UInt64], lanes: [String: UploadState]) {
        for (lane, upload) in lanes.sorted(by: { $0.key < $1.key }) {
            let own = upload.nextSequence - min(upload.nextSequence, installation.eras.last?.bases[lane] ?? 0)
            guard let adopted = adopted[lane], adopted >= max(1, own) else { continue }
            noticed(.contested("the cloud has adopted object \(adopted) of lane \(lane), this log is at \(own)"))
            return
        }
    }

    /// Whether the conflict is over when one plan goes on under the present incarnation.
    public var needsNewEra: Bool {
        guard let conflict else { return false }
        var tried = installation
        return !Self.giveUp(conflict, &tried)
    }

    /// How long nothing is uploaded before the successor is made. The first time nobody waits, then ever longer, up to an
    /// hour: it must not become a habit.
    public var pause: Duration {
        guard needsNewEra, renewals > 0 else { return .zero }
        return min(.seconds(60 << min(renewals, 6)), .seconds(3600))
    }

    /// Somebody waits for ``pause``.
    public mutating func waits() {
        guard needsNewEra, let conflict else { return }
        trouble = "somebody else writes under this incarnation: \(conflict.reason)"
    }

    /// What the installation is once the conflict is resolved; to be made durable before ``wentOn(as:)``.
    /// - Parameters:
    ///   - incarnation: a name that nobody else has.
    ///   - lanes: where the log's uploads stand, with nothing under way.
    public func successor(incarnation: String, lanes: [String: UploadState]) -> Installation {
        var successor = installation
        guard let conflict, !Self.giveUp(conflict, &successor) else { return successor }
        successor.goOn(as: incarnation, lanes: lanes)
        _ = Self.giveUp(conflict, &successor)
        return successor
    }

    public mutating func wentOn(as successor: Installation) {
        if successor.incarnation != installation.incarnation { renewals += 1 }
        installation = successor
        conflict = nil
    }

    private static func giveUp(_ conflict: UplinkConflict, _ installation: inout Installation) -> Bool {
        guard case .foreign(let lane, let plan, _) = conflict else { return false }
        return installation.giveUp(plan: plan, of: lane)
    }
}
