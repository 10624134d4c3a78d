import KafkaProtocol

/// What a topic's options become. Facts in, the new options or a reason out: rule C4.
///
/// Source: Kafka 4.3, `ConfigurationControlManager`, `ConfigAdminManager`.
struct ConfigAlteration: Sendable {
    enum Operation: Int8, Sendable {
        case set = 0
        case delete = 1
        case append = 2
        case subtract = 3
    }

    struct Step: Sendable {
        var name: String
        /// Nil for a number that nobody knows.
        var operation: Operation?
        var value: String?
    }

    struct Flaw: Error, Equatable {
        var code: ErrorCode
        var message: String
    }

    let configs: TopicConfigs

    /// IncrementalAlterConfigs: the options named change, the others stay.
    func apply(_ steps: [Step], to present: [String: String]) throws(Flaw) -> [String: String] {
        guard Set(steps.map(\.name)).count == steps.count else {
            throw Flaw(code: .invalidRequest, message: "An option is named twice.")
        }
        var next = present
        for step in steps { next[step.name] = try value(after: step, next[step.name]) }
        return next
    }

    /// AlterConfigs: what is not named goes back to its default.
    func replace(with named: [(name: String, value: String?)]) throws(Flaw) -> [String: String] {
        var next: [String: String] = [:]
        for (name, value) in named {
            guard next[name] == nil else { throw Flaw(code: .invalidRequest, message: "\(name) is named twice.") }
            next[name] = try checked(name, value)
        }
        return next
    }

    private func value(after step: Step, _ present: String?) throws(Flaw) -> String? {
        guard let option = configs.options[step.name] else {
            throw Flaw(code: .invalidConfig, message: "Unknown topic config name: \(step.name)")
        }
        switch step.operation {
        case .set: return try checked(step.name, step.value)
        case .delete: return nil
        case .append, .subtract:
            guard option.kind == .list else {
                throw Flaw(code: .invalidConfig, message: "\(step.name) is not a list: it can only be set or deleted.")
            }
            guard let value = step.value else {
                throw Flaw(code: .invalidRequest, message: "\(step.name) needs a value.")
            }
            let named = Self.elements(value)
            var list = Self.elements(present ?? option.standard)
            if step.operation == .append {
                list += named.filter { !list.contains($0) }
            } else {
                list.removeAll { named.contains($0) }
            }
            return try checked(step.name, list.joined(separator: ","))
        case nil: throw Flaw(code: .invalidRequest, message: "Unknown operation for \(step.name).")
        }
    }

    private func checked(_ name: String, _ value: String?) throws(Flaw) -> String {
        guard let value else { throw Flaw(code: .invalidRequest, message: "Null value not supported for \(name)") }
        if let text = configs.flaw(name, value) { throw Flaw(code: .invalidConfig, message: text) }
        return value
    }

    private static func elements(_ list: String) -> [String] {
        TopicConfigs.items(of: list).filter { !$0.isEmpty }
    }
}
