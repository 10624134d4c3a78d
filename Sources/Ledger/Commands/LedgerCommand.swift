public import KafkaProtocol

/// Everything that may change the ledger. A command is validated against the state and becomes records, or is refused.
///
/// - Deterministic: times (milliseconds since 1970-01-01 UTC) and new ids come in with the command.
/// - Atomic: all of a command takes effect or nothing of it; where parts may fail apart, the answer says so part by
///   part.
/// - The answer of each case is named beside it; a refusal of the whole command is ``LedgerError/refused(_:)``.
public enum LedgerCommand: Sendable, Equatable {
    /// Answer: `.topic`.
    case createTopic(CreateTopic)
    /// Answer: `.topic`, as it was.
    case deleteTopic(DeleteTopic)
    /// Answer: `.topic`. Partitions can only be added.
    case createPartitions(CreatePartitions)
    /// Answer: `.topic`. Replaces the whole set.
    case setTopicConfigs(SetTopicConfigs)
    /// Answer: `.runs`, one outcome per run. A retry under the same key returns the stored answer.
    case commitObject(ObjectCommit)
    /// Answer: `.adoption`.
    case adoptSiteObject(SiteAdoption)
    /// Answer: `.producerIDs`. `count` is 1 to ``LedgerLimits/producerIDsPerRequestMax``.
    case allocateProducerID(count: Int)
    /// Answer: `.errorCodes`, one per offset.
    case commitGroupOffsets(CommitGroupOffsets)
    /// Answer: `.done`. A group that does not exist is refused with `.unknownGroup`.
    case deleteGroup(group: String)
    /// Answer: `.errorCodes`, one per partition. Offsets that do not exist are no error.
    case deleteGroupOffsets(group: String, partitions: [TopicPartition])
    /// Answer: `.logStarts`, one per item.
    case advanceLogStart(AdvanceLogStart)
    /// Tombstones keys before their bytes are deleted from the store. Answer: `.objects`.
    case markObjectsDeleting(keys: [String], nowMs: Int64)
    /// Forgets marked objects after the store has deleted them; the tombstone stays for a while. Answer: `.objects`.
    case forgetObjects(keys: [String], nowMs: Int64)
    /// Drops producer states idle since `idleSinceMs`, and what else has outlived its time. Answer: `.done`.
    case expireProducers(idleSinceMs: Int64, nowMs: Int64)
    /// Makes a cloud node known and gives it the next epoch; commits under an older one are refused.
    /// Answer: `.nodeEpoch`.
    case registerNode(nodeID: Int32, nowMs: Int64)
    /// Makes a site known, or renews its `lastSeenMs`. Answer: `.done`.
    case registerSite(site: String, nowMs: Int64)
    /// Suspends or resumes a site, or fences one of its incarnations. Answer: `.done`.
    case setSiteState(SetSiteState)
    /// Answer: `.transaction`.
    case initTransaction(InitTransaction)
    /// Answer: `.transaction`.
    case addToTransaction(AddToTransaction)
    /// Answer: `.errorCodes`, one per offset.
    case commitTransactionOffsets(CommitTransactionOffsets)
    /// Answer: `.transaction`.
    case endTransaction(EndTransaction)
    /// Answer: `.done`.
    case abortOverdueTransaction(AbortOverdueTransaction)
    /// Answer: `.errorCodes`, one per partition.
    case writeMarkers(WriteMarkers)
    /// Forgets transactional ids without an open transaction that were not used since. Answer: `.done`.
    case expireTransactions(idleSinceMs: Int64, nowMs: Int64)
    /// Answer: `.volume`.
    case registerVolume(RegisterVolume)
    /// Answer: `.runs`, one outcome per run.
    case commitLog(LogCommit)
    /// Answer: `.runs`, one outcome per run.
    case rewriteExtents(ExtentRewrite)
    /// Answer: `.done`.
    case setSiteRegistration(SetSiteRegistration)
    /// Answer: `.boot`.
    case noteSiteBoot(NoteSiteBoot)
}

/// One partition of one topic.
public struct TopicPartition: Sendable, Hashable, Comparable {
    public var topicID: KafkaUUID
    public var partition: Int32

    public init(topicID: KafkaUUID, partition: Int32) {
        self.topicID = topicID
        self.partition = partition
    }

    public static func < (left: TopicPartition, right: TopicPartition) -> Bool {
        if left.topicID != right.topicID { return left.topicID.precedes(right.topicID) }
        return left.partition < right.partition
    }
}

extension KafkaUUID {
    /// Byte order, for deterministic encodings.
    func precedes(_ other: KafkaUUID) -> Bool { high != other.high ? high < other.high : low < other.low }
}
