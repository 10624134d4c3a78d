import KafkaProtocol

/// What a command has come to: the facts that the log keeps. Applying one needs no decision any more.
enum LedgerRecord: Sendable, Equatable {
    case topicCreated(TopicCreated)
    case topicDeleted(TopicDeleted)
    case partitionsGrown(PartitionsGrown)
    case topicConfigsSet(TopicConfigsSet)
    case objectCommitted(ObjectCommitted)
    case siteObjectAdopted(SiteObjectAdopted)
    case siteGapsNoted(SiteGapsNoted)
    case producerIDsAllocated(ProducerIDsAllocated)
    case groupOffsetsCommitted(GroupOffsetsCommitted)
    case groupDeleted(GroupDeleted)
    case groupOffsetsDeleted(GroupOffsetsDeleted)
    case logStartsAdvanced(LogStartsAdvanced)
    case objectsMarked(ObjectsMarked)
    case objectsForgotten(ObjectsForgotten)
    case producersExpired(ProducersExpired)
    case nodeRegistered(NodeRegistered)
    case siteSeen(SiteSeen)
    case siteStateSet(SiteStateSet)
    case transactionInitialised(TransactionInitialised)
    case transactionExtended(TransactionExtended)
    case transactionOffsetsAdded(TransactionOffsetsAdded)
    case transactionEnded(TransactionEnded)
    case markersWritten(MarkersWritten)
    case transactionsExpired(TransactionsExpired)
    case volumeRegistered(VolumeRegistered)
    case logCommitted(LogCommitted)
    case extentsRewritten(ExtentsRewritten)
    case siteRegistered(SiteRegistered)
    case siteBooted(SiteBooted)
}

struct TopicCreated: Sendable, Equatable {
    var topic = NewTopic(name: "", id: .zero, partitionCount: 0)
    var nowMs: Int64 = 0
}

struct TopicDeleted: Sendable, Equatable {
    var id = KafkaUUID.zero
    var partitionCount: Int32 = 0
    var nowMs: Int64 = 0
}

struct PartitionsGrown: Sendable, Equatable {
    var id = KafkaUUID.zero
    var formerCount: Int32 = 0
    var partitionCount: Int32 = 0
    var nowMs: Int64 = 0
}

struct TopicConfigsSet: Sendable, Equatable {
    var id = KafkaUUID.zero
    var configs: [String: String] = [:]
    var nowMs: Int64 = 0
}

/// The placed runs of one object and where they went.
struct PlacedObject: Sendable, Equatable {
    var key = ""
    var sizeBytes: Int64 = 0
    var nowMs: Int64 = 0
    /// The answer: one outcome per run of the command.
    var outcomes: [RunOutcome] = []
    /// The runs that were committed, in the order of the `.committed` outcomes.
    var committed: [RunCommit] = []

    /// Each committed run with its base offset.
    var placements: some Sequence<(run: RunCommit, baseOffset: Int64)> {
        let bases = outcomes.lazy.compactMap { outcome -> Int64? in
            guard case .committed(let baseOffset, _) = outcome else { return nil }
            return baseOffset
        }
        return zip(committed, bases).lazy.map { (run: $0, baseOffset: $1) }
    }
}

struct ObjectCommitted: Sendable, Equatable {
    var object = PlacedObject()
    var nodeID: Int32 = 0
    var nodeEpoch: Int64 = 0
}

struct SiteObjectAdopted: Sendable, Equatable {
    var object = PlacedObject()
    var site = ""
    var incarnation = ""
    var lane = ""
    var sequence: UInt64 = 0
    var firstLSN: UInt64 = 0
    var lastLSN: UInt64 = 0
}

struct ProducerIDsAllocated: Sendable, Equatable {
    var first: Int64 = 0
    var count: Int64 = 0
}

struct GroupOffsetsCommitted: Sendable, Equatable {
    var group = ""
    var items: [CommitGroupOffsets.Item] = []
    var nowMs: Int64 = 0
}

struct GroupDeleted: Sendable, Equatable {
    var group = ""
}

struct GroupOffsetsDeleted: Sendable, Equatable {
    var group = ""
    var partitions: [TopicPartition] = []
}

struct LogStartsAdvanced: Sendable, Equatable {
    var items: [AdvanceLogStart.Item] = []
    var nowMs: Int64 = 0
}

struct ObjectsMarked: Sendable, Equatable {
    var keys: [String] = []
    var nowMs: Int64 = 0
}

struct ObjectsForgotten: Sendable, Equatable {
    var keys: [String] = []
    var nowMs: Int64 = 0
}

struct ProducersExpired: Sendable, Equatable {
    var idleSinceMs: Int64 = 0
    var nowMs: Int64 = 0
}

struct NodeRegistered: Sendable, Equatable {
    var nodeID: Int32 = 0
    var epoch: Int64 = 0
    var nowMs: Int64 = 0
}

struct SiteSeen: Sendable, Equatable {
    var site = ""
    var nowMs: Int64 = 0
}

struct SiteStateSet: Sendable, Equatable {
    var site = ""
    var isSuspended = false
    /// Empty for none.
    var fencedIncarnation = ""
    var nowMs: Int64 = 0
}

struct SiteRegistered: Sendable, Equatable {
    var site = ""
    var registration = SiteRegistration.blank
}

struct SiteBooted: Sendable, Equatable {
    var site = ""
    var incarnation = ""
    var boot = SiteBoot.blank
    /// It does not hold the incarnation, but asked for it.
    var isContender = false
}

// MARK: - What changed

extension LedgerRecord {
    /// Adds the partitions whose offsets, log start or existence this record changes.
    func note(into changed: inout Set<TopicPartition>) {
        switch self {
        case .topicCreated(let record):
            changed.note(record.topic.id, 0..<record.topic.partitionCount)
        case .topicDeleted(let record):
            changed.note(record.id, 0..<record.partitionCount)
        case .partitionsGrown(let record):
            changed.note(record.id, record.formerCount..<record.partitionCount)
        case .objectCommitted(let record): changed.note(record.object)
        case .siteObjectAdopted(let record): changed.note(record.object)
        case .logCommitted(let record): changed.note(record.object)
        case .transactionEnded(let record): changed.formUnion(record.partitions)
        case .markersWritten(let record): changed.formUnion(record.partitions)
        case .extentsRewritten(let record):
            for run in record.runs {
                changed.insert(TopicPartition(topicID: run.topicID, partition: run.partition))
            }
        case .logStartsAdvanced(let record):
            for item in record.items {
                changed.insert(TopicPartition(topicID: item.topicID, partition: item.partition))
            }
        case .topicConfigsSet, .producerIDsAllocated, .groupOffsetsCommitted, .groupDeleted, .groupOffsetsDeleted,
            .objectsMarked, .objectsForgotten, .producersExpired, .nodeRegistered, .siteSeen, .siteStateSet,
            .transactionInitialised, .transactionExtended, .transactionOffsetsAdded, .transactionsExpired,
            .volumeRegistered, .siteRegistered, .siteBooted, .siteGapsNoted:
            break
        }
    }
}

extension Set<TopicPartition> {
    fileprivate mutating func note(_ object: PlacedObject) {
        for run in object.committed { insert(TopicPartition(topicID: run.topicID, partition: run.partition)) }
    }

    fileprivate mutating func note(_ topicID: KafkaUUID, _ partitions: Range<Int32>) {
        for partition in partitions { insert(TopicPartition(topicID: topicID, partition: partition)) }
    }
}
