import KafkaProtocol
public import NIOCore

/// How batches are acknowledged from a node's own disk. Sizes are bytes.
public struct VolumeConfiguration: Sendable, Equatable {
    /// Where the log is; empty for a node without one, which cannot serve topics of `cairn.ack=wal`.
    public var directory = ""
    /// The log at its largest: what an outage of the store may fill before produces are refused.
    public var quotaBytes = 8 << 30
    /// Under load at most one group commit in this time.
    public var commitWindow: TimeAmount = .microseconds(1_500)
    /// Batches that wait for the disk.
    public var pendingBytesMax = 64 << 20
    /// An object is written when so much is in the log and in no object, ...
    public var objectBytes = 16 << 20
    /// ... or so long after the first of it.
    public var uploadInterval: TimeAmount = .seconds(5)
    public var uploadsMax = 4
    /// The newest batches, kept for those who read the tail and for the upload.
    public var tailBytesMax = 128 << 20
    /// Batches of the log read back from the disk.
    public var readBytesMax = 32 << 20

    public init() {}
}

/// What a volume holds and has done since start.
public struct VolumeCounts: Sendable, Equatable {
    public var batches: UInt64 = 0
    public var records: UInt64 = 0
    public var bytes: UInt64 = 0
    public var duplicates: UInt64 = 0
    public var rejected: UInt64 = 0
    /// Requests that the log did not take.
    public var refused: UInt64 = 0
    public var commitErrors: UInt64 = 0
    public var failedCommits: UInt64 = 0
    public var objects: UInt64 = 0
    public var objectBytes: UInt64 = 0
    public var failedUploads: UInt64 = 0
    /// Batches that are in no object yet.
    public var waitingBytes = 0
    public var uploadingBytes = 0
    public var uploads = 0
    public var diskBytes = 0
    public var quotaBytes = 0
    /// Why the disk does not take anything, if it does not.
    public var problem: String?
    /// Logs of this node that are left as they are because their key is not here or a newer program wrote them, if there are any.
    public var leftUntouched: String?

    public init() {}

    mutating func add(_ entries: some Sequence<ProduceEntry>, _ outcomes: some Sequence<EntryOutcome>) {
        for (entry, outcome) in zip(entries, outcomes) {
            switch outcome {
            case .committed:
                batches += 1
                records += UInt64(max(0, entry.header.recordCount))
                bytes += UInt64(entry.batch.readableBytes)
            case .duplicate: duplicates += 1
            case .rejected: rejected += 1
            }
        }
    }
}
