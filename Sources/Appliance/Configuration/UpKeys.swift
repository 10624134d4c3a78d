/// What `cairn up` may be told: everything of both roles under `edge.` and `cloud.`, with defaults that work together
/// over one data directory.
enum UpKeys {
    static let all = all(lanes: EdgeKeys.lanes)

    static func all(lanes: [String]) -> [SettingKey] {
        [
            SettingKey("data-dir", .text, "data", "Directory of everything: log, ledger, objects."),
            SettingKey(
                "log.level", .choice(["trace", "debug", "info", "notice", "warning", "error"]), "notice",
                "Least severe line that is written."),
            SettingKey(
                "log.format", .choice(["text", "json"]), "text", "Lines on standard error, or one JSON object a line."),
        ] + CommonKeys.encryption + role("edge", EdgeKeys.all(lanes: lanes), defaults: edgeDefaults)
            + role("cloud", CloudKeys.all, defaults: cloudDefaults)
    }

    private static let shared: Set<String> = ["data-dir", "log.level", "log.format"]

    private static let edgeDefaults = ["site": "local", "ntrip.mountpoints": "*:cairn"]
    private static let cloudDefaults = [
        "adoption.interval": "30s", "kafka.group-initial-delay": "500ms",
    ]

    private static func role(_ name: String, _ keys: [SettingKey], defaults: [String: String]) -> [SettingKey] {
        keys.filter { !shared.contains($0.name) && !$0.name.hasPrefix("store.") }
            .filter { !$0.name.hasPrefix("encryption.") }
            .map { $0.under(name, fallback: defaults[$0.name]) }
    }
}
