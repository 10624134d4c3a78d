extension LaneLog {
    /// Opens the lane; where it holds segments that a newer program wrote, or whose key is not here, opens a fresh lane beside it
    /// instead: directory and name get `-v1` appended, `-v1-2` if that one cannot be touched either, and so on.
    ///
    /// So a gateway that was rolled back, or has lost its key, takes data and uploads it, and of what was there not a byte is
    /// changed. To the cloud the fresh lane is a lane of its own, with sequences, LSNs and offsets from the beginning. The
    /// newer program, or the key, finds both directories when it is back, and what each holds is uploaded.
    public static func openBeside(
        _ configuration: LaneConfiguration, bootEpoch: UInt64 = 0, sealing: LogSealing? = nil
    ) throws(WALError) -> (log: LaneLog, report: RecoveryReport) {
        var untouched: [UntouchableSegments] = []
        while true {
            do throws(WALError) {
                var (log, report) = try open(
                    beside(configuration, untouched.count), bootEpoch: bootEpoch, sealing: sealing)
                report.leftUntouched = untouched
                if !untouched.isEmpty { log.published.alarm(untouched) }
                return (log, report)
            } catch {
                guard case .untouchable(let segments) = error, untouched.count < besideMax else { throw error }
                untouched.append(segments)
            }
        }
    }

    private static let besideMax = 16

    private static func beside(_ configuration: LaneConfiguration, _ count: Int) -> LaneConfiguration {
        guard count > 0 else { return configuration }
        let suffix = "-v\(SegmentHeader.version)" + (count > 1 ? "-\(count)" : "")
        var other = configuration
        // Names of lanes take 32 bytes, and a gateway's directories are called like their lanes.
        other.name = String(decoding: configuration.name.utf8.prefix(32 - suffix.utf8.count), as: UTF8.self) + suffix
        let isNamed = configuration.directory.hasSuffix("/" + configuration.name)
        other.directory =
            isNamed
            ? String(configuration.directory.dropLast(configuration.name.count)) + other.name
            : configuration.directory + suffix
        return other
    }
}

extension PublishedLane {
    fileprivate func alarm(_ untouched: [UntouchableSegments]) {
        withState { state in
            state.status.alarms.untouchedDirectories = UInt64(untouched.count)
            state.status.alarms.untouched = untouched.map(\.told).joined(separator: "; ")
        }
    }
}
