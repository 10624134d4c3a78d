import KafkaProtocol

/// The topic options that we know, with their defaults, and what may be said.
///
/// Source: Kafka 4.3, `TopicConfig` and `LogConfig`. Options that have no meaning over an object store are accepted, kept
/// and shown, so that tools which set them work; those that would promise something we do not do are refused.
struct TopicConfigs: Sendable {
    enum Kind: Int8, Sendable {
        case boolean = 1
        case string = 2
        case int = 3
        case long = 5
        case double = 6
        case list = 7
    }

    struct Option: Sendable {
        var kind: Kind
        var standard: String
        /// For numbers.
        var range: ClosedRange<Int64> = 0...Int64.max
        /// For texts and lists; empty allows everything.
        var choices: Set<String> = []
    }

    let options: [String: Option]

    /// - Parameter hasVolume: the node has a log of its own, so that topics may ask for it.
    init(_ defaults: TopicDefaults, hasVolume: Bool = false) {
        var options = Self.fixed
        options["cairn.ack"] = Option(
            kind: .string, standard: defaults.ack.rawValue,
            choices: Set(AckMode.allCases.filter { $0 == .object || hasVolume }.map(\.rawValue)))
        options["max.message.bytes"] = Option(
            kind: .int, standard: String(defaults.batchBytesMax), range: 0...Int64(Int32.max))
        options["retention.ms"] = Option(kind: .long, standard: String(defaults.retentionMs), range: -1...Int64.max)
        options["retention.bytes"] = Option(
            kind: .long, standard: String(defaults.retentionBytes), range: -1...Int64.max)
        self.options = options
    }

    /// Nil if `value` may stand for `name`; else what is wrong, for people.
    func flaw(_ name: String, _ value: String?) -> String? {
        guard let option = options[name] else { return "Unknown topic config name: \(name)" }
        guard let value else { return "Null value not supported for topic configs: \(name)" }
        let isRight: Bool =
            switch option.kind {
            case .boolean: value == "true" || value == "false"
            case .int, .long: Int64(value).map { option.range.contains($0) } ?? false
            case .double: Double(value).map { (0...1).contains($0) } ?? false
            case .string: option.choices.isEmpty || option.choices.contains(value)
            case .list:
                option.choices.isEmpty
                    || Self.items(of: value).allSatisfy { option.choices.contains($0) } && !value.isEmpty
            }
        return isRight ? nil : "Invalid value \(value) for configuration \(name)"
    }

    /// The parts of a list. Source: Kafka 4.3, `ConfigDef.parseType`: spaces around commas do not count.
    static func items(of value: String) -> [String] {
        value.split(separator: ",", omittingEmptySubsequences: false).map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static let largest = String(Int64.max)
    private static let fixed: [String: Option] = [
        "cleanup.policy": Option(kind: .list, standard: "delete", choices: ["compact", "delete"]),
        "compression.type": Option(
            kind: .string, standard: "producer",
            choices: ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "compression.gzip.level": Option(kind: .int, standard: "-1", range: -1...9),
        "compression.lz4.level": Option(kind: .int, standard: "9", range: 1...17),
        "compression.zstd.level": Option(kind: .int, standard: "3", range: -131_072...22),
        "message.timestamp.type": Option(
            kind: .string, standard: "CreateTime", choices: ["CreateTime", "LogAppendTime"]),
        "min.insync.replicas": Option(kind: .int, standard: "1", range: 1...Int64(Int32.max)),
        "unclean.leader.election.enable": Option(kind: .boolean, standard: "false"),
        "delete.retention.ms": Option(kind: .long, standard: "86400000"),
        "file.delete.delay.ms": Option(kind: .long, standard: "60000"),
        "flush.messages": Option(kind: .long, standard: largest, range: 1...Int64.max),
        "flush.ms": Option(kind: .long, standard: largest),
        "index.interval.bytes": Option(kind: .int, standard: "4096"),
        "max.compaction.lag.ms": Option(kind: .long, standard: largest, range: 1...Int64.max),
        "min.compaction.lag.ms": Option(kind: .long, standard: "0"),
        "message.timestamp.after.max.ms": Option(kind: .long, standard: "3600000"),
        "message.timestamp.before.max.ms": Option(kind: .long, standard: largest),
        "min.cleanable.dirty.ratio": Option(kind: .double, standard: "0.5"),
        "preallocate": Option(kind: .boolean, standard: "false"),
        "segment.bytes": Option(kind: .int, standard: "1073741824", range: 14...Int64(Int32.max)),
        "segment.index.bytes": Option(kind: .int, standard: "10485760", range: 4...Int64(Int32.max)),
        "segment.jitter.ms": Option(kind: .long, standard: "0"),
        "segment.ms": Option(kind: .long, standard: "604800000", range: 1...Int64.max),
        "leader.replication.throttled.replicas": Option(kind: .list, standard: ""),
        "follower.replication.throttled.replicas": Option(kind: .list, standard: ""),
        "remote.storage.enable": Option(kind: .boolean, standard: "false"),
        "local.retention.ms": Option(kind: .long, standard: "-2", range: -2...Int64.max),
        "local.retention.bytes": Option(kind: .long, standard: "-2", range: -2...Int64.max),
    ]
}
