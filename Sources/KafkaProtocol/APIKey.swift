/// Names the kind of a request. All keys of Kafka 4.3 are named here; which of them are served is the service's affair.
///
/// Source: Kafka protocol guide, Api Keys.
public struct APIKey: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int16

    public init(rawValue: Int16) {
        self.rawValue = rawValue
    }

    public static let produce = APIKey(rawValue: 0)
    public static let fetch = APIKey(rawValue: 1)
    public static let listOffsets = APIKey(rawValue: 2)
    public static let metadata = APIKey(rawValue: 3)
    public static let leaderAndIsr = APIKey(rawValue: 4)
    public static let stopReplica = APIKey(rawValue: 5)
    public static let updateMetadata = APIKey(rawValue: 6)
    public static let controlledShutdown = APIKey(rawValue: 7)
    public static let offsetCommit = APIKey(rawValue: 8)
    public static let offsetFetch = APIKey(rawValue: 9)
    public static let findCoordinator = APIKey(rawValue: 10)
    public static let joinGroup = APIKey(rawValue: 11)
    public static let heartbeat = APIKey(rawValue: 12)
    public static let leaveGroup = APIKey(rawValue: 13)
    public static let syncGroup = APIKey(rawValue: 14)
    public static let describeGroups = APIKey(rawValue: 15)
    public static let listGroups = APIKey(rawValue: 16)
    public static let saslHandshake = APIKey(rawValue: 17)
    public static let apiVersions = APIKey(rawValue: 18)
    public static let createTopics = APIKey(rawValue: 19)
    public static let deleteTopics = APIKey(rawValue: 20)
    public static let deleteRecords = APIKey(rawValue: 21)
    public static let initProducerID = APIKey(rawValue: 22)
    public static let offsetForLeaderEpoch = APIKey(rawValue: 23)
    public static let addPartitionsToTxn = APIKey(rawValue: 24)
    public static let addOffsetsToTxn = APIKey(rawValue: 25)
    public static let endTxn = APIKey(rawValue: 26)
    public static let writeTxnMarkers = APIKey(rawValue: 27)
    public static let txnOffsetCommit = APIKey(rawValue: 28)
    public static let describeAcls = APIKey(rawValue: 29)
    public static let createAcls = APIKey(rawValue: 30)
    public static let deleteAcls = APIKey(rawValue: 31)
    public static let describeConfigs = APIKey(rawValue: 32)
    public static let alterConfigs = APIKey(rawValue: 33)
    public static let alterReplicaLogDirs = APIKey(rawValue: 34)
    public static let describeLogDirs = APIKey(rawValue: 35)
    public static let saslAuthenticate = APIKey(rawValue: 36)
    public static let createPartitions = APIKey(rawValue: 37)
    public static let createDelegationToken = APIKey(rawValue: 38)
    public static let renewDelegationToken = APIKey(rawValue: 39)
    public static let expireDelegationToken = APIKey(rawValue: 40)
    public static let describeDelegationToken = APIKey(rawValue: 41)
    public static let deleteGroups = APIKey(rawValue: 42)
    public static let electLeaders = APIKey(rawValue: 43)
    public static let incrementalAlterConfigs = APIKey(rawValue: 44)
    public static let alterPartitionReassignments = APIKey(rawValue: 45)
    public static let listPartitionReassignments = APIKey(rawValue: 46)
    public static let offsetDelete = APIKey(rawValue: 47)
    public static let describeClientQuotas = APIKey(rawValue: 48)
    public static let alterClientQuotas = APIKey(rawValue: 49)
    public static let describeUserScramCredentials = APIKey(rawValue: 50)
    public static let alterUserScramCredentials = APIKey(rawValue: 51)
    public static let vote = APIKey(rawValue: 52)
    public static let beginQuorumEpoch = APIKey(rawValue: 53)
    public static let endQuorumEpoch = APIKey(rawValue: 54)
    public static let describeQuorum = APIKey(rawValue: 55)
    public static let alterPartition = APIKey(rawValue: 56)
    public static let updateFeatures = APIKey(rawValue: 57)
    public static let envelope = APIKey(rawValue: 58)
    public static let fetchSnapshot = APIKey(rawValue: 59)
    public static let describeCluster = APIKey(rawValue: 60)
    public static let describeProducers = APIKey(rawValue: 61)
    public static let brokerRegistration = APIKey(rawValue: 62)
    public static let brokerHeartbeat = APIKey(rawValue: 63)
    public static let unregisterBroker = APIKey(rawValue: 64)
    public static let describeTransactions = APIKey(rawValue: 65)
    public static let listTransactions = APIKey(rawValue: 66)
    public static let allocateProducerIDs = APIKey(rawValue: 67)
    public static let consumerGroupHeartbeat = APIKey(rawValue: 68)
    public static let consumerGroupDescribe = APIKey(rawValue: 69)
    public static let controllerRegistration = APIKey(rawValue: 70)
    public static let getTelemetrySubscriptions = APIKey(rawValue: 71)
    public static let pushTelemetry = APIKey(rawValue: 72)
    public static let assignReplicasToDirs = APIKey(rawValue: 73)
    public static let listConfigResources = APIKey(rawValue: 74)
    public static let describeTopicPartitions = APIKey(rawValue: 75)
    public static let shareGroupHeartbeat = APIKey(rawValue: 76)
    public static let shareGroupDescribe = APIKey(rawValue: 77)
    public static let shareFetch = APIKey(rawValue: 78)
    public static let shareAcknowledge = APIKey(rawValue: 79)
    public static let addRaftVoter = APIKey(rawValue: 80)
    public static let removeRaftVoter = APIKey(rawValue: 81)
    public static let updateRaftVoter = APIKey(rawValue: 82)
    public static let initializeShareGroupState = APIKey(rawValue: 83)
    public static let readShareGroupState = APIKey(rawValue: 84)
    public static let writeShareGroupState = APIKey(rawValue: 85)
    public static let deleteShareGroupState = APIKey(rawValue: 86)
    public static let readShareGroupStateSummary = APIKey(rawValue: 87)
    public static let streamsGroupHeartbeat = APIKey(rawValue: 88)
    public static let streamsGroupDescribe = APIKey(rawValue: 89)
    public static let describeShareGroupOffsets = APIKey(rawValue: 90)
    public static let alterShareGroupOffsets = APIKey(rawValue: 91)
    public static let deleteShareGroupOffsets = APIKey(rawValue: 92)
}

extension APIKey: CustomStringConvertible {
    /// As the protocol guide spells it; `API 1234` for a key that it does not have.
    public var name: String { entry?.name ?? "API \(rawValue)" }
    public var description: String { name }

    /// The first version with compact lengths and tagged fields; `Int16.max` where no version has them.
    public var firstFlexible: Int16 { entry?.firstFlexible ?? .max }

    private var entry: (name: String, firstFlexible: Int16)? {
        rawValue >= 0 && rawValue < Self.table.count ? Self.table[Int(rawValue)] : nil
    }

    /// In the order of the keys, from 0 on.
    private static let table: [(name: String, firstFlexible: Int16)] = [
        ("Produce", 9),
        ("Fetch", 12),
        ("ListOffsets", 6),
        ("Metadata", 9),
        ("LeaderAndIsr", .max),
        ("StopReplica", .max),
        ("UpdateMetadata", .max),
        ("ControlledShutdown", .max),
        ("OffsetCommit", 8),
        ("OffsetFetch", 6),
        ("FindCoordinator", 3),
        ("JoinGroup", 6),
        ("Heartbeat", 4),
        ("LeaveGroup", 4),
        ("SyncGroup", 4),
        ("DescribeGroups", 5),
        ("ListGroups", 3),
        ("SaslHandshake", .max),
        ("ApiVersions", 3),
        ("CreateTopics", 5),
        ("DeleteTopics", 4),
        ("DeleteRecords", 2),
        ("InitProducerId", 2),
        ("OffsetForLeaderEpoch", 4),
        ("AddPartitionsToTxn", 3),
        ("AddOffsetsToTxn", 3),
        ("EndTxn", 3),
        ("WriteTxnMarkers", 1),
        ("TxnOffsetCommit", 3),
        ("DescribeAcls", 2),
        ("CreateAcls", 2),
        ("DeleteAcls", 2),
        ("DescribeConfigs", 4),
        ("AlterConfigs", 2),
        ("AlterReplicaLogDirs", 2),
        ("DescribeLogDirs", 2),
        ("SaslAuthenticate", 2),
        ("CreatePartitions", 2),
        ("CreateDelegationToken", 2),
        ("RenewDelegationToken", 2),
        ("ExpireDelegationToken", 2),
        ("DescribeDelegationToken", 2),
        ("DeleteGroups", 2),
        ("ElectLeaders", 2),
        ("IncrementalAlterConfigs", 1),
        ("AlterPartitionReassignments", 0),
        ("ListPartitionReassignments", 0),
        ("OffsetDelete", .max),
        ("DescribeClientQuotas", 1),
        ("AlterClientQuotas", 1),
        ("DescribeUserScramCredentials", 0),
        ("AlterUserScramCredentials", 0),
        ("Vote", 0),
        ("BeginQuorumEpoch", 1),
        ("EndQuorumEpoch", 1),
        ("DescribeQuorum", 0),
        ("AlterPartition", 0),
        ("UpdateFeatures", 0),
        ("Envelope", 0),
        ("FetchSnapshot", 0),
        ("DescribeCluster", 0),
        ("DescribeProducers", 0),
        ("BrokerRegistration", 0),
        ("BrokerHeartbeat", 0),
        ("UnregisterBroker", 0),
        ("DescribeTransactions", 0),
        ("ListTransactions", 0),
        ("AllocateProducerIds", 0),
        ("ConsumerGroupHeartbeat", 0),
        ("ConsumerGroupDescribe", 0),
        ("ControllerRegistration", 0),
        ("GetTelemetrySubscriptions", 0),
        ("PushTelemetry", 0),
        ("AssignReplicasToDirs", 0),
        ("ListConfigResources", 0),
        ("DescribeTopicPartitions", 0),
        ("ShareGroupHeartbeat", 0),
        ("ShareGroupDescribe", 0),
        ("ShareFetch", 0),
        ("ShareAcknowledge", 0),
        ("AddRaftVoter", 0),
        ("RemoveRaftVoter", 0),
        ("UpdateRaftVoter", 0),
        ("InitializeShareGroupState", 0),
        ("ReadShareGroupState", 0),
        ("WriteShareGroupState", 0),
        ("DeleteShareGroupState", 0),
        ("ReadShareGroupStateSummary", 0),
        ("StreamsGroupHeartbeat", 0),
        ("StreamsGroupDescribe", 0),
        ("DescribeShareGroupOffsets", 0),
        ("AlterShareGroupOffsets", 0),
        ("DeleteShareGroupOffsets", 0),
    ]
}
