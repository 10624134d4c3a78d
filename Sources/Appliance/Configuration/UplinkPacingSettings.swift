import Uplink

/// How fast, when and how much a gateway uploads: read and checked.
struct UplinkPacingSettings: Sendable {
    var pacing: PacingSettings
    /// The machine's own time zone instead of UTC.
    var isLocalTime: Bool
    var progressTimeout: Duration

    init(_ reader: SettingsReader, prefix: String) {
        func rate(_ name: String) -> Int? {
            let bytes = reader.size(prefix + name)
            return bytes == 0 ? nil : bytes
        }
        var budget = DataBudget.Settings()
        budget.monthBytes = rate("budget").map { UInt64($0) }
        budget.firstDay = reader.count(prefix + "budget-day")
        budget.slowBytesPerSecond = reader.size(prefix + "budget-slow")
        budget.at80 = Self.actions(reader, prefix + "budget-at-80")
        budget.at100 = Self.actions(reader, prefix + "budget-at-100")
        pacing = PacingSettings(
            bytesPerSecond: rate("bandwidth"), burstBytes: reader.size(prefix + "burst"),
            backlogShare: Double(reader.count(prefix + "backlog-share")) / 100,
            windows: Self.windows(reader, prefix + "windows"), budget: budget)
        isLocalTime = reader.choice(prefix + "windows-zone") == "local"
        progressTimeout = reader.duration(prefix + "progress-timeout")
        if progressTimeout < .seconds(1) { reader.refuse(prefix + "progress-timeout", "expected 1s or more") }
        if let cap = pacing.bytesPerSecond, cap < 1024 {
            reader.refuse(prefix + "bandwidth", "expected 0 or at least 1KiB a second")
        }
    }

    private static func actions(_ reader: SettingsReader, _ name: String) -> [String: BudgetAction] {
        var actions: [String: BudgetAction] = [:]
        for text in reader.list(name) {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let action = BudgetAction(rawValue: parts[1]) else {
                reader.refuse(name, "'\(text)': expected LANE=go-on, LANE=slow or LANE=stop")
                continue
            }
            actions[parts[0]] = action
        }
        return actions
    }

    private static func windows(_ reader: SettingsReader, _ name: String) -> [DailyWindow] {
        reader.list(name).compactMap { text in
            do throws(SettingValue.Malformed) {
                return try window(text)
            } catch {
                reader.refuse(name, "'\(text)': " + error.expected)
                return nil
            }
        }
    }

    /// `22:00-06:00 rate=2MiB`, `08:00-18:00 closed lanes=bulk+standard`, `12:00-13:00 open`.
    static func window(_ text: String) throws(SettingValue.Malformed) -> DailyWindow {
        let words = text.split(separator: " ").map(String.init)
        let times = (words.first ?? "").split(separator: "-").map { minute(String($0)) }
        guard times.count == 2, let start = times[0], let end = times[1], !text.hasPrefix("24") else {
            throw SettingValue.Malformed(expected: "expected HH:MM-HH:MM first, for example 22:00-06:00")
        }
        var rule: DailyWindow.Rule?
        var lanes: Set<String>?
        for word in words.dropFirst() {
            if word == "closed" {
                rule = .closed
                continue
            }
            if word == "open" {
                rule = .open
                continue
            }
            if word.hasPrefix("rate=") {
                let bytes = try SettingValue.size(String(word.dropFirst(5)))
                guard bytes >= 1024 else { throw SettingValue.Malformed(expected: "expected a rate of at least 1KiB") }
                rule = .cap(bytesPerSecond: bytes)
                continue
            }
            guard word.hasPrefix("lanes=") else {
                throw SettingValue.Malformed(expected: "'\(word)' is none of rate=SIZE, closed, open, lanes=A+B")
            }
            lanes = Set(word.dropFirst(6).split(separator: "+").map(String.init))
        }
        guard let rule else { throw SettingValue.Malformed(expected: "expected rate=SIZE, closed or open") }
        return DailyWindow(startMinute: start, endMinute: end, rule: rule, lanes: lanes)
    }

    /// `24:00` is midnight, as an end.
    private static func minute(_ text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let hours = Int(parts[0]), let minutes = Int(parts[1]), minutes < 60
        else { return nil }
        return hours < 24 ? hours * 60 + minutes : text == "24:00" ? 0 : nil
    }
}
