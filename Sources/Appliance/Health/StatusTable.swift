import SiteAuthority

/// A gateway's report as a person reads it. Text in, text out.
enum StatusTable {
    /// - Parameter ageSeconds: of the report, when it was read from a file.
    static func text(_ report: GatewayReport, ageSeconds: Int?) -> String {
        var lines = [
            "site \(report.site)   cairn \(report.version)   up \(duration(report.uptimeSeconds))   "
                + (report.isAccepting ? "accepting" : "not accepting yet")
        ]
        if let ageSeconds {
            lines.append("the gateway does not answer; its last report is \(duration(ageSeconds)) old")
        }
        lines.append(contentsOf: report.alarms.map { "! \($0)" })
        lines += ["", row("lane", ["backlog", "age", "gone in", "in", "out", "last upload", "link", "log on disk"])]
        lines += report.lanes.map(line)
        for lane in report.lanes {
            if let error = lane.lastError { lines.append("  \(lane.name): \(error)") }
            if lane.lostLSNs > 0 { lines.append("  \(lane.name): \(lane.lostLSNs) batches cannot be read any more") }
        }
        if let uplink = report.uplink {
            lines.append("")
            lines.append(contentsOf: uplink.headLines)
            lines += uplink.lanes.compactMap { lane in lane.hold.map { "  \(lane.lane): held, \($0)" } }
        }
        if let update = report.update, update.state != .none || update.version != nil {
            lines += ["", "image  \(update.line)"]
            for reason in report.confirmableReasons ?? [] { lines.append("  not to be confirmed yet: \(reason)") }
        }
        if !report.listeners.isEmpty {
            lines += ["", "  listener                  open   frames       bytes    refused"]
            lines += report.listeners.map { listener in
                "  " + padded(listener.name, 24) + right("\(listener.connections)", 6) + right("\(listener.frames)", 9)
                    + right(LiveScreen.bytes(Int(clamping: listener.bytes)), 12) + right("\(listener.refused)", 11)
            }
        }
        lines.append("")
        if let disk = report.disk {
            lines.append("disk   \(LiveScreen.bytes(disk.freeBytes)) free of \(LiveScreen.bytes(disk.totalBytes))")
        }
        lines.append("clock  " + (report.clock.isSynchronised ? "synchronised" : "not synchronised"))
        return lines.joined(separator: "\n") + "\n"
    }

    private static func line(_ lane: GatewayReport.Lane) -> String {
        let isEmpty = lane.backlogBytes == 0
        let eta = lane.etaSeconds.map(duration) ?? "grows"
        return row(
            lane.name,
            [
                LiveScreen.bytes(lane.backlogBytes),
                lane.backlogAgeMs.map { duration(Int($0 / 1000)) } ?? "-",
                isEmpty ? "-" : eta,
                rate(lane.inBytesPerSecond), rate(lane.outBytesPerSecond),
                lane.lastSuccessSecondsAgo.map { duration($0) + " ago" } ?? "none yet",
                lane.linkBytesPerSecond.map(rate) ?? "-",
                LiveScreen.bytes(lane.diskBytes) + " of " + LiveScreen.bytes(lane.quotaBytes),
            ])
    }

    private static func rate(_ bytesPerSecond: Double) -> String {
        LiveScreen.bytes(Int(max(0, min(bytesPerSecond, 1e15)))) + "/s"
    }

    static func duration(_ seconds: Int) -> String {
        switch seconds {
        case ..<120: "\(max(0, seconds)) s"
        case ..<7_200: "\(seconds / 60) min"
        case ..<172_800: "\(seconds / 3_600) h"
        default: "\(seconds / 86_400) d"
        }
    }

    private static func row(_ name: String, _ columns: [String]) -> String {
        let widths = [11, 9, 9, 13, 13, 14, 13, 24]
        return "  " + padded(name, 12) + zip(columns, widths).map { right($0, $1) }.joined()
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }

    private static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
