/// One figure in the text format of Prometheus (exposition format 0.0.4).
public struct Metric: Sendable, Equatable {
    public enum Kind: String, Sendable {
        case counter, gauge
    }

    public let name: String
    public let kind: Kind
    public let help: String
    public let labels: [(String, String)]
    public let value: Double

    public init(_ name: String, _ kind: Kind, _ help: String, labels: [(String, String)] = [], value: Double) {
        self.name = name
        self.kind = kind
        self.help = help
        self.labels = labels
        self.value = value
    }

    public static func == (first: Metric, second: Metric) -> Bool { first.line == second.line }

    private var line: String {
        let inner = labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
        let number = value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
        return name + (inner.isEmpty ? "" : "{\(inner)}") + " " + number
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// All of them, each name's help and type once, in the order of first appearance.
    static func text(_ metrics: [Metric]) -> String {
        var order: [String] = []
        var groups: [String: [Metric]] = [:]
        for metric in metrics {
            if groups[metric.name] == nil { order.append(metric.name) }
            groups[metric.name, default: []].append(metric)
        }
        var lines: [String] = []
        for name in order {
            guard let group = groups[name], let first = group.first else { continue }
            lines.append("# HELP \(name) \(first.help)")
            lines.append("# TYPE \(name) \(first.kind.rawValue)")
            lines.append(contentsOf: group.map(\.line))
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
