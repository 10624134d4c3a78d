/// One thing a user may set, said once: its name, its form, its default and what it is for. The reader, the check for
/// unknown keys and `cairn config example` all work from this description.
struct SettingKey: Sendable, Equatable {
    /// What a value must look like.
    enum Kind: Sendable, Equatable {
        case text
        /// Never printed.
        case secret
        case flag
        case count(ClosedRange<Int>)
        /// Bytes: `8MiB`, `64KiB`, `1048576`.
        case size(ClosedRange<Int>)
        /// A time: `250ms`, `5s`, `10m`, `2h`, `7d`.
        case duration
        /// `host:port`; empty switches the listener off.
        case address
        case choice([String])
        case list
        case secretList
    }

    let name: String
    let kind: Kind
    /// In the written form; for lists, separated by commas.
    let fallback: String
    let help: String

    init(_ name: String, _ kind: Kind, _ fallback: String, _ help: String) {
        self.name = name
        self.kind = kind
        self.fallback = fallback
        self.help = help
    }

    var components: [String] { name.split(separator: ".").map(String.init) }
    var isList: Bool { kind == .list || kind == .secretList }
    var isSecret: Bool { kind == .secret || kind == .secretList }

    /// As an environment variable: `kafka.message-bytes-max` is `CAIRN_KAFKA_MESSAGE_BYTES_MAX`.
    var environmentName: String {
        "CAIRN_" + name.uppercased().map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()
    }

    /// As a flag: `kafka.listen` is `--kafka-listen`.
    var flagName: String { "--" + name.replacing(".", with: "-") }

    /// The same setting under a role, as `cairn up` knows it: `edge.kafka.listen`.
    func under(_ role: String, fallback other: String? = nil) -> SettingKey {
        SettingKey(role + "." + name, kind, other ?? fallback, help)
    }
}

/// What is wrong with a setting: where it was said, its name, and why it is refused.
struct SettingProblem: Error, Equatable, CustomStringConvertible {
    /// `gateway.yaml:12`, `environment CAIRN_SITE`, `flag --site`, or `default`.
    let origin: String
    let name: String
    let reason: String

    var description: String { "\(origin): \(name): \(reason)" }
}

/// All that is wrong with a configuration, so that a user mends it in one go.
struct SettingProblems: Error, Equatable, CustomStringConvertible {
    let problems: [SettingProblem]
    var description: String { problems.map(\.description).joined(separator: "\n") }
}
