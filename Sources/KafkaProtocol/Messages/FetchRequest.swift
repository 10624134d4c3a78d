/// Reads record batches. Versions 4 to 18.
/// Source: Kafka protocol guide, Fetch API (Key: 1); sessions: KIP-227.
public struct FetchRequest: RequestMessage {
    public typealias Response = FetchResponse
    public static let apiKey = APIKey.fetch
    public static let versions: ClosedRange<Int16> = 4...18

    public var clusterID: String?
    /// -1 for a consumer. Up to version 14; then in ``replicaState``.
    public var replicaID: Int32 = -1
    public var replicaState = ReplicaState()
    public var maxWaitMs: Int32 = 0
    public var minBytes: Int32 = 0
    public var maxBytes = Int32.max
    /// 0 reads uncommitted records too, 1 only committed ones.
    public var isolationLevel: Int8 = 0
    public var sessionID: Int32 = 0
    /// -1 for no session, 0 to begin one.
    public var sessionEpoch: Int32 = -1
    public var topics: [Topic] = []
    public var forgottenTopics: [ForgottenTopic] = []
    public var rackID = ""

    public init() {}

    public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
        if wire.version <= 14 { try wire.integer(&replicaID) }
        try wire.integer(&maxWaitMs)
        try wire.integer(&minBytes)
        try wire.integer(&maxBytes)
        try wire.integer(&isolationLevel)
        if wire.version >= 7 {
            try wire.integer(&sessionID)
            try wire.integer(&sessionEpoch)
        }
        try wire.array(&topics)
        if wire.version >= 7 { try wire.array(&forgottenTopics) }
        if wire.version >= 11 { try wire.string(&rackID) }
        try wire.tagged(0, isDefault: clusterID == nil) { wire throws(WireError) in
            try wire.nullableString(&clusterID)
        }
        if wire.version >= 15 {
            try wire.tagged(1, isDefault: replicaState == ReplicaState()) { wire throws(WireError) in
                try wire.structure(&replicaState)
            }
        }
    }

    public struct ReplicaState: WireMessage {
        public var replicaID: Int32 = -1
        public var replicaEpoch: Int64 = -1

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&replicaID)
            try wire.integer(&replicaEpoch)
        }
    }

    public struct Topic: WireMessage {
        /// Up to version 12.
        public var name = ""
        /// From version 13.
        public var topicID = KafkaUUID.zero
        public var partitions: [Partition] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitions)
        }
    }

    public struct Partition: WireMessage {
        public var index: Int32 = 0
        public var currentLeaderEpoch: Int32 = -1
        public var fetchOffset: Int64 = 0
        public var lastFetchedEpoch: Int32 = -1
        public var logStartOffset: Int64 = -1
        public var maxBytes: Int32 = 0
        public var replicaDirectoryID = KafkaUUID.zero
        public var highWatermark = Int64.max

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            try wire.integer(&index)
            if wire.version >= 9 { try wire.integer(&currentLeaderEpoch) }
            try wire.integer(&fetchOffset)
            if wire.version >= 12 { try wire.integer(&lastFetchedEpoch) }
            if wire.version >= 5 { try wire.integer(&logStartOffset) }
            try wire.integer(&maxBytes)
            if wire.version >= 17 {
                try wire.tagged(0, isDefault: replicaDirectoryID == .zero) { wire throws(WireError) in
                    try wire.uuid(&replicaDirectoryID)
                }
            }
            if wire.version >= 18 {
                try wire.tagged(1, isDefault: highWatermark == .max) { wire throws(WireError) in
                    try wire.integer(&highWatermark)
                }
            }
        }
    }

    /// Partitions that leave the session.
    public struct ForgottenTopic: WireMessage {
        public var name = ""
        public var topicID = KafkaUUID.zero
        public var partitions: [Int32] = []

        public init() {}

        public mutating func fields(_ wire: inout some WireCoder) throws(WireError) {
            if wire.version <= 12 { try wire.string(&name) } else { try wire.uuid(&topicID) }
            try wire.array(&partitions)
        }
    }
}
