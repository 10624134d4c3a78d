/// Which lanes a gateway has, and what is wrong with them as a whole.
extension LaneSettings {
    /// The names of `lanes.names` that may be used; what is wrong with the others is noted.
    static func names(_ reader: SettingsReader, prefix: String) -> [String] {
        let setting = prefix + "lanes.names"
        let names = reader.list(setting)
        guard !names.isEmpty else {
            reader.refuse(setting, "a gateway needs a lane")
            return []
        }
        if names.count > EdgeKeys.lanesMax {
            reader.refuse(setting, "\(names.count) lanes; at most \(EdgeKeys.lanesMax) are allowed")
        }
        var seen: Set<String> = []
        return names.prefix(EdgeKeys.lanesMax).filter { name in
            guard isLaneName(name) else {
                reader.refuse(setting, "'\(name)': expected 1 to 32 of a-z, 0-9 and -")
                return false
            }
            guard seen.insert(name).inserted else {
                reader.refuse(setting, "'\(name)' is listed twice")
                return false
            }
            return true
        }
    }

    /// A pattern stands in one lane, and there is a lane for topics that no other pattern matches.
    static func check(_ lanes: [LaneSettings], _ reader: SettingsReader, prefix: String) {
        let owners = owners(lanes, \.topics, reader, prefix: prefix, "topics")
        _ = self.owners(lanes, \.sources, reader, prefix: prefix, "sources")
        guard !lanes.isEmpty, owners["*"] == nil, !lanes.contains(where: { $0.name == "standard" }) else { return }
        reader.refuse(
            prefix + "lanes.names", "one lane must have the topic pattern *, for topics that no other lane names")
    }

    /// Which lane has a pattern; one that stands twice is noted.
    private static func owners(
        _ lanes: [LaneSettings], _ patterns: KeyPath<LaneSettings, [String]>, _ reader: SettingsReader, prefix: String,
        _ name: String
    ) -> [String: String] {
        var owners: [String: String] = [:]
        for lane in lanes {
            for pattern in lane[keyPath: patterns] {
                if let owner = owners[pattern] {
                    reader.refuse(
                        prefix + "lanes.\(lane.name).\(name)", "'\(pattern)' can never match: lane \(owner) has it")
                }
                owners[pattern] = owners[pattern] ?? lane.name
            }
        }
        return owners
    }

    /// `wal.segment`, or what a small quota has room for eight of, in whole erase blocks: a lane that gives up its oldest data
    /// does so by segments, and an upload under way holds on to two of them.
    func segmentBytes(_ wal: WALSettings) -> Int {
        let block = max(4096, wal.eraseBlockBytes)
        let fitting = max(1 << 20, quotaBytes / 8) / block * block
        return min(wal.segmentBytes, max(block, fitting))
    }

    static func isLaneName(_ text: String) -> Bool {
        (1...32).contains(text.utf8.count)
            && text.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
    }
}

extension SettingsReader {
    /// The lanes that the same sources name, read before the settings of those lanes can be described.
    /// - Parameter prefix: `edge.` where the settings stand under a role.
    static func laneNames(
        prefix: String, file: String?, flags: [String], environment: [String: String]
    ) async -> [String] {
        let key = prefix.isEmpty ? EdgeKeys.laneNames : EdgeKeys.laneNames.under(String(prefix.dropLast()))
        // Whatever is wrong is said by the reading that follows.
        let reader = try? await SettingsReader(
            keys: [key], file: file, flags: flags, environment: environment, refusesUnknown: false)
        let names = reader?.list(key.name) ?? EdgeKeys.lanes
        var seen: Set<String> = []
        return names.filter { LaneSettings.isLaneName($0) && seen.insert($0).inserted }
            .prefix(EdgeKeys.lanesMax).map(\.self)
    }
}
