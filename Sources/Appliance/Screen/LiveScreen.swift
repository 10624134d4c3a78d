/// The live picture of `cairn up`: lanes, what passes through them, and where to connect. Text in, text out.
struct LiveScreen: Sendable {
    var title: String
    var addresses: [(label: String, value: String)]
    var hints: [String]

    /// The whole screen for a terminal, without control characters.
    func picture(_ rows: [LaneRow], rates: [String: Rate], footer: [String]) -> [String] {
        var lines = [title, ""]
        lines.append(
            Self.row("lane", ["records", "rate", "accepted", "durable", "uploaded", "visible", "lag", "log on disk"]))
        for row in rows { lines.append(Self.line(row, rate: rates[row.name] ?? Rate())) }
        lines.append(contentsOf: rows.compactMap { row in row.trouble.map { "  ! \(row.name): \($0)" } })
        lines.append("")
        lines.append(contentsOf: addresses.map { "  " + Self.padded($0.label, 26) + $0.value })
        lines.append("")
        lines.append(contentsOf: hints.map { "  " + $0 })
        lines.append(contentsOf: footer.map { "  " + $0 })
        return lines
    }

    /// One line for a log file or a pipe.
    static func summary(_ rows: [LaneRow]) -> String {
        rows.filter { $0.acceptedLSN > 0 }.map { row in
            "\(row.name): accepted \(row.acceptedLSN) durable \(row.durableLSN) uploaded \(row.uploadedLSN)"
                + " visible \(row.visibleLSN) lag \(lag(row.lagMs))"
        }.joined(separator: "; ")
    }

    private static func line(_ row: LaneRow, rate: Rate) -> String {
        Self.row(
            row.name,
            [
                grouped(row.records), rate.text, grouped(row.acceptedLSN), grouped(row.durableLSN),
                grouped(row.uploadedLSN), grouped(row.visibleLSN), lag(row.lagMs),
                bytes(row.diskBytes) + " of " + bytes(row.quotaBytes),
            ])
    }

    private static func row(_ name: String, _ columns: [String]) -> String {
        let widths = [12, 22, 11, 11, 11, 11, 9, 22]
        return "  " + padded(name, 10) + zip(columns, widths).map { right($0, $1) }.joined()
    }

    static func lag(_ milliseconds: Int64?) -> String {
        guard let milliseconds else { return "-" }
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        if milliseconds < 600_000 { return "\(milliseconds / 1000) s" }
        return "\(milliseconds / 60_000) min"
    }

    static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : "\(Double(Int(value * 10)) / 10) \(units[unit])"
    }

    /// 1234567 as `1 234 567`.
    static func grouped(_ number: UInt64) -> String {
        let digits = Array(String(number))
        var result = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { result.append(" ") }
            result.append(digit)
        }
        return result
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}

/// Records and bytes a second.
struct Rate: Sendable, Equatable {
    var recordsPerSecond = 0.0
    var bytesPerSecond = 0.0

    var text: String { "\(Int(recordsPerSecond))/s \(LiveScreen.bytes(Int(bytesPerSecond)))/s" }

    static func between(_ earlier: LaneRow, _ later: LaneRow, seconds: Double) -> Rate {
        guard seconds > 0, later.records >= earlier.records, later.bytes >= earlier.bytes else { return Rate() }
        return Rate(
            recordsPerSecond: Double(later.records - earlier.records) / seconds,
            bytesPerSecond: Double(later.bytes - earlier.bytes) / seconds)
    }
}
