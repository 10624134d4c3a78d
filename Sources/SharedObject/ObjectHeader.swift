/// Who made an object: a gateway (`site`) or a cloud node (the others).
public enum ObjectKind: UInt8, Sendable, Hashable {
    case site = 1
    case cloud = 2
    /// A cloud object whose batches hold the offsets that consumers see, which need not be dense: what compaction left.
    case cloudWithOffsets = 3
}

/// What an object says about itself. It stands at the start of the object and once more in the footer.
///
/// - Shape: a site object fills `site`, `incarnation`, `lane` and the LSN range, leaves `nodeID` empty, and has its author in `epoch`;
///   a cloud object fills `nodeID` and `epoch` and leaves the others empty or 0.
/// - Units: `createdMs` is milliseconds since 1970-01-01 UTC. A gateway derives it from its data (the wall time of the
///   last batch), so that an object built again after a crash has the same bytes. 0 means unknown.
/// - An LSN range is closed at both ends. Every text is at most 255 bytes of UTF-8.
public struct ObjectHeader: Sendable, Hashable {
    public var kind: ObjectKind
    public var site: String
    public var incarnation: String
    public var lane: String
    public var nodeID: String
    public var epoch: UInt64
    public var sequence: UInt64
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    public var createdMs: Int64

    public init(
        kind: ObjectKind, site: String = "", incarnation: String = "", lane: String = "", nodeID: String = "",
        epoch: UInt64 = 0, sequence: UInt64, firstLSN: UInt64 = 0, lastLSN: UInt64 = 0, createdMs: Int64
    ) {
        self.kind = kind
        self.site = site
        self.incarnation = incarnation
        self.lane = lane
        self.nodeID = nodeID
        self.epoch = epoch
        self.sequence = sequence
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.createdMs = createdMs
    }

    /// The header of a gateway's object: LSNs `firstLSN` through `lastLSN` of one lane. `author` is a random number of the start of
    /// the gateway that planned it, 0 where that is not known.
    public static func site(
        _ site: String, incarnation: String, lane: String, sequence: UInt64, firstLSN: UInt64, lastLSN: UInt64,
        createdMs: Int64, author: UInt64 = 0
    ) -> ObjectHeader {
        ObjectHeader(
            kind: .site, site: site, incarnation: incarnation, lane: lane, epoch: author, sequence: sequence,
            firstLSN: firstLSN, lastLSN: lastLSN, createdMs: createdMs)
    }

    /// The header of an object that a cloud node made of what producers sent to it.
    public static func cloud(nodeID: String, epoch: UInt64, sequence: UInt64, createdMs: Int64) -> ObjectHeader {
        ObjectHeader(kind: .cloud, nodeID: nodeID, epoch: epoch, sequence: sequence, createdMs: createdMs)
    }

    /// The same for an object whose batches hold their offsets.
    public static func cloudWithOffsets(
        nodeID: String, epoch: UInt64, sequence: UInt64, createdMs: Int64
    ) -> ObjectHeader {
        ObjectHeader(kind: .cloudWithOffsets, nodeID: nodeID, epoch: epoch, sequence: sequence, createdMs: createdMs)
    }

    /// Of a site object: which start of which gateway planned it; 0 where that is not known.
    public var author: UInt64 { kind == .site ? epoch : 0 }

    /// The key under which this object belongs, or nil if one of its names cannot be part of a key.
    public var key: String? {
        switch kind {
        case .site: SiteObjectKey(site: site, incarnation: incarnation, lane: lane, sequence: sequence)?.key
        case .cloud, .cloudWithOffsets: CloudObjectKey(nodeID: nodeID, epoch: epoch, sequence: sequence)?.key
        }
    }
}
