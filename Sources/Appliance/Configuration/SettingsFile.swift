import FoundationEssentials
import Yams

/// The lines of a YAML configuration file: which key stands where. The values are read by swift-configuration; this is
/// what lets an error name its line.
struct SettingsFile: Sendable {
    let path: String
    /// Dotted key to its line, from 1.
    let lines: [String: Int]

    /// - Parameter text: the file's content, at most 1 MiB.
    /// - Throws: ``SettingProblems`` when it is not YAML or not a mapping.
    init(path: String, text: String) throws(SettingProblems) {
        self.path = path
        var lines: [String: Int] = [:]
        var problems: [SettingProblem] = []
        do {
            if let root = try Yams.compose(yaml: text) {
                guard let mapping = root.mapping else {
                    throw SettingProblem(
                        origin: "\(path):\(root.mark?.line ?? 1)", name: "(file)", reason: "expected 'key: value' lines"
                    )
                }
                Self.walk(mapping, prefix: "", path: path, into: &lines, problems: &problems)
            }
        } catch let problem as SettingProblem {
            problems.append(problem)
        } catch {
            problems.append(SettingProblem(origin: path, name: "(file)", reason: "not YAML: \(error)"))
        }
        guard problems.isEmpty else { throw SettingProblems(problems: problems) }
        self.lines = lines
    }

    private static func walk(
        _ mapping: Node.Mapping, prefix: String, path: String, into lines: inout [String: Int],
        problems: inout [SettingProblem]
    ) {
        for (key, value) in mapping {
            let name = prefix + (key.string ?? "?")
            let line = key.mark?.line ?? 0
            if let inner = value.mapping {
                walk(inner, prefix: name + ".", path: path, into: &lines, problems: &problems)
            } else if let sequence = value.sequence, sequence.contains(where: { $0.scalar == nil }) {
                problems.append(
                    SettingProblem(origin: "\(path):\(line)", name: name, reason: "a list here holds plain texts only"))
            } else {
                lines[name] = line
            }
        }
    }

    func origin(of name: String) -> String { "\(path):\(lines[name] ?? 0)" }
}

/// The nearest known name, to help with a slip of the fingers: at most two letters away.
func nearestName(to name: String, among known: some Sequence<String>) -> String? {
    known.map { ($0, editDistance(name, $0)) }.filter { $0.1 <= 2 }.min { $0.1 < $1.1 }?.0
}

/// The Levenshtein distance, on the texts' UTF-8.
func editDistance(_ first: String, _ second: String) -> Int {
    let second = Array(second.utf8)
    var row = Array(0...second.count)
    for (line, byte) in first.utf8.enumerated() {
        var diagonal = row[0]
        row[0] = line + 1
        for column in second.indices {
            let above = row[column + 1]
            let substitution = diagonal + (byte == second[column] ? 0 : 1)
            row[column + 1] = Swift.min(substitution, above + 1, row[column] + 1)
            diagonal = above
        }
    }
    return row[second.count]
}
