import KafkaProtocol
import Ledger
import Logging
import NIOCore
import WriteAheadLog

/// Opens the log of a volume and makes it known to the ledger.
enum OpenedVolume {
    /// Throws where the directory cannot be used at all. A log that has lost what the ledger names is opened for what is left
    /// of it, and takes nothing new.
    static func open(
        _ configuration: VolumeConfiguration, sealing: LogSealing?, nodeID: Int32, nodeEpoch: Int64, ledger: Ledger,
        world: CloudWorld, timerLoop: any EventLoop, logger: Logger
    ) async throws -> Volume {
        let (identity, log, report) = try await onBlockingThread {
            Result { () throws(WALError) -> (SiteIdentity, LaneLog, RecoveryReport) in
                do throws(WALError) {
                    let (log, report) = try LaneLog.open(configuration.lane, sealing: sealing)
                    return (try SiteIdentity.open(root: configuration.directory), log, report)
                } catch {
                    // Rolled back below a newer format, or without its key: a volume of its own, beside the one that stays as it is.
                    guard case .untouchable(let segments) = error else { throw error }
                    let beside = configuration.directory + "/beside"
                    var lane = configuration.lane
                    lane.directory = beside + "/log"
                    let identity = try SiteIdentity.open(root: beside)
                    var (log, report) = try LaneLog.openBeside(lane, sealing: sealing)
                    report.leftUntouched.insert(segments, at: 0)
                    return (identity, log, report)
                }
            }
        }.get()
        guard let id = KafkaUUID(hexadecimal: identity.incarnation) else {
            preconditionFailure("an incarnation of \(identity.incarnation)")
        }
        if let replaced = identity.replaced {
            logger.warning("the volume has a new identity", metadata: ["why": "\(replaced)"])
        }
        logger.log(
            level: report.isClean ? .info : .error, "opened the volume", metadata: ["id": "\(id)", "log": "\(report)"])
        let committedLSN = try await ledger.registerVolume(
            RegisterVolume(volume: id, nodeID: nodeID, nowMs: world.wallMs()))
        let volume = Volume(
            id: id, log: log, configuration: configuration, nodeID: nodeID, nodeEpoch: nodeEpoch, ledger: ledger,
            world: world, timerLoop: timerLoop, untouched: report.leftUntouched, logger: logger)
        if log.durableLSN < committedLSN {
            volume.refuse(
                "the log ends at LSN \(log.durableLSN), the ledger knows \(committedLSN): the disk has lost data. Move "
                    + "\(configuration.directory) away to go on with a new log")
        }
        return volume
    }
}

extension VolumeConfiguration {
    var lane: LaneConfiguration {
        var lane = LaneConfiguration(name: "volume", directory: directory + "/log", quotaBytes: quotaBytes)
        lane.commitWindow = .nanoseconds(commitWindow.nanoseconds)
        lane.pendingBytesMax = pendingBytesMax
        // Idempotence and offsets are the ledger's affair.
        lane.producersMax = 1
        lane.partitionsMax = 16
        lane.spareSegmentsMax = 16
        // Who looked at the ledger just before a batch went into an object still reads it here.
        lane.localRetention = LaneConfiguration.LocalRetention(keepAge: .seconds(15))
        return lane
    }
}

extension KafkaUUID {
    /// 32 hexadecimal digits.
    init?(hexadecimal text: String) {
        guard text.utf8.count == 32, let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }
}
