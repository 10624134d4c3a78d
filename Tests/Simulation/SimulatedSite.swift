import Logging
import NIOCore
import ObjectStore
import Synchronization
import Uplink
import WriteAheadLog

/// What a gateway finds around itself, and what its restart does not change.
struct Surroundings: Sendable {
    let store: any ObjectStore
    let clock: SimulatedClock
    let random: SharedRandom
    let link: SimulatedLink
}

/// The gateway: two lanes, each with its disk, its log and its uplink, on one power supply.
struct SimulatedSite {
    static let site = "sim"
    static let incarnation = String(repeating: "5", count: 32)

    static let laneNames = ["critical", "bulk"]

    struct Lane {
        let configuration: LaneConfiguration
        let settings: LaneUplinkSettings
        let disk: SimulatedDisk
        var log: SimulatedLane
        var uplink: LaneUplink<SimulatedClock>
        /// The highest number an entry was answered with: a restart must not come back below it.
        var appendedLSN: UInt64 = 0
    }

    private(set) var lanes: [Lane] = []
    /// Of the process as it runs; what it keeps survives in `pacerState`.
    private(set) var pacer: UplinkPacer<SimulatedClock>
    private let pacerState = SimulatedPacerState()
    private let clockMemory = SimulatedClockMemory()
    private let conditions: Conditions
    private let surroundings: Surroundings

    init(_ conditions: Conditions, _ surroundings: Surroundings, using random: inout SeededRandom) throws {
        self.conditions = conditions
        self.surroundings = surroundings
        // Lanes take their steps in turn here: neither may wait for the permit of the other.
        let permits = PutPermits(permitsMax: 4)
        pacer = Self.pacer(conditions, surroundings, pacerState)
        for place in Self.laneNames.indices {
            let settings = LaneUplinkSettings.small(priority: place * 2)
            let configuration = Self.configuration(place, conditions)
            let disk = SimulatedDisk(
                capacityBytes: conditions.capacitySegments.map { $0 * conditions.segmentSizeBytes } ?? .max)
            let log = try SimulatedLane(configuration, disk: disk, saltSeed: random.next())
            let uplink = Self.uplink(log, settings, permits, pacer, surroundings, clockMemory)
            lanes.append(
                Lane(configuration: configuration, settings: settings, disk: disk, log: log, uplink: uplink))
        }
    }

    var isOff: Bool { lanes.contains { $0.disk.isOff } }
    var isArmed: Bool { lanes.contains { $0.disk.faults.powerOffAt != nil } }

    mutating func noteAppended(_ outcomes: [AppendOutcome], lane: Int) {
        for case .appended(let lsn, _) in outcomes {
            lanes[lane].appendedLSN = max(lanes[lane].appendedLSN, lsn)
        }
    }

    /// The wall clock is right now: so was, or will be, the monotonic one on this start.
    func noteKnownTime() {
        for lane in lanes { clockMemory.note(lane.log.bootEpoch, of: lane.configuration.name) }
    }

    /// Power goes off inside one of the next operations of a lane's disk.
    func armPowerCut(using random: inout SeededRandom) {
        guard !isArmed, let lane = lanes.randomElement(using: &random) else { return }
        lane.disk.faults.powerOffAt = lane.disk.operations + Int.random(in: 1...12, using: &random)
    }

    /// Some of the next calls fail.
    func failDisk(using random: inout SeededRandom) {
        guard let lane = lanes.randomElement(using: &random) else { return }
        let kinds: [WritableKeyPath<SimulatedDisk.Faults, Int>] = [
            \.failingWrites, \.failingSyncs, \.failingReads, \.failingCreates, \.failingRenames,
            \.failingDirectorySyncs,
        ]
        for kind in kinds.shuffled(using: &random).prefix(random.chance(500) ? 1 : 3) {
            lane.disk.faults[keyPath: kind] = Int.random(in: 1...2, using: &random)
        }
    }

    /// All disks are whole and large.
    func healDisks() {
        for lane in lanes {
            lane.disk.faults = SimulatedDisk.Faults()
            lane.disk.capacityBytes = .max
        }
    }

    /// The process starts again, after a power cut or after it alone had died. Power may go off again meanwhile.
    mutating func restart(powerCut: Bool, mayFail: Bool, using random: inout SeededRandom) throws {
        var isCut = powerCut
        for attempt in 0..<4 {
            for lane in lanes {
                if isCut { lane.disk.crash(using: &random) } else { lane.disk.restartProcess() }
            }
            if mayFail, attempt < 3 { troubleRecovery(using: &random) }
            try recover(using: &random)
            guard isOff else { break }
            isCut = true
        }
        try checkRecovery()
    }

    private func troubleRecovery(using random: inout SeededRandom) {
        guard let lane = lanes.randomElement(using: &random) else { return }
        if random.chance(200) {
            lane.disk.faults.powerOffAt = lane.disk.operations + Int.random(in: 1...4, using: &random)
        }
        guard random.chance(conditions.diskFaultsPerMille * 5) else { return }
        failDisk(using: &random)
    }

    private mutating func recover(using random: inout SeededRandom) throws {
        // Lanes take their steps in turn here: neither may wait for the permit of the other.
        let permits = PutPermits(permitsMax: 4)
        pacer = Self.pacer(conditions, surroundings, pacerState)
        for place in lanes.indices {
            let lane = lanes[place]
            let log = try SimulatedLane(lane.configuration, disk: lane.disk, saltSeed: random.next())
            lanes[place].log = log
            lanes[place].uplink = Self.uplink(log, lane.settings, permits, pacer, surroundings, clockMemory)
        }
    }

    private func checkRecovery() throws {
        for lane in lanes {
            let report = lane.log.recovery
            guard report.isClean else {
                throw SimulationFailure("recovery lost data without rot: \(report) \(report.notes)")
            }
            guard lane.log.durableLSN >= lane.appendedLSN else {
                throw SimulationFailure(
                    "lane \(lane.configuration.name) came back at LSN \(lane.log.durableLSN), \(lane.appendedLSN) was acked"
                )
            }
        }
    }

    private static func configuration(_ place: Int, _ conditions: Conditions) -> LaneConfiguration {
        let name = laneNames[place]
        let drops = conditions.dropsOldest[place]
        let segments = drops ? max(4, conditions.quotaSegments) : conditions.quotaSegments
        return LaneConfiguration(
            name: name, directory: "/simulated/\(name)", segmentSizeBytes: conditions.segmentSizeBytes,
            quotaBytes: segments * conditions.segmentSizeBytes, commitWindow: .zero,
            groupBytesMax: 16 << 10, pendingBytesMax: 1 << 20,
            localRetention: LaneConfiguration.LocalRetention(keepBytes: conditions.keepBytes), producersMax: 16,
            partitionsMax: 8, spareSegmentsMax: conditions.spareSegmentsMax,
            fullPolicy: drops ? .dropOldest : .reject, quotaAge: drops ? conditions.quotaAge : nil)
    }

    private static func uplink(
        _ log: SimulatedLane, _ settings: LaneUplinkSettings, _ permits: PutPermits,
        _ pacer: UplinkPacer<SimulatedClock>, _ around: Surroundings, _ clockMemory: SimulatedClockMemory
    ) -> LaneUplink<SimulatedClock> {
        guard let identity = UplinkIdentity(site: site, incarnation: incarnation) else {
            preconditionFailure("the site's name is not a name")
        }
        let (link, random) = (around.link, around.random)
        return LaneUplink(
            identity: identity, settings: settings,
            components: LaneUplinkComponents(
                source: log, store: around.store,
                announcer: LocalAnnouncer { (announcement) async throws(AnnounceError) in
                    try await link.carry(announcement)
                },
                permits: permits, clock: around.clock, random: { random.next() },
                logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }, pacer: pacer,
                believedClock: { clockMemory.reading(ofBoot: $0, of: log.laneName) }))
    }

    /// A cap in some lives; a clock that is unknown, or jumps, in all.
    private static func pacer(
        _ conditions: Conditions, _ around: Surroundings, _ state: SimulatedPacerState
    ) -> UplinkPacer<SimulatedClock> {
        let (clock, random) = (around.clock, around.random)
        return UplinkPacer(
            settings: PacingSettings(bytesPerSecond: conditions.uplinkBytesPerSecond), lanes: ["critical", "bulk"],
            clock: clock,
            calendar: {
                let wallMs: Int64 = random.chance(100) ? 5_000 : 1_770_000_000_000
                return CalendarTime(wallMs: wallMs + clock.milliseconds, offsetSeconds: 0)
            }, store: state)
    }
}

/// The uplink's state file, written as a whole.
final class SimulatedPacerState: PacerStateStore {
    private let state = Mutex<PacerState?>(nil)
    func load() -> PacerState? { state.withLock { $0 } }
    func save(_ new: PacerState) { state.withLock { $0 = new } }
}

extension LaneUplinkSettings {
    /// Objects so small that a short life has many of them.
    static func small(priority: Int) -> LaneUplinkSettings {
        let sizing = ObjectSizing.Limits(
            bytesMin: 1 << 10, liveBytesMax: 8 << 10, backlogBytesMax: 24 << 10, assumedBytesPerSecond: 1 << 10)
        return LaneUplinkSettings(
            upload: LaneUploadSettings(flushInterval: .seconds(1), sizing: sizing), priority: priority)
    }
}
