public import KafkaListener
public import WriteAheadLog

/// Everything a gateway may be told, as values.
public struct EdgeConfiguration: Sendable {
    /// Directory of the gateway's files, made when absent: `incarnation`, `producer-ids`, `lanes/<name>/`.
    public var root: String
    /// Lanes with their settings, and which topic goes where.
    public var router: LaneRouter
    /// Topics that are there from the start; others are made by clients where that is allowed.
    public var topics: [TopicSettings] = []
    /// `nil` starts no Kafka listener.
    public var kafkaListener: KafkaListenerConfiguration?
    public var kafka = EdgeKafkaConfiguration()
    public var engine = LaneConfiguration.EngineChoice.automatic
    /// Segments are multiples of it; see `LaneConfiguration.eraseBlockBytes`.
    public var eraseBlockBytes = 4096
    public var scrub = LaneConfiguration.Scrub()
    /// Threads for reads that block.
    public var readerThreads = 2

    public init(root: String, router: LaneRouter, kafkaListener: KafkaListenerConfiguration? = .init()) {
        self.root = root
        self.router = router
        self.kafkaListener = kafkaListener
    }
}
