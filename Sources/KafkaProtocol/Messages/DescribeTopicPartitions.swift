/// Asks for the partitions of topics, a page at a time. Version 0, flexible.
/// Source: Kafka protocol guide, DescribeTopicPartitions API (Key: 75); KIP-966.
public struct DescribeTopicPartitionsRequest: RequestMessage {
    public typealias Response = DescribeTopicPartitionsResponse
    public static let apiKey = APIKey.describeTopicPartitions
    public static let versions: ClosedRange<Int16> = 0...0

    /// Empty for all topics.
    public var topics: [Topic] = []
    public var responsePartitionLimit: Int32 = 2000
    /// The first partition of the page; null for the first of all.
    public var cursor: TopicPartitionCursor?

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.array(&topics)
        try wire.integer(&responsePartitionLimit)
        try wire.nullableStructure(&cursor)
    }

    public struct Topic: WireMessage {
        public var name = ""

        public init() {}
        public init(name: String) {
            self.name = name
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.string(&name)
        }
    }
}

/// Where a page of ``DescribeTopicPartitionsRequest`` begins.
public struct TopicPartitionCursor: WireMessage {
    public var topicName = ""
    public var partitionIndex: Int32 = 0

    public init() {}
    public init(topicName: String, partitionIndex: Int32) {
        self.topicName = topicName
        self.partitionIndex = partitionIndex
    }

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.string(&topicName)
        try wire.integer(&partitionIndex)
    }
}

public struct DescribeTopicPartitionsResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var topics: [Topic] = []
    /// Null on the last page.
    public var nextCursor: TopicPartitionCursor?

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.integer(&throttleTimeMs)
        try wire.array(&topics)
        try wire.nullableStructure(&nextCursor)
    }

    public struct Topic: WireMessage {
        public var errorCode = ErrorCode.none
        public var name: String? = ""
        public var topicID = KafkaUUID.zero
        public var isInternal = false
        public var partitions: [Partition] = []
        public var topicAuthorizedOperations = Int32.min

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.nullableString(&name)
            try wire.uuid(&topicID)
            try wire.boolean(&isInternal)
            try wire.array(&partitions)
            try wire.integer(&topicAuthorizedOperations)
        }
    }

    public struct Partition: WireMessage {
        public var errorCode = ErrorCode.none
        public var index: Int32 = 0
        public var leaderID: Int32 = 0
        public var leaderEpoch: Int32 = -1
        public var replicaNodes: [Int32] = []
        public var isrNodes: [Int32] = []
        public var eligibleLeaderReplicas: [Int32]?
        public var lastKnownELR: [Int32]?
        public var offlineReplicas: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.integer(&index)
            try wire.integer(&leaderID)
            try wire.integer(&leaderEpoch)
            try wire.array(&replicaNodes)
            try wire.array(&isrNodes)
            try wire.nullableArray(&eligibleLeaderReplicas)
            try wire.nullableArray(&lastKnownELR)
            try wire.array(&offlineReplicas)
        }
    }
}
