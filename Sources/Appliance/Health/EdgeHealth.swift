import Edge
import NIOPosix
import Synchronization
import Uplink
import WriteAheadLog

/// What a gateway shows of its progress and its state.
final class EdgeHealth: Sendable {
    private let role: EdgeRole
    private let beats = LoopBeats(MultiThreadedEventLoopGroup.singleton)
    private let startNs = monotonicNanoseconds()
    private let trends = Mutex(GatewayTrends())
    private let alarms: Mutex<@Sendable () -> [String]>

    init(_ role: EdgeRole) {
        self.role = role
        alarms = Mutex({ role.problems })
    }

    /// Adds what the watch finds to the alarms of the report.
    func include(_ watch: HealthWatch) {
        let role = role
        alarms.withLock { $0 = { role.problems + watch.problems } }
    }

    var problems: [String] { alarms.withLock { $0 }() }

    func facts() -> ProgressJudge.Facts {
        beats.ask()
        let uploads = Dictionary(role.uploads.map { ($0.lane, $0) }) { first, _ in first }
        let pace = role.uplinkReport
        let held = Set(pace?.lanes.filter { $0.hold != nil }.map(\.lane) ?? [])
        let lanes = role.gateway.status().lanes.map { lane in
            let log = lane.log
            return ProgressJudge.Lane(
                name: lane.settings.name, pendingBytes: log.pendingBytes,
                decided: log.durableBatches &+ log.duplicateBatches &+ log.rejectedBatches,
                uplink: uploads[lane.settings.name].map {
                    ProgressJudge.Uplink(
                        $0, isHeld: held.contains(lane.settings.name), sentBytes: pace?.budgetUsedBytes ?? 0)
                })
        }
        return ProgressJudge.Facts(lanes: lanes, loopBeats: beats.lastBeats)
    }

    /// Reads the oldest waiting frame of each lane from the disk: not for event loops.
    func report() -> GatewayReport {
        let status = role.gateway.status()
        let uploads = Dictionary(role.uploads.map { ($0.lane, $0) }) { first, _ in first }
        let nowNs = monotonicNanoseconds()
        let wallMs = wallMilliseconds()
        let backlogs = Dictionary(role.gateway.lanes.map { ($0.settings.name, $0.log.backlog()) }) { first, _ in first }
        let rates = trends.withLock { trends in
            let samples = status.lanes.map { lane in
                (lane.settings.name, (lane.log.durableBytes, backlogs[lane.settings.name]?.bytes ?? 0))
            }
            trends.note(Dictionary(samples) { first, _ in first }, nowNs: nowNs)
            return Dictionary(
                samples.map { name, sample in
                    (name, trends.rates(of: name, taken: sample.0, backlog: sample.1, nowNs: nowNs))
                }
            ) { first, _ in first }
        }
        let lanes = status.lanes.map { lane in
            GatewayReport.Lane(
                lane.log, name: lane.settings.name, backlog: backlogs[lane.settings.name] ?? LaneBacklog(),
                rates: rates[lane.settings.name] ?? GatewayTrends.Rates(), uplink: uploads[lane.settings.name],
                uptime: .nanoseconds(Int64(clamping: nowNs - startNs)), wallMs: wallMs)
        }
        let confirmation = role.confirmation
        return GatewayReport(
            version: Cairn.version, site: role.site, incarnation: role.incarnation,
            uptimeSeconds: Int((nowNs - startNs) / 1_000_000_000), writtenAtMs: wallMs,
            isAccepting: role.isAccepting, lanes: lanes, uplink: role.uplinkReport,
            update: role.updateReport, confirmable: confirmation.isConfirmable,
            confirmableReasons: confirmation.reasons,
            listeners: status.intakes.map { intake in
                GatewayReport.Listener(
                    name: intake.name, connections: Int(intake.counters.connectionsOpen),
                    bytes: UInt64(intake.counters.bytesReceived), frames: UInt64(intake.counters.framesAccepted),
                    refused: UInt64(intake.counters.recordsRefused))
            },
            disk: GatewayReport.Disk(path: role.settings.dataDirectory), clock: .now(), alarms: problems)
    }
}

extension ProgressJudge.Uplink {
    /// - Parameter sentBytes: of all lanes, as they leave: a PUT over a slow link may last for hours and gets on all the same.
    init(_ status: LaneUplinkStatus, isHeld: Bool, sentBytes: UInt64) {
        let isBusy =
            switch status.phase {
            case .reading, .planning, .putting, .comparing, .recording: true
            case .waiting, .held, .resting, .parked: false
            }
        let steps = [
            UInt64(status.attempt), status.nextSequence, status.uploadedObjects, status.failedAttempts,
            status.currentPlan?.sequence ?? 0, UInt64(LaneUplinkStatus.Phase.places[status.phase] ?? 0), sentBytes,
        ]
        self.init(
            isBusy: isBusy, backlogLSNs: status.currentPlan == nil && !status.isBacklog ? 0 : status.backlogLSNs,
            isHeld: isHeld || status.phase == .held, steps: steps.reduce(0) { ($0 &* 0x100_0000_01b3) ^ $1 })
    }
}

extension LaneUplinkStatus.Phase {
    fileprivate static let places: [Self: Int] = [
        .waiting: 1, .reading: 2, .planning: 3, .putting: 4, .comparing: 5, .recording: 6, .resting: 7, .parked: 8,
        .held: 9,
    ]
}

extension GatewayReport.Lane {
    init(
        _ log: LaneStatus, name: String, backlog: LaneBacklog, rates: GatewayTrends.Rates, uplink: LaneUplinkStatus?,
        uptime: Duration, wallMs: Int64
    ) {
        self.init(
            name: name, backlogBytes: backlog.bytes,
            // A clock that was set back since makes it look younger than it is, never negative.
            backlogAgeMs: backlog.oldestWallMs.map { max(0, wallMs - $0) }, etaSeconds: rates.etaSeconds,
            inBytesPerSecond: rates.inBytesPerSecond, outBytesPerSecond: rates.outBytesPerSecond,
            acceptedLSN: log.acceptedLSN, durableLSN: log.durableLSN, uploadedLSN: log.uploadedLSN,
            adoptedObject: uplink?.adoptedThrough, records: log.durableRecords, bytes: log.durableBytes,
            rejectedBatches: log.rejectedBatches, lostLSNs: log.alarms.lostLSNs, diskBytes: log.diskBytes,
            quotaBytes: log.quotaBytes, phase: uplink?.phase.rawValue,
            lastSuccessSecondsAgo: uplink?.lastSuccess.map { max(0, Int((uptime - $0).components.seconds)) },
            lastError: uplink.flatMap { $0.alarm ?? $0.announceAlarm ?? $0.lastError },
            linkBytesPerSecond: uplink?.linkBytesPerSecond)
    }
}
