/// A commented example file of a role, from the same description that the reader checks against.
enum SettingsExample {
    static func yaml(of keys: [SettingKey], title: String) -> String {
        var lines = [
            "# \(title)", "# Every setting with its default. Strongest first: --flag, CAIRN_… variable, this file.", "",
        ]
        var open: [String] = []
        for key in keys {
            let parents = key.components.dropLast().map { $0 }
            let common = zip(open, parents).prefix { $0 == $1 }.count
            for depth in common..<max(common, parents.count) { lines.append(indent(depth) + parents[depth] + ":") }
            open = parents
            lines.append(indent(parents.count) + "# " + key.help)
            lines.append(indent(parents.count) + "# " + key.flagName + " or " + key.environmentName)
            lines.append(indent(parents.count) + (key.components.last ?? key.name) + ": " + written(key))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth) }

    private static func written(_ key: SettingKey) -> String {
        if key.isList {
            let items = key.fallback.split(separator: ",").map { "\"\($0)\"" }
            return "[" + items.joined(separator: ", ") + "]"
        }
        switch key.kind {
        case .flag, .count, .size, .duration: return key.fallback
        default: return "\"\(key.fallback)\""
        }
    }
}
