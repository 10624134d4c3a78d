import KafkaProtocol
import Ledger

/// What a topic asks of a batch, by its options and the defaults.
struct TopicRules: Sendable {
    let ack: AckMode
    private let rules: ProduceRules

    init(_ topic: TopicFacts, _ configuration: CloudConfiguration) {
        let configs = topic.configs
        ack = configs["cairn.ack"].flatMap { AckMode(rawValue: $0) } ?? configuration.topics.ack
        var rules = ProduceRules(nowMs: 0)
        rules.batchBytesMax = configs["max.message.bytes"].flatMap { Int($0) } ?? configuration.topics.batchBytesMax
        if !configs.isEmpty {
            rules.isCompacted = CleanupPolicy(topic).compacts
            if configs["message.timestamp.type"] == "LogAppendTime" { rules.timestampType = .logAppendTime }
            if let before = configs["message.timestamp.before.max.ms"].flatMap({ Int64($0) }) {
                rules.beforeMaxMs = before
            }
            if let after = configs["message.timestamp.after.max.ms"].flatMap({ Int64($0) }) { rules.afterMaxMs = after }
            if let codec = Self.codec(configs) { rules.compression = .codec(codec) }
        }
        self.rules = rules
    }

    func produce(version: Int16, nowMs: Int64) -> ProduceRules {
        var rules = rules
        rules.produceVersion = version
        rules.nowMs = nowMs
        return rules
    }

    /// Nil where batches stay as producers compressed them.
    private static func codec(_ configs: [String: String]) -> RecordBatchBuilder.Codec? {
        func level(_ name: String, _ otherwise: Int32) -> Int32 {
            configs["compression.\(name).level"].flatMap { Int32($0) } ?? otherwise
        }
        switch configs["compression.type"] {
        case "uncompressed": return RecordBatchBuilder.Codec.none
        case "gzip": return .gzip(level: level("gzip", -1))
        case "snappy": return .snappy
        case "lz4": return .lz4(level: level("lz4", 9))
        case "zstd": return .zstd(level: level("zstd", 3))
        default: return nil
        }
    }
}
