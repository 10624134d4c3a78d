import Ledger

/// What a topic asks of housekeeping, by its options and the defaults. Source: Kafka 4.3, `LogConfig`.
struct CleanupPolicy: Sendable, Equatable {
    var compacts = false
    var deletes = true
    /// min.cleanable.dirty.ratio
    var dirtyRatioMin = 0.5
    /// min.compaction.lag.ms
    var lagMsMin: Int64 = 0
    /// max.compaction.lag.ms
    var lagMsMax = Int64.max
    /// delete.retention.ms: how long tombstones and markers stay after the first cleaning that saw them.
    var deleteRetentionMs: Int64 = 86_400_000

    init() {}

    init(_ topic: TopicFacts) {
        let configs = topic.configs
        if let names = configs["cleanup.policy"].map(TopicConfigs.items) {
            compacts = names.contains("compact")
            deletes = names.contains("delete")
        }
        if let ratio = configs["min.cleanable.dirty.ratio"].flatMap({ Double($0) }) { dirtyRatioMin = ratio }
        if let lag = configs["min.compaction.lag.ms"].flatMap({ Int64($0) }) { lagMsMin = lag }
        if let lag = configs["max.compaction.lag.ms"].flatMap({ Int64($0) }) { lagMsMax = lag }
        if let time = configs["delete.retention.ms"].flatMap({ Int64($0) }) { deleteRetentionMs = time }
    }
}
