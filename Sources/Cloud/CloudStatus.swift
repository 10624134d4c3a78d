import GroupCoordination
public import Ledger
public import ObjectStore

/// What the broker is doing now, for pages, metrics and the live screen. A snapshot of about one moment.
public struct CloudStatus: Sendable, Equatable {
    public struct Topic: Sendable, Equatable {
        public var name: String
        public var partitions: [Partition]
    }

    public struct Partition: Sendable, Equatable {
        public var index: Int32
        public var facts: PartitionFacts
    }

    /// False once another sequencer has taken the ledger over: the process should end.
    public var isServing = true
    public var nodeID: Int32 = 0
    public var nodeEpoch: Int64 = 0
    public var topics: [Topic] = []
    public var ledger = LedgerCounts()
    public var cache = CacheCounts()
    public var produce = ProduceCounts()
    /// Nil for a node without a log of its own.
    public var volume: VolumeCounts?
    public var adoption = AdoptionCounts()
    /// Per lane of each site: through what it is visible to consumers.
    public var lanes: [LaneStatus] = []
    public var retention = RetentionCounts()
    public var housekeeping = HousekeepingCounts()
    /// What this node has asked of the store since its start.
    public var store = StoreCounts()
    public var groups = 0
    public var groupMembers = 0
    /// Long polls that wait now.
    public var waiting = 0
    /// Pieces that could not be read from the store.
    public var readFailures: UInt64 = 0
    /// Bytes of responses that clients have not taken yet.
    public var responseBytes = 0

    public init() {}

    /// Sentences about what an operator should look at; none means healthy.
    public var problems: [String] {
        var problems: [String] = []
        if !isServing { problems.append("the ledger was taken over by another node, or is closed") }
        if let problem = volume?.problem { problems.append("the volume: \(problem)") }
        if let untouched = volume?.leftUntouched { problems.append("the volume: left alone: \(untouched)") }
        for lane in lanes {
            guard let aside = lane.quarantine else { continue }
            problems.append("lane \(lane.site)/\(lane.lane) waits for \(aside.key): \(aside.flaw)")
        }
        return problems
    }
}

extension CloudBroker {
    /// - Parameter topicsMax: partitions of so many topics are listed; counts are of all.
    public func status(topicsMax: Int = 1_000) -> CloudStatus {
        var status = CloudStatus()
        status.isServing = ledger.isServing
        status.nodeID = configuration.nodeID
        status.nodeEpoch = nodeEpoch
        status.topics = ledger.view.topics().prefix(topicsMax).map { topic in
            CloudStatus.Topic(
                name: topic.name,
                partitions: (0..<topic.partitionCount).compactMap { index in
                    ledger.view.partition(topic.id, index).map { CloudStatus.Partition(index: index, facts: $0) }
                })
        }
        status.ledger = ledger.view.counts()
        status.cache = engine.reader.counts
        status.produce = batcher.counts
        status.volume = volume?.counts
        status.adoption = adopter.counts
        status.lanes = adopter.lanes()
        status.retention = retention.counts
        status.housekeeping = housekeeper.counts
        status.store = store.counts
        let groups = groups.counts
        status.groups = groups.groups
        status.groupMembers = groups.members
        status.waiting = engine.watchers.count
        status.readFailures = engine.readFailures
        status.responseBytes = engine.allowance.usedBytes
        return status
    }
}
