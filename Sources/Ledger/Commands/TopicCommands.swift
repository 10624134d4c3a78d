public import KafkaProtocol

/// A topic to create. `name` follows Kafka's rules (1 to 249 of `[a-zA-Z0-9._-]`, not `.` or `..`).
public struct NewTopic: Sendable, Equatable {
    public var name: String
    /// Chosen by the caller at random; never zero.
    public var id: KafkaUUID
    public var partitionCount: Int32
    public var configs: [String: String]

    public init(name: String, id: KafkaUUID, partitionCount: Int32, configs: [String: String] = [:]) {
        self.name = name
        self.id = id
        self.partitionCount = partitionCount
        self.configs = configs
    }
}

public struct CreateTopic: Sendable, Equatable {
    public var topic: NewTopic
    /// Run every check and change nothing.
    public var validateOnly: Bool
    public var nowMs: Int64

    public init(topic: NewTopic, validateOnly: Bool = false, nowMs: Int64) {
        self.topic = topic
        self.validateOnly = validateOnly
        self.nowMs = nowMs
    }

    public init(
        name: String, id: KafkaUUID, partitionCount: Int32, configs: [String: String] = [:],
        validateOnly: Bool = false, nowMs: Int64
    ) {
        self.init(
            topic: NewTopic(name: name, id: id, partitionCount: partitionCount, configs: configs),
            validateOnly: validateOnly, nowMs: nowMs)
    }
}

/// A topic named by name or by id.
public enum TopicReference: Sendable, Hashable {
    case name(String)
    case id(KafkaUUID)
}

public struct DeleteTopic: Sendable, Equatable {
    public var topic: TopicReference
    public var nowMs: Int64

    public init(topic: TopicReference, nowMs: Int64) {
        self.topic = topic
        self.nowMs = nowMs
    }
}

public struct CreatePartitions: Sendable, Equatable {
    public var topic: TopicReference
    /// The new total, larger than the present one.
    public var partitionCount: Int32
    public var validateOnly: Bool
    public var nowMs: Int64

    public init(topic: TopicReference, partitionCount: Int32, validateOnly: Bool = false, nowMs: Int64) {
        self.topic = topic
        self.partitionCount = partitionCount
        self.validateOnly = validateOnly
        self.nowMs = nowMs
    }
}

public struct SetTopicConfigs: Sendable, Equatable {
    public var topic: TopicReference
    public var configs: [String: String]
    public var nowMs: Int64

    public init(topic: TopicReference, configs: [String: String], nowMs: Int64) {
        self.topic = topic
        self.configs = configs
        self.nowMs = nowMs
    }
}

/// Moves log starts forward (retention, DeleteRecords): never back, never beyond the high watermark.
public struct AdvanceLogStart: Sendable, Equatable {
    public struct Item: Sendable, Equatable {
        public var topicID: KafkaUUID
        public var partition: Int32
        public var newLogStart: Int64

        public init(topicID: KafkaUUID, partition: Int32, newLogStart: Int64) {
            self.topicID = topicID
            self.partition = partition
            self.newLogStart = newLogStart
        }
    }
    public var items: [Item]
    public var nowMs: Int64

    public init(items: [Item], nowMs: Int64) {
        self.items = items
        self.nowMs = nowMs
    }
}
