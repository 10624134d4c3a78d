import FoundationEssentials

/// Everything that was found, for people, for programs and as an exit code.
struct DoctorReport: Codable, Sendable, Equatable {
    var version: String
    /// `edge` or `cloud`.
    var role: String
    /// The settings file, or empty where there is none.
    var config: String
    var findings: [Finding]

    /// 0: all is well; 1: warnings only; 2: something will not work.
    var exitCode: Int32 {
        if count(.failure) > 0 { return 2 }
        return count(.warning) > 0 ? 1 : 0
    }

    var summary: String {
        "cairn doctor (\(role)): \(count(.good)) good, \(count(.warning)) warnings, \(count(.failure)) failures"
            + (count(.skipped) > 0 ? ", \(count(.skipped)) not looked at" : "")
    }

    /// - Parameter brief: only what is to be done, and the summary.
    func text(brief: Bool) -> String {
        let shown = findings.filter { !brief || $0.verdict == .warning || $0.verdict == .failure }
        var lines: [String] = []
        for finding in shown {
            lines.append(Self.mark(finding.verdict) + padded(finding.check, 15) + finding.found)
            if let advice = finding.advice { lines.append(String(repeating: " ", count: 24) + "→ " + advice) }
        }
        lines.append(summary)
        return lines.joined(separator: "\n") + "\n"
    }

    func json() -> String {
        struct Form: Encodable {
            var version: String
            var role: String
            var config: String
            var exitCode: Int32
            var findings: [Finding]
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        let form = Form(version: version, role: role, config: config, exitCode: exitCode, findings: findings)
        // Texts and integers always encode.
        guard let data = try? encoder.encode(form) else { return "{}\n" }
        return String(decoding: data, as: UTF8.self) + "\n"
    }

    private func count(_ verdict: Finding.Verdict) -> Int { findings.count { $0.verdict == verdict } }

    private static func mark(_ verdict: Finding.Verdict) -> String {
        switch verdict {
        case .good: "good     "
        case .warning: "WARNING  "
        case .failure: "FAILURE  "
        case .skipped: "-        "
        }
    }

    private func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
