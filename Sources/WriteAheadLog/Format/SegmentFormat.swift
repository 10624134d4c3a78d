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

/// Segments of a newer format in a lane's directory.
public struct NewerSegments: Sendable, Equatable, CustomStringConvertible {
    public var directory: String
    /// By sequence; the first one's format is told.
    public var sequences: [UInt64]
    public var format: NewerFormat

    public var description: String {
        "\(directory): \(sequences.count) segments from \(sequences.first ?? 0) on are of \(format)"
    }
}
