/// The permissions that a gateway holds, and what it asks for. Facts in, answers out; kept by whoever holds it.
///
/// Nothing here looks at a clock: a gateway's may be wrong by years. A permission is good until the store refuses it, and
/// new ones are asked for long before that: when half of the wanted number is left, or half of their time is over.
public struct GrantBook: Codable, Sendable, Equatable {
    /// The newest last.
    public private(set) var grants: [PutGrant] = []
    private static let perLaneMax = 4

    public init() {}

    /// The query of a request; nil when there is no permission.
    public func url(_ isRead: Bool, _ isOverwrite: Bool, incarnation: String, lane: String, sequence: UInt64) -> String?
    {
        for grant in grants.reversed() where grant.incarnation == incarnation && grant.lane == lane {
            guard grant.overwrites == isOverwrite || isRead, sequence >= grant.from else { continue }
            let index = Int(clamping: sequence - grant.from)
            let signatures = isRead ? grant.getSignatures : grant.putSignatures
            guard index < signatures.count, !signatures[index].isEmpty else { continue }
            let digits = String(sequence)
            let name = String(repeating: "0", count: 20 - digits.utf8.count) + digits
            return grant.base + name + "?" + (isRead ? grant.get : grant.put) + "&X-Amz-Signature=" + signatures[index]
        }
        return nil
    }

    /// New ones go before older ones; of a lane only the newest few are kept.
    public mutating func add(_ new: [PutGrant]) {
        for grant in new where grant.isSound {
            grants.removeAll { $0.replaces(grant) }
            grants.append(grant)
            let same = grants.indices.filter { grants[$0].lane == grant.lane }
            if same.count > Self.perLaneMax { grants.remove(at: same[0]) }
        }
    }

    /// The store has refused one of its URLs: the whole grant is of the same time and not good any more.
    public mutating func drop(refused url: String) {
        grants.removeAll { url.hasPrefix($0.base) && (url.contains("?" + $0.put) || url.contains("?" + $0.get)) }
    }

    /// How many objects from `sequence` on may be created.
    public func stock(incarnation: String, lane: String, from sequence: UInt64) -> Int {
        var next = sequence
        while next < sequence + UInt64(PutWish.countMax),
            url(false, false, incarnation: incarnation, lane: lane, sequence: next) != nil
        {
            next += 1
        }
        return Int(next - sequence)
    }
}

extension PutGrant {
    /// What a cloud that is wrong could send must not become memory or a trap.
    fileprivate var isSound: Bool {
        putSignatures.count == getSignatures.count && putSignatures.count <= PutWish.countMax
            && from < UInt64.max - UInt64(PutWish.countMax) && base.hasSuffix("/\(incarnation)/\(lane)/")
    }

    /// The same kind for the same objects and perhaps more.
    fileprivate func replaces(_ other: PutGrant) -> Bool {
        incarnation == other.incarnation && lane == other.lane && overwrites == other.overwrites && from >= other.from
            && from + UInt64(putSignatures.count) <= other.from + UInt64(other.putSignatures.count)
    }
}
