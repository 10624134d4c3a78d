import Configuration
import FoundationEssentials
import Synchronization
import SystemPackage

/// Settings of one role from flags, environment and file, in this order of precedence, each checked against the keys
/// the role knows.
struct SettingsReader: Sendable {
    private let keys: [String: SettingKey]
    private let flags: ConfigReader
    private let environment: ConfigReader
    private let file: ConfigReader?
    private let lines: SettingsFile?
    /// The flags and variables that were really given.
    private let given: Set<String>
    private let problems = ProblemList()

    /// - Parameters:
    ///   - keys: what the role knows.
    ///   - path: a YAML file, or nil.
    ///   - flags: the words after the command, `--name value` each.
    ///   - environment: the process environment; `CAIRN_…` names are ours, others are left alone.
    /// - Throws: ``SettingProblems``, every unknown key named with its place.
    init(
        keys: [SettingKey], file path: String?, flags: [String], environment: [String: String],
        refusesUnknown: Bool = true
    ) async throws {
        self.keys = Dictionary(uniqueKeysWithValues: keys.map { ($0.name, $0) })
        if refusesUnknown { try Self.refuseUnknown(flags: flags, environment: environment, keys: keys) }
        given = Set(flags.map { String($0.prefix { $0 != "=" }) }).union(environment.keys)
        self.flags = ConfigReader(provider: CommandLineArgumentsProvider(arguments: ["cairn"] + flags))
        self.environment = ConfigReader(
            provider: EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "cairn"))
        guard let path else {
            file = nil
            lines = nil
            return
        }
        let text = try Self.text(of: path)
        let lines = try SettingsFile(path: path, text: text)
        if refusesUnknown { try Self.refuseUnknown(lines: lines, keys: self.keys) }
        self.lines = lines
        file =
            text.allSatisfy(\.isWhitespace) || lines.lines.isEmpty
            ? nil : ConfigReader(provider: try await FileProvider<YAMLSnapshot>(filePath: FilePath(path)))
    }

    /// Throws what was found wrong by the typed readers since the start.
    func finish() throws(SettingProblems) {
        let found = problems.all
        guard found.isEmpty else { throw SettingProblems(problems: found) }
    }

    func refuse(_ name: String, _ reason: String) {
        problems.add(SettingProblem(origin: raw(name).origin, name: name, reason: reason))
    }

    // MARK: Typed reads; a bad value is noted and the default stands in until `finish()`.

    func text(_ name: String) -> String { raw(name).text }

    func optionalText(_ name: String) -> String? {
        let value = raw(name).text
        return value.isEmpty ? nil : value
    }

    func list(_ name: String) -> [String] {
        let key = known(name)
        let components = ConfigKey(key.components)
        for (reader, origin) in sources(of: key) {
            do {
                return try reader.requiredStringArray(forKey: components, isSecret: key.isSecret)
            } catch {
                problems.add(SettingProblem(origin: origin, name: name, reason: "expected a list of texts"))
            }
        }
        return key.fallback.split(separator: ",").map(String.init)
    }

    func size(_ name: String) -> Int {
        read(name) { (text: String) throws(SettingValue.Malformed) in
            let value = try SettingValue.size(text)
            if case .size(let range) = known(name).kind, !range.contains(value) {
                throw SettingValue.Malformed(expected: "must lie from \(range.lowerBound) to \(range.upperBound) bytes")
            }
            return value
        }
    }

    func duration(_ name: String) -> Duration { read(name, SettingValue.duration) }
    func address(_ name: String) -> HostPort? { read(name, SettingValue.address) }
    func flag(_ name: String) -> Bool { read(name, SettingValue.flag) }

    func count(_ name: String) -> Int {
        guard case .count(let range) = known(name).kind else { preconditionFailure("\(name) is not a count") }
        return read(name) { (text: String) throws(SettingValue.Malformed) in try SettingValue.count(text, in: range) }
    }

    func choice(_ name: String) -> String {
        guard case .choice(let choices) = known(name).kind else { preconditionFailure("\(name) is not a choice") }
        return read(name) { (text: String) throws(SettingValue.Malformed) in
            guard choices.contains(text) else {
                throw SettingValue.Malformed(expected: "expected one of \(choices.joined(separator: ", "))")
            }
            return text
        }
    }

    // MARK: How it does it

    private func known(_ name: String) -> SettingKey {
        guard let key = keys[name] else { preconditionFailure("setting \(name) is read but not described") }
        return key
    }

    /// Where the key was given, the strongest first.
    private func sources(of key: SettingKey) -> [(ConfigReader, String)] {
        var all: [(ConfigReader, String)] = []
        if given.contains(key.flagName) { all.append((flags, "flag \(key.flagName)")) }
        if given.contains(key.environmentName) { all.append((environment, "environment \(key.environmentName)")) }
        if let file, let lines, lines.lines[key.name] != nil { all.append((file, lines.origin(of: key.name))) }
        return all
    }

    private func raw(_ name: String) -> (text: String, origin: String) {
        let key = known(name)
        let components = ConfigKey(key.components)
        for (reader, origin) in sources(of: key) {
            do {
                return (try reader.requiredString(forKey: components, isSecret: key.isSecret), origin)
            } catch {
                problems.add(SettingProblem(origin: origin, name: name, reason: "expected one value"))
            }
        }
        return (key.fallback, "default")
    }

    private func read<Value>(_ name: String, _ parse: (String) throws(SettingValue.Malformed) -> Value) -> Value {
        let (text, origin) = raw(name)
        do {
            return try parse(text)
        } catch {
            let shown = known(name).isSecret ? "" : ", got '\(text)'"
            problems.add(SettingProblem(origin: origin, name: name, reason: error.expected + shown))
            guard let value = try? parse(known(name).fallback) else {
                preconditionFailure("default of \(name) does not parse")
            }
            return value
        }
    }

    private static func text(of path: String) throws(SettingProblems) -> String {
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard data.count <= 1 << 20 else {
                throw SettingProblem(origin: path, name: "(file)", reason: "\(data.count) bytes; at most 1 MiB is read")
            }
            return String(decoding: data, as: UTF8.self)
        } catch let problem as SettingProblem {
            throw SettingProblems(problems: [problem])
        } catch {
            throw SettingProblems(problems: [SettingProblem(origin: path, name: "(file)", reason: "cannot be read")])
        }
    }

    private static func refuseUnknown(lines: SettingsFile, keys: [String: SettingKey]) throws(SettingProblems) {
        let unknown = lines.lines.keys.filter { keys[$0] == nil }.sorted { lines.lines[$0]! < lines.lines[$1]! }
        guard unknown.isEmpty else {
            throw SettingProblems(
                problems: unknown.map {
                    SettingProblem(
                        origin: lines.origin(of: $0), name: $0, reason: unknownReason($0, among: keys.keys.sorted()))
                })
        }
    }

    private static func refuseUnknown(flags: [String], environment: [String: String], keys: [SettingKey])
        throws(SettingProblems)
    {
        var problems: [SettingProblem] = []
        let flagNames = keys.map(\.flagName)
        for word in flags where word.hasPrefix("-") {
            let name = String(word.prefix { $0 != "=" })
            guard !flagNames.contains(name), Double(name) == nil else { continue }
            problems.append(
                SettingProblem(origin: "flag \(name)", name: name, reason: unknownReason(name, among: flagNames)))
        }
        if let first = flags.first, !first.hasPrefix("-") {
            problems.append(SettingProblem(origin: "flag", name: first, reason: "expected a --name before a value"))
        }
        let variables = keys.map(\.environmentName)
        for name in environment.keys.sorted()
        where name.hasPrefix("CAIRN_") && !variables.contains(name) && !reservedVariables.contains(name) {
            problems.append(
                SettingProblem(
                    origin: "environment \(name)", name: name, reason: unknownReason(name, among: variables)))
        }
        guard problems.isEmpty else { throw SettingProblems(problems: problems) }
    }

    /// Names of ours in the environment that are no settings: used by the project's own tests and tools.
    static let reservedVariables: Set<String> = [
        "CAIRN_VENV", "CAIRN_PYTHON", "CAIRN_BINARY", "CAIRN_WAL_ENGINE", "CAIRN_MEASURE", "CAIRN_SEED", "CAIRN_SEEDS",
    ]

    private static func unknownReason(_ name: String, among known: [String]) -> String {
        guard let near = nearestName(to: name, among: known) else { return "no such setting" }
        return "no such setting; did you mean \(near)?"
    }
}

/// Problems noted while reading; a class because the typed reads do not change the reader.
private final class ProblemList: Sendable {
    private let found = Mutex<[SettingProblem]>([])
    var all: [SettingProblem] { found.withLock { $0 } }
    func add(_ problem: SettingProblem) {
        found.withLock { if !$0.contains(problem) { $0.append(problem) } }
    }
}
