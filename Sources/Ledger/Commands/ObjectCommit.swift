public import KafkaProtocol

/// Commits the runs of one data object that is already durable in the store.
///
/// Contiguous runs of one partition (next position = position + length) share an extent. Put each client batch in a
/// run of its own: a run is accepted or refused as one.
public struct ObjectCommit: Sendable, Equatable {
    /// The store's key; names the commit, so that a retry finds its answer.
    public var key: String
    public var sizeBytes: Int64
    public var nodeID: Int32
    /// As given by `registerNode`, or any number that grows with each start of the node.
    public var nodeEpoch: Int64
    public var runs: [RunCommit]
    public var nowMs: Int64

    public init(key: String, sizeBytes: Int64, nodeID: Int32, nodeEpoch: Int64, runs: [RunCommit], nowMs: Int64) {
        self.key = key
        self.sizeBytes = sizeBytes
        self.nodeID = nodeID
        self.nodeEpoch = nodeEpoch
        self.runs = runs
        self.nowMs = nowMs
    }
}

/// Record batches back to back for one partition.
public struct RunCommit: Sendable, Equatable {
    public var topicID: KafkaUUID
    public var partition: Int32
    /// Byte range in the object.
    public var position: Int64
    public var lengthBytes: Int64
    /// Offsets the run takes (`lastOffsetDelta + 1` summed over its batches); at least 1.
    public var recordCount: Int64
    public var minTimestampMs: Int64
    public var maxTimestampMs: Int64
    /// One per batch of an idempotent producer, in batch order; empty for others.
    public var stamps: [ProducerStamp]
    /// Of all its batches; a transactional run has exactly one stamp.
    public var transaction: TransactionUse

    public init(
        topicID: KafkaUUID, partition: Int32, position: Int64, lengthBytes: Int64, recordCount: Int64,
        minTimestampMs: Int64, maxTimestampMs: Int64, stamps: [ProducerStamp] = [], transaction: TransactionUse = .none
    ) {
        self.topicID = topicID
        self.partition = partition
        self.position = position
        self.lengthBytes = lengthBytes
        self.recordCount = recordCount
        self.minTimestampMs = minTimestampMs
        self.maxTimestampMs = maxTimestampMs
        self.stamps = stamps
        self.transaction = transaction
    }

    /// What an idempotent producer wrote into one batch.
    public struct ProducerStamp: Sendable, Equatable {
        public var producerID: Int64
        public var epoch: Int16
        public var firstSequence: Int32
        public var lastSequence: Int32
        /// Offset of the batch's first record less the run's base offset.
        public var relativeOffset: Int64

        public init(
            producerID: Int64, epoch: Int16, firstSequence: Int32, lastSequence: Int32, relativeOffset: Int64 = 0
        ) {
            self.producerID = producerID
            self.epoch = epoch
            self.firstSequence = firstSequence
            self.lastSequence = lastSequence
            self.relativeOffset = relativeOffset
        }
    }
}

/// What became of one run.
public enum RunOutcome: Sendable, Equatable {
    /// Visible to consumers from `baseOffset`.
    case committed(baseOffset: Int64, logStart: Int64)
    /// The producer sent it before; these are the offset and timestamp of the first time.
    case duplicate(baseOffset: Int64, timestampMs: Int64)
    case rejected(ErrorCode)
}
