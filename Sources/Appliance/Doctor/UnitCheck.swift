import Foundation

/// The systemd unit of the role, where there is one: does it run, does it come back after a boot, are its limits enough.
enum UnitCheck {
    static let name = "service"
    static let limitsName = "limits"

    /// Of `systemctl show`.
    struct Facts: Sendable, Equatable {
        var unit: String
        var properties: [String: String]

        init(unit: String, properties: [String: String]) {
            self.unit = unit
            self.properties = properties
        }

        /// - Parameter text: `Name=value` lines.
        init(unit: String, text: String) {
            self.unit = unit
            properties = [:]
            for line in text.split(separator: "\n") {
                guard let equal = line.firstIndex(of: "=") else { continue }
                properties[String(line[..<equal])] = String(line[line.index(after: equal)...])
            }
        }

        func count(_ property: String) -> UInt64? { properties[property].flatMap(UInt64.init) }
    }

    static let properties = [
        "LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "Result", "WatchdogUSec", "LimitMEMLOCK",
        "LimitNOFILE", "User", "SupplementaryGroups", "ProtectHome", "ProtectSystem", "PrivateTmp", "PrivateUsers",
        "ReadWritePaths", "AmbientCapabilities",
    ]

    /// Buffers that io_uring may pin, and what else is locked.
    static let lockedBytesLeast: UInt64 = 8 << 20

    /// - Parameter connectionsMax: of the Kafka listener.
    static func findings(_ facts: Facts, connectionsMax: Int) -> [Finding] {
        guard facts.properties["LoadState"] == "loaded" else {
            return [.skipped(name, "there is no unit \(facts.unit)")]
        }
        return [state(facts)] + limits(facts, connectionsMax: connectionsMax)
    }

    private static func state(_ facts: Facts) -> Finding {
        let unit = facts.unit
        let journal = "journalctl -u \(unit) -n 50"
        switch (facts.properties["ActiveState"], facts.properties["SubState"]) {
        case ("failed", _):
            return .failure(name, "\(unit) has failed (\(facts.properties["Result"] ?? "?"))", journal)
        case ("activating", "auto-restart"):
            return .failure(
                name, "\(unit) ends soon after every start (\(facts.properties["Result"] ?? "?"))", journal)
        case ("active", _): break
        case (let state, _):
            return .good(name, "\(unit) is \(state ?? "?"); systemctl enable --now \(unit) starts it")
        }
        if facts.properties["UnitFileState"] == "disabled" {
            return .warning(name, "\(unit) runs, and will not after a boot", "systemctl enable \(unit)")
        }
        if let restarts = facts.count("NRestarts"), restarts > 0 {
            return .warning(
                name, "\(unit) runs, and was restarted \(restarts) times after it had ended by itself", journal)
        }
        if facts.properties["WatchdogUSec"] == "0" {
            return .warning(name, "\(unit) runs without a watchdog", "set WatchdogSec=60s in the unit")
        }
        return .good(name, "\(unit) is active")
    }

    private static func limits(_ facts: Facts, connectionsMax: Int) -> [Finding] {
        var found: [Finding] = []
        let files = UInt64(connectionsMax) + 512
        if let limit = facts.count("LimitNOFILE"), limit < files {
            found.append(
                .warning(
                    limitsName, "\(facts.unit) may open \(limit) files, and kafka.connections-max is \(connectionsMax)",
                    "LimitNOFILE=\(files) or more in the unit, or fewer connections"))
        }
        if let limit = facts.count("LimitMEMLOCK"), limit < lockedBytesLeast {
            found.append(
                .warning(
                    limitsName, "\(facts.unit) may lock \(limit) bytes, too few for io_uring",
                    "LimitMEMLOCK=64M in the unit"))
        }
        return found.isEmpty ? [.good(limitsName, "open files and locked memory of \(facts.unit) are enough")] : found
    }

    // MARK: Looking

    /// Nil where systemd does not run. Blocks.
    static func look(_ unit: String) -> Facts? {
        guard FileManager.default.fileExists(atPath: "/run/systemd/system") else { return nil }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["systemctl", "show", unit, "--property=" + properties.joined(separator: ",")]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return Facts(unit: unit, text: String(decoding: bytes, as: UTF8.self))
    }
}
