import KafkaProtocol

// What transactional commands come to.

/// A transactional id has a producer id and an epoch, and no transaction.
struct TransactionInitialised: Sendable, Equatable {
    var transactionalID = ""
    var producerID: Int64 = 0
    var epoch: Int16 = 0
    var formerEpoch: Int16 = -1
    var timeoutMs: Int32 = 0
    var nowMs: Int64 = 0
}

/// Partitions and a group take part in the transaction, which is open now.
struct TransactionExtended: Sendable, Equatable {
    var transactionalID = ""
    var partitions: [TopicPartition] = []
    var group = ""
    var nowMs: Int64 = 0
}

struct TransactionOffsetsAdded: Sendable, Equatable {
    var transactionalID = ""
    var group = ""
    var items: [CommitGroupOffsets.Item] = []
    var nowMs: Int64 = 0
}

/// Markers in all its partitions, its offsets in all its groups, and the producer's next epoch, at once.
struct TransactionEnded: Sendable, Equatable {
    var transactionalID = ""
    var producerID: Int64 = 0
    /// Of the markers.
    var epoch: Int16 = 0
    var commits = false
    /// In order: each takes one offset.
    var partitions: [TopicPartition] = []
    var nextProducerID: Int64 = 0
    var nextEpoch: Int16 = 0
    var formerEpoch: Int16 = -1
    var nowMs: Int64 = 0
}

struct MarkersWritten: Sendable, Equatable {
    var producerID: Int64 = 0
    var epoch: Int16 = 0
    var commits = false
    var partitions: [TopicPartition] = []
    var nowMs: Int64 = 0
}

struct TransactionsExpired: Sendable, Equatable {
    var idleSinceMs: Int64 = 0
    var nowMs: Int64 = 0
}

struct VolumeRegistered: Sendable, Equatable {
    var volume = KafkaUUID.zero
    var number: UInt16 = 0
    var nodeID: Int32 = 0
    var nowMs: Int64 = 0
}

struct LogCommitted: Sendable, Equatable {
    var volume = KafkaUUID.zero
    var lastLSN: UInt64 = 0
    /// Without a key: there is no object.
    var object = PlacedObject()
    var nodeID: Int32 = 0
    var nodeEpoch: Int64 = 0
}

struct ExtentsRewritten: Sendable, Equatable {
    var key = ""
    var sizeBytes: Int64 = 0
    var holdsOffsets = false
    var committedMs: Int64 = 0
    var nowMs: Int64 = 0
    var outcomes: [RunOutcome] = []
    /// Those that were taken.
    var runs: [RewrittenRun] = []
    var nodeID: Int32 = 0
    var nodeEpoch: Int64 = 0
}
