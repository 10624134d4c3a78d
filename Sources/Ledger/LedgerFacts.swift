public import KafkaProtocol

/// A topic as the ledger knows it.
public struct TopicFacts: Sendable, Equatable {
    public var name: String
    public var id: KafkaUUID
    public var partitionCount: Int32
    public var configs: [String: String]
    public var createdMs: Int64

    public init(name: String, id: KafkaUUID, partitionCount: Int32, configs: [String: String], createdMs: Int64) {
        self.name = name
        self.id = id
        self.partitionCount = partitionCount
        self.configs = configs
        self.createdMs = createdMs
    }
}

public struct PartitionFacts: Sendable, Equatable {
    /// The first offset that can be read.
    public var logStart: Int64
    /// One more than the last offset that can be read. Never moves back.
    public var highWatermark: Int64
    /// Where `read_committed` consumers stop: before the first record of an open transaction.
    public var lastStableOffset: Int64
    /// Bytes of all extents, as stored.
    public var sizeBytes: Int64
    public var extentCount: Int

    public init(
        logStart: Int64, highWatermark: Int64, lastStableOffset: Int64? = nil, sizeBytes: Int64, extentCount: Int
    ) {
        self.logStart = logStart
        self.highWatermark = highWatermark
        self.lastStableOffset = lastStableOffset ?? highWatermark
        self.sizeBytes = sizeBytes
        self.extentCount = extentCount
    }
}

/// Where a range of a partition's offsets is: usually a byte range of an object, record batches back to back, whose base
/// offsets count from `baseOffset` in order.
public struct Extent: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        case object
        /// Batches carry their offsets, and offsets may be missing: merged or compacted.
        case objectWithOffsets
        /// One batch in the log of a volume, not uploaded yet. `objectKey` names the volume.
        case log(volume: KafkaUUID, lsn: UInt64)
        /// The end of a transaction. There are no bytes: whoever serves it makes the batch.
        case marker(TransactionMarker)
    }
    public var source = Source.object
    /// Names the bytes for caches; of an object, its key.
    public var objectKey: String
    public var objectSizeBytes: Int64
    public var position: Int64
    public var lengthBytes: Int64
    public var baseOffset: Int64
    public var lastOffset: Int64
    public var minTimestampMs: Int64
    public var maxTimestampMs: Int64
    /// When the object was committed or adopted: the cloud's clock, not the records'.
    public var committedMs: Int64

    public init(
        objectKey: String, objectSizeBytes: Int64, position: Int64, lengthBytes: Int64, baseOffset: Int64,
        lastOffset: Int64, minTimestampMs: Int64, maxTimestampMs: Int64, committedMs: Int64
    ) {
        self.objectKey = objectKey
        self.objectSizeBytes = objectSizeBytes
        self.position = position
        self.lengthBytes = lengthBytes
        self.baseOffset = baseOffset
        self.lastOffset = lastOffset
        self.minTimestampMs = minTimestampMs
        self.maxTimestampMs = maxTimestampMs
        self.committedMs = committedMs
    }
}

/// What a group has committed for one partition.
public struct GroupOffset: Sendable, Equatable {
    public var offset: Int64
    public var leaderEpoch: Int32
    public var metadata: String
    public var committedMs: Int64

    public init(offset: Int64, leaderEpoch: Int32, metadata: String, committedMs: Int64) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.committedMs = committedMs
    }
}

public struct SiteFacts: Sendable, Equatable {
    public var site: String
    public var firstSeenMs: Int64
    public var lastSeenMs: Int64
    public var isSuspended: Bool
    public var incarnations: [Incarnation]

    public struct Incarnation: Sendable, Equatable {
        public var incarnation: String
        public var firstSeenMs: Int64
        public var isFenced: Bool
        public var lanes: [LaneFacts]
        /// The gateway that holds it, and one that asked for it too: a copy.
        public var boot: SiteBoot?
        public var contender: SiteBoot?
    }
}

/// How far one lane of one site incarnation has been adopted.
public struct LaneFacts: Sendable, Equatable {
    public var lane: String
    /// The object to adopt next; 1 for a lane never seen.
    public var nextSequence: UInt64
    /// 0 for a lane never seen.
    public var lastLSN: UInt64
    public var adoptedMs: Int64
    public var recordCount: Int64
    public var sizeBytes: Int64
    /// Runs that could not be given a partition; their objects are kept.
    public var rejectedRuns: Int64
    /// Holes in the log sequence numbers: how many, how wide in all, and the latest of them.
    public var gapCount: Int64
    public var missingLSNs: UInt64
    public var recentGaps: [LaneGap]
    /// What the site told as missing: the newest gaps, oldest first, and sums over all by reason.
    public var gaps: [AdoptedGap]
    public var gapTotals: [UInt8: SiteGapTotals]
}

/// A gap with the object that told of it.
public struct AdoptedGap: Sendable, Equatable {
    public var gap: SiteGap
    public var sequence: UInt64
    public var adoptedMs: Int64
}

public struct LaneGap: Sendable, Equatable {
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    public var sequence: UInt64
    public var foundMs: Int64
}

public struct ObjectFacts: Sendable, Equatable {
    public enum State: Sendable, Equatable {
        case live
        /// No extent names it: it can be marked for deletion after the grace period.
        case unreferenced(sinceMs: Int64)
        /// Marked: its bytes may be deleted, then it can be forgotten.
        case deleting(sinceMs: Int64)
        /// Forgotten, but a late commit under this key is still refused.
        case tombstone(sinceMs: Int64)
    }
    public var key: String
    public var sizeBytes: Int64
    public var committedMs: Int64
    public var extentCount: Int
    /// Some of a site object's runs could not be given a partition: kept for repair, never listed as unreferenced.
    public var isQuarantined: Bool
    public var state: State
}

/// Sizes of the state, for pages and metrics.
public struct LedgerCounts: Sendable, Equatable {
    public var topics = 0
    public var partitions = 0
    public var extents = 0
    public var objects = 0
    public var objectsDeleting = 0
    public var tombstones = 0
    public var producers = 0
    public var groups = 0
    public var sites = 0
    public init() {}
}

/// The control batch that ends a transaction in one partition (rule T7).
public struct TransactionMarker: Sendable, Hashable {
    public var producerID: Int64
    public var epoch: Int16
    public var commits: Bool

    /// Header, and one record with a key of 4 and a value of 6 bytes.
    public static let batchBytes = 78

    public init(producerID: Int64, epoch: Int16, commits: Bool) {
        self.producerID = producerID
        self.epoch = epoch
        self.commits = commits
    }
}

/// Records of a producer that a `read_committed` consumer must not see.
public struct AbortedTransaction: Sendable, Equatable {
    public var producerID: Int64
    public var firstOffset: Int64

    public init(producerID: Int64, firstOffset: Int64) {
        self.producerID = producerID
        self.firstOffset = firstOffset
    }
}

/// A transactional id as administrators see it.
public struct TransactionFacts: Sendable, Equatable {
    public enum Phase: String, Sendable {
        case empty = "Empty"
        case ongoing = "Ongoing"
        case committed = "CompleteCommit"
        case aborted = "CompleteAbort"
    }
    public var transactionalID: String
    public var producerID: Int64
    public var epoch: Int16
    public var timeoutMs: Int32
    public var phase: Phase
    /// -1 while none is open.
    public var startedMs: Int64
    public var lastUsedMs: Int64
    public var partitions: [TopicPartition]
}

/// What the ledger knows of an idempotent or transactional producer in one partition.
public struct ProducerFacts: Sendable, Equatable {
    public var producerID: Int64
    public var epoch: Int16
    /// -1 where no batch is remembered.
    public var lastSequence: Int32
    public var lastTimestampMs: Int64
    /// Where its open transaction began, -1 for none.
    public var transactionStart: Int64
}

/// Whole extents next to each other, as read for a rewrite.
public struct ExtentRange: Sendable, Equatable {
    public var extents: [Extent]
    public var fingerprint: UInt64
}

/// A batch in a volume's log that no object holds yet.
public struct LogExtent: Sendable, Equatable {
    public var place: TopicPartition
    public var lsn: UInt64
    public var baseOffset: Int64
    public var lastOffset: Int64
    public var lengthBytes: Int
}
