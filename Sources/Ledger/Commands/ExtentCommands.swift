public import KafkaProtocol

/// Makes a volume known: the write-ahead log of a node on a disk of its own. Whoever registers it last may commit to it.
/// Answer: `.volume`.
public struct RegisterVolume: Sendable, Equatable {
    public var volume: KafkaUUID
    public var nodeID: Int32
    public var nowMs: Int64

    public init(volume: KafkaUUID, nodeID: Int32, nowMs: Int64) {
        self.volume = volume
        self.nodeID = nodeID
        self.nowMs = nowMs
    }
}

/// Commits batches that are durable in a volume's log. `RunCommit.position` is the batch's log sequence number (LSN).
///
/// LSNs rise from run to run and from commit to commit; the last commit of a volume may be repeated. Answer: `.runs`.
public struct LogCommit: Sendable, Equatable {
    public var volume: KafkaUUID
    public var nodeID: Int32
    public var nodeEpoch: Int64
    public var runs: [RunCommit]
    public var nowMs: Int64

    public init(volume: KafkaUUID, nodeID: Int32, nodeEpoch: Int64, runs: [RunCommit], nowMs: Int64) {
        self.volume = volume
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.runs = runs
        self.nowMs = nowMs
    }
}

/// An object, durable in the store, takes the place of extents: of a volume's log (upload), of small objects (merging) or of
/// uncleaned ones (compaction). Offsets stay what they are.
///
/// Each run is taken or refused alone: a partition whose extents are not those that were read any more keeps them.
/// Answer: `.runs`. A retry under the same key returns the stored answer.
public struct ExtentRewrite: Sendable, Equatable {
    public var key: String
    public var sizeBytes: Int64
    public var nodeID: Int32
    public var nodeEpoch: Int64
    /// Batches of the object carry their offsets, which need not be dense.
    public var holdsOffsets: Bool
    /// The age of the data, where it is not that of the object: the latest commit of what is replaced.
    public var committedMs: Int64
    public var runs: [RewrittenRun]
    public var nowMs: Int64

    public init(
        key: String, sizeBytes: Int64, nodeID: Int32, nodeEpoch: Int64, holdsOffsets: Bool, committedMs: Int64,
        runs: [RewrittenRun], nowMs: Int64
    ) {
        self.key = key
        self.sizeBytes = sizeBytes
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.holdsOffsets = holdsOffsets
        self.committedMs = committedMs
        self.runs = runs
        self.nowMs = nowMs
    }
}

/// The offsets of some whole extents, and where they are now.
public struct RewrittenRun: Sendable, Equatable {
    public var topicID: KafkaUUID
    public var partition: Int32
    /// The first extent's base offset and the last one's last offset.
    public var baseOffset: Int64
    public var lastOffset: Int64
    /// Of the extents as they were read: see ``LedgerView/extentRange(_:_:from:through:)``.
    public var fingerprint: UInt64
    public var position: Int64
    public var lengthBytes: Int64
    public var minTimestampMs: Int64
    public var maxTimestampMs: Int64
    /// Aborted transactions that end in these offsets and of which no record is left, here or before: the ledger forgets them with the
    /// rewrite, so that fetches do not name them any more. Their markers may then go too.
    public var forgotten: [AbortedTransaction]

    public init(
        topicID: KafkaUUID, partition: Int32, baseOffset: Int64, lastOffset: Int64, fingerprint: UInt64,
        position: Int64, lengthBytes: Int64, minTimestampMs: Int64, maxTimestampMs: Int64,
        forgotten: [AbortedTransaction] = []
    ) {
        self.topicID = topicID
        self.partition = partition
        self.baseOffset = baseOffset
        self.lastOffset = lastOffset
        self.fingerprint = fingerprint
        self.position = position
        self.lengthBytes = lengthBytes
        self.minTimestampMs = minTimestampMs
        self.maxTimestampMs = maxTimestampMs
        self.forgotten = forgotten
    }
}
