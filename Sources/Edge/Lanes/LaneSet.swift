import WriteAheadLog

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The open lanes of a gateway.
struct LaneSet {
    /// The configured ones in the router's order, then those that only their directory remembers.
    private(set) var lanes: [Lane] = []
    /// In the order of the lanes, then those of directories that were not opened.
    private(set) var reports: [RecoveryReport] = []
    let configuredCount: Int

    /// Opens every configured lane, and every other one that has a directory: its data still has to go up. Those get the
    /// standard settings under their own name; nothing is routed to them except topics that have records there.
    ///
    /// Where a newer program has written a configured lane, or its key is not here, a fresh one is opened beside it
    /// (`LaneLog.openBeside`); lanes that are no longer configured are then left alone.
    ///
    /// Throws for a setting that cannot work or a directory that cannot be used; then the lanes opened so far are closed.
    init(
        root: String, router: LaneRouter, watchers: PartitionWatchers, bootEpoch: UInt64, sealing: LogSealing?,
        _ adjust: (inout LaneConfiguration) -> Void
    ) throws(WALError) {
        let parent = root + "/lanes"
        let configured = Set(router.lanes.map(\.name))
        let left = Self.directories(in: parent).filter { !configured.contains($0) && LaneSettings.isName($0) }
        configuredCount = router.lanes.count
        var untouched: [RecoveryReport] = []
        for settings in router.lanes + left.sorted().map(Self.settingsOfLeftover) {
            let isConfigured = configured.contains(settings.name)
            if !isConfigured, lanes.contains(where: { $0.log.laneName == settings.name }) { continue }
            var lane = Self.configuration(settings, directory: parent + "/" + settings.name)
            adjust(&lane)
            do throws(WALError) {
                let (log, report) =
                    try isConfigured
                    ? LaneLog.openBeside(lane, bootEpoch: bootEpoch, sealing: sealing)
                    : LaneLog.open(lane, bootEpoch: bootEpoch, sealing: sealing)
                lanes.append(Lane(settings: settings, log: log, watchers: watchers))
                reports.append(report)
            } catch {
                if !isConfigured, case .untouchable(let segments) = error {
                    var report = RecoveryReport()
                    report.lane = settings.name
                    report.leftUntouched = [segments]
                    untouched.append(report)
                    continue
                }
                for lane in lanes { lane.log.close() }
                throw error
            }
        }
        reports += untouched
    }

    static func configuration(
        _ settings: LaneSettings, directory: String
    ) -> LaneConfiguration {
        var configuration = LaneConfiguration(
            name: settings.name, directory: directory, segmentSizeBytes: settings.segmentBytes,
            quotaBytes: settings.quotaBytes, commitWindow: settings.commitWindow,
            localRetention: .init(keepBytes: settings.retentionBytes),
            fullPolicy: settings.fullPolicy, quotaAge: settings.quotaAge)
        // A group fits twice into a segment, less what the segment keeps for control frames.
        let half = settings.segmentBytes * 15 / 32 / Block.sizeBytes * Block.sizeBytes
        configuration.groupBytesMax = min(configuration.groupBytesMax, half)
        // A segment begins with a checkpoint of all producers and partitions, which small ones have less room for.
        configuration.producersMax = min(configuration.producersMax, max(16, settings.segmentBytes / 2048))
        configuration.partitionsMax = min(configuration.partitionsMax, max(16, settings.segmentBytes / 2048))
        return configuration
    }

    private static func settingsOfLeftover(_ name: String) -> LaneSettings {
        var settings = LaneSettings.standard
        settings.name = name
        return settings
    }

    /// Names of the directories below `path`; none where it cannot be read, which opening the lanes will then explain.
    private static func directories(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var facts = stat()
            guard stat(path + "/" + name, &facts) == 0, facts.st_mode & S_IFMT == S_IFDIR else { continue }
            names.append(name)
        }
        return names
    }
}
