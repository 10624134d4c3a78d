/// Why sealed bytes did not open. Never holds a key or what was sealed.
public enum SealingError: Error, Equatable, Sendable {
    /// Sealed with a key that the ring does not have: give it the key, nothing is damaged.
    case keyMissing(id: String)
    /// Not what was sealed: changed, cut, moved, or sealed with another key of the same id.
    case damaged(part: String)
    /// Written by a newer Cairn.
    case newerVersion(found: UInt16, supported: UInt16)
}

extension SealingError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .keyMissing(let id): "sealed with key \(id), which is not in the key file"
        case .damaged(let part): "\(part) does not verify: damaged, or another key has the same name"
        case .newerVersion(let found, let supported):
            "sealed in version \(found), this Cairn knows up to version \(supported)"
        }
    }
}
