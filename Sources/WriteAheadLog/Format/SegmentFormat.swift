/// Whether this program may make sense of a segment.
enum SegmentFormat: Equatable {
    case ours
    /// Written by a newer program: to be left alone.
    case newer(NewerFormat)
    /// Damaged, or none of ours.
    case unknown
}

/// A format of segments that this program does not know.
public struct NewerFormat: Sendable, Equatable, CustomStringConvertible {
    public var version: UInt32
    /// Bits of the header's "must understand" word that are not known; 0 when the version says it all.
    public var flags: UInt32

    public init(version: UInt32, flags: UInt32 = 0) {
        self.version = version
        self.flags = flags
    }

    public var description: String {
        flags == 0
            ? "format \(version), this program knows \(SegmentHeader.version)"
            : "format \(version) with features 0x\(String(flags, radix: 16)) that this program does not know"
    }
}

/// Why a segment cannot be used as it is, although nothing is wrong with it.
public enum UntouchableReason: Sendable, Equatable, CustomStringConvertible {
    /// Only a newer program makes sense of it.
    case newerFormat(NewerFormat)
    /// Sealed, and no keys were given.
    case noKeys(id: String)
    /// Sealed with a key that is not among those given.
    case keyMissing(id: String)
    /// Another key has the name of the one it was sealed with.
    case keyWrong(id: String)
    /// Sealed for another lane: it was moved here.
    case otherLane(String)

    public var description: String {
        switch self {
        case .newerFormat(let format): "of \(format)"
        case .noKeys(let id): "sealed with key \(id), and no key file is given"
        case .keyMissing(let id): "sealed with key \(id), which is not in the key file"
        case .keyWrong(let id): "sealed with key \(id), and the key of that name in the key file is another one"
        case .otherLane(let lane): "sealed for a lane named \(lane)"
        }
    }

    /// What brings the data back.
    var remedy: String {
        switch self {
        case .newerFormat: "A newer cairn wrote them; start it again to go on with them"
        case .noKeys, .keyMissing, .keyWrong: "Put the key back into encryption.key-file and start again"
        case .otherLane: "Put them back where they were"
        }
    }
}

/// Segments in a lane's directory that keep the whole of it from being touched.
public struct UntouchableSegments: Sendable, Equatable, CustomStringConvertible {
    public var directory: String
    /// By sequence; of the first one the reason is told.
    public var sequences: [UInt64]
    public var reason: UntouchableReason

    public init(directory: String, sequences: [UInt64], reason: UntouchableReason) {
        self.directory = directory
        self.sequences = sequences
        self.reason = reason
    }

    /// For an operator: which they are, why, and what brings them back.
    public var told: String { "\(self). \(reason.remedy)" }

    public var description: String {
        "\(directory): \(sequences.count) segments from \(sequences.first ?? 0) on are \(reason)"
    }
}
