public import KafkaListener
public import WriteAheadLog

/// What a gateway is and has done, for pages and metrics. Each part is consistent in itself; they are taken one after another.
public struct EdgeStatus: Sendable {
    public var incarnation: String
    /// Most urgent first; lanes that are no longer configured but still hold data come last.
    public var lanes: [EdgeLaneStatus]
    public var topicCount: Int
    /// `host:port` of the Kafka listener while it runs.
    public var kafkaAddress: String?
    public var kafka: KafkaListenerCounters?
    public var groups: LocalGroupStatus
    public var intakes: [EdgeIntakeStatus]
}

/// One lane: positions, counts, alarms.
public struct EdgeLaneStatus: Sendable {
    public var settings: LaneSettings
    /// False for a lane that is only kept open until its data has been uploaded.
    public var isConfigured: Bool
    public var log: LaneStatus
    /// Batches and control frames that are durable here and not yet in the object store.
    public var uploadLag: UInt64 { log.durableLSN - min(log.durableLSN, log.uploadedLSN) }
}

/// One intake listener under its name.
public struct EdgeIntakeStatus: Sendable {
    public var name: String
    public var address: String?
    public var counters: IntakeCounters
}
