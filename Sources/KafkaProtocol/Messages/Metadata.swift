/// Asks for brokers, topics and partition leaders. Versions 0 to 13.
/// Source: Kafka protocol guide, Metadata API (Key: 3).
public struct MetadataRequest: RequestMessage {
    public typealias Response = MetadataResponse
    public static let apiKey = APIKey.metadata
    public static let versions: ClosedRange<Int16> = 0...13

    /// Null for all topics; see ``wantsAllTopics(version:)``.
    public var topics: [Topic]?
    public var allowsAutoTopicCreation = true
    public var includesClusterAuthorizedOperations = false
    public var includesTopicAuthorizedOperations = false

    public init() {}

    /// Version 0 has no null and says "all" with an empty list.
    public func wantsAllTopics(version: Int16) -> Bool {
        guard let topics else { return true }
        return version == 0 && topics.isEmpty
    }

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        try wire.nullableArray(&topics, since: 1)
        if wire.version >= 4 { try wire.boolean(&allowsAutoTopicCreation) }
        if (8...10).contains(wire.version) { try wire.boolean(&includesClusterAuthorizedOperations) }
        if wire.version >= 8 { try wire.boolean(&includesTopicAuthorizedOperations) }
    }

    public struct Topic: WireMessage {
        public var topicID = KafkaUUID.zero
        /// Null where only the id is given; not before version 10.
        public var name: String? = ""

        public init() {}
        public init(topicID: KafkaUUID = .zero, name: String?) {
            self.topicID = topicID
            self.name = name
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version >= 10 { try wire.uuid(&topicID) }
            try wire.nullableString(&name, since: 10)
        }
    }
}

public struct MetadataResponse: WireMessage {
    public var throttleTimeMs: Int32 = 0
    public var brokers: [Broker] = []
    public var clusterID: String?
    public var controllerID: Int32 = -1
    public var topics: [Topic] = []
    public var clusterAuthorizedOperations = Int32.min
    public var errorCode = ErrorCode.none

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version >= 3 { try wire.integer(&throttleTimeMs) }
        try wire.array(&brokers)
        if wire.version >= 2 { try wire.nullableString(&clusterID) }
        if wire.version >= 1 { try wire.integer(&controllerID) }
        try wire.array(&topics)
        if (8...10).contains(wire.version) { try wire.integer(&clusterAuthorizedOperations) }
        if wire.version >= 13 { try wire.error(&errorCode) }
    }

    public struct Broker: WireMessage {
        public var nodeID: Int32 = 0
        public var host = ""
        public var port: Int32 = 0
        public var rack: String?

        public init() {}
        public init(nodeID: Int32, host: String, port: Int32, rack: String? = nil) {
            self.nodeID = nodeID
            self.host = host
            self.port = port
            self.rack = rack
        }

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&nodeID)
            try wire.string(&host)
            try wire.integer(&port)
            if wire.version >= 1 { try wire.nullableString(&rack) }
        }
    }

    public struct Topic: WireMessage {
        public var errorCode = ErrorCode.none
        /// Null for an unknown id; not before version 12.
        public var name: String? = ""
        public var topicID = KafkaUUID.zero
        public var isInternal = false
        public var partitions: [Partition] = []
        public var topicAuthorizedOperations = Int32.min

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.nullableString(&name, since: 12)
            if wire.version >= 10 { try wire.uuid(&topicID) }
            if wire.version >= 1 { try wire.boolean(&isInternal) }
            try wire.array(&partitions)
            if wire.version >= 8 { try wire.integer(&topicAuthorizedOperations) }
        }
    }

    public struct Partition: WireMessage {
        public var errorCode = ErrorCode.none
        public var index: Int32 = 0
        public var leaderID: Int32 = 0
        public var leaderEpoch: Int32 = -1
        public var replicaNodes: [Int32] = []
        public var isrNodes: [Int32] = []
        public var offlineReplicas: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.error(&errorCode)
            try wire.integer(&index)
            try wire.integer(&leaderID)
            if wire.version >= 7 { try wire.integer(&leaderEpoch) }
            try wire.array(&replicaNodes)
            try wire.array(&isrNodes)
            if wire.version >= 5 { try wire.array(&offlineReplicas) }
        }
    }
}
