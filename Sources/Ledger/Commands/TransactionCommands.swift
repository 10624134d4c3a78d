public import KafkaProtocol

// Transactions. All of one is in the ledger, and its end is one record: the markers of every partition, the offsets of every
// group and the producer's next epoch become true together, so there is no prepared state to recover from.
// Source: Kafka 4.3, `TransactionCoordinator`, `TransactionMetadata`, `ProducerAppendInfo`.

/// InitProducerId with a transactional id: fences what the id did before, and says under which epoch it goes on.
/// Answer: ``TransactionOutcome``.
public struct InitTransaction: Sendable, Equatable {
    public var transactionalID: String
    public var timeoutMs: Int32
    /// What the producer believes to be (KIP-360), -1 for a new instance.
    public var producerID: Int64
    public var epoch: Int16
    public var nowMs: Int64

    public init(transactionalID: String, timeoutMs: Int32, producerID: Int64 = -1, epoch: Int16 = -1, nowMs: Int64) {
        self.transactionalID = transactionalID
        self.timeoutMs = timeoutMs
        self.producerID = producerID
        self.epoch = epoch
        self.nowMs = nowMs
    }
}

/// AddPartitionsToTxn and AddOffsetsToTxn: begins the transaction if none is open. All or nothing.
public struct AddToTransaction: Sendable, Equatable {
    public var transactionalID: String
    public var producerID: Int64
    public var epoch: Int16
    public var partitions: [TopicPartition]
    /// A group whose offsets will be committed; empty for none.
    public var group: String
    public var nowMs: Int64

    public init(
        transactionalID: String, producerID: Int64, epoch: Int16, partitions: [TopicPartition] = [], group: String = "",
        nowMs: Int64
    ) {
        self.transactionalID = transactionalID
        self.producerID = producerID
        self.epoch = epoch
        self.partitions = partitions
        self.group = group
        self.nowMs = nowMs
    }
}

/// TxnOffsetCommit: offsets that become the group's when the transaction commits. Answer: one code per item.
public struct CommitTransactionOffsets: Sendable, Equatable {
    public var transactionalID: String
    public var producerID: Int64
    public var epoch: Int16
    public var group: String
    public var items: [CommitGroupOffsets.Item]
    /// The second protocol (KIP-890): the group joins the transaction by this request.
    public var addsGroup: Bool
    public var nowMs: Int64

    public init(
        transactionalID: String, producerID: Int64, epoch: Int16, group: String, items: [CommitGroupOffsets.Item],
        addsGroup: Bool, nowMs: Int64
    ) {
        self.transactionalID = transactionalID
        self.producerID = producerID
        self.epoch = epoch
        self.group = group
        self.items = items
        self.addsGroup = addsGroup
        self.nowMs = nowMs
    }
}

public struct EndTransaction: Sendable, Equatable {
    public var transactionalID: String
    public var producerID: Int64
    public var epoch: Int16
    public var commits: Bool
    /// The second protocol (EndTxn 5): every end raises the epoch.
    public var raisesEpoch: Bool
    public var nowMs: Int64

    public init(
        transactionalID: String, producerID: Int64, epoch: Int16, commits: Bool, raisesEpoch: Bool, nowMs: Int64
    ) {
        self.transactionalID = transactionalID
        self.producerID = producerID
        self.epoch = epoch
        self.commits = commits
        self.raisesEpoch = raisesEpoch
        self.nowMs = nowMs
    }
}

/// Aborts a transaction that is open for longer than its timeout, and fences its producer. Does nothing to one that is not.
public struct AbortOverdueTransaction: Sendable, Equatable {
    public var transactionalID: String
    public var nowMs: Int64

    public init(transactionalID: String, nowMs: Int64) {
        self.transactionalID = transactionalID
        self.nowMs = nowMs
    }
}

/// WriteTxnMarkers, as an administrator sends it to end a hanging transaction in single partitions.
/// Answer: one code per partition.
public struct WriteMarkers: Sendable, Equatable {
    public var producerID: Int64
    public var epoch: Int16
    public var commits: Bool
    public var partitions: [TopicPartition]
    public var nowMs: Int64

    public init(producerID: Int64, epoch: Int16, commits: Bool, partitions: [TopicPartition], nowMs: Int64) {
        self.producerID = producerID
        self.epoch = epoch
        self.commits = commits
        self.partitions = partitions
        self.nowMs = nowMs
    }
}

/// What a transactional request came to.
public enum TransactionOutcome: Sendable, Equatable {
    /// The producer goes on under this id and epoch.
    case accepted(producerID: Int64, epoch: Int16)
    /// `.producerFenced` where Kafka says INVALID_PRODUCER_EPOCH to old versions: the caller knows the version.
    case rejected(ErrorCode)
}

/// How a run belongs to a transaction.
public enum TransactionUse: UInt8, Sendable, Equatable {
    case none = 0
    /// First protocol: the partition must have been added. INVALID_TXN_STATE if not.
    case added = 1
    /// The same for clients that know TRANSACTION_ABORTABLE.
    case addedOrAbortable = 2
    /// Second protocol: the batch adds its partition, and begins the transaction where none is open.
    case adds = 3
}
