import Logging
import NIOCore
import ObjectStore
import WriteAheadLog

@testable import Uplink

/// What a gateway finds around itself, and what its restart does not change.
struct Surroundings: Sendable {
    let store: any ObjectStore
    let clock: SimulatedClock
    let random: SharedRandom
    let link: SimulatedLink
    let authors: Authors
}

/// The gateway: two lanes, each with its disk, its log and its uplink, on one power supply.
struct SimulatedSite {
    static let site = "sim"
    /// What the file `incarnation` says.
    static let root = String(repeating: "5", count: 32)

    static let laneNames = ["critical", "bulk"]

    struct Lane {
        let configuration: LaneConfiguration
        let settings: LaneUplinkSettings
        var disk: SimulatedDisk
        var log: SimulatedLane
        var uplink: LaneUplink<SimulatedClock>
        /// The highest number an entry was answered with: a restart must not come back below it.
        var appendedLSN: UInt64 = 0
        var index = SimulatedIndex()
        var rot = SimulatedRot()
    }

    /// 0, and 1 for a copy of it.
    var number = 0
    /// Which of the oracle's logs its disks hold.
    var branch = 0
    var lanes: [Lane] = []
    /// Of the process as it runs; what it keeps survives in `files`.
    private(set) var pacer: UplinkPacer<SimulatedClock>
    private(set) var runner: SimulatedRunner
    var files: SimulatedFiles
    private let conditions: Conditions
    private let surroundings: Surroundings

    init(_ conditions: Conditions, _ surroundings: Surroundings, using random: inout SeededRandom) throws {
        self.conditions = conditions
        self.surroundings = surroundings
        files = SimulatedFiles()
        pacer = Self.pacer(conditions, surroundings, files)
        runner = Self.runner(0, files, surroundings, [:], using: &random)
        for place in Self.laneNames.indices {
            let configuration = Self.configuration(place, conditions)
            let disk = SimulatedDisk(capacityBytes: conditions.capacityBytes)
            let log = try SimulatedLane(configuration, disk: disk, saltSeed: random.next(), index: SimulatedIndex())
            let settings = LaneUplinkSettings.small(priority: place * 2)
            // Lanes take their steps in turn here: neither may wait for the permit of the other.
            let uplink = Self.uplink(
                log, settings, PutPermits(permitsMax: 4), pacer, runner, files, branch, surroundings)
            lanes.append(
                Lane(configuration: configuration, settings: settings, disk: disk, log: log, uplink: uplink))
        }
    }

    var uploads: [String: UploadState] {
        Dictionary(
            lanes.map { ($0.configuration.name, $0.log.uploadState) }, uniquingKeysWith: { first, _ in first })
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
        for lane in lanes { files.noteTime(lane.log.bootEpoch, of: lane.configuration.name) }
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
        if random.chance(200) { files.failWrites(Int.random(in: 1...2, using: &random)) }
    }

    /// All disks are whole and large.
    func healDisks() {
        for lane in lanes {
            lane.disk.faults = SimulatedDisk.Faults()
            lane.disk.capacityBytes = .max
        }
        files.failWrites(0)
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
        for place in lanes.indices {
            lanes[place].log = try SimulatedLane(
                lanes[place].configuration, disk: lanes[place].disk, saltSeed: random.next(),
                index: lanes[place].index)
        }
        pacer = Self.pacer(conditions, surroundings, files)
        runner = Self.runner(number, files, surroundings, uploads, using: &random)
        makeUplinks()
    }

    func greet() async { await runner.greet(lanes: uploads) }

    /// What there is to do about a conflict before the next upload.
    mutating func attend(using random: inout SeededRandom) -> SimulatedRunner.Step {
        guard runner.conflict != nil else { return .upload }
        let step = runner.attend(lanes: uploads, incarnation: Self.name(using: &random))
        if step == .wentOn { makeUplinks() }
        return step
    }

    /// Something rots in what a lane has synced, or in the file that tells in whose name it was written.
    mutating func rot(_ lane: Int, using random: inout SeededRandom) -> SimulatedRot.Hit? {
        guard !random.chance(100) else {
            files.flipInstallation(using: &random)
            return SimulatedRot.Hit(description: "installation")
        }
        // Of two damages between the same records nobody can tell which of them stood in which.
        guard !lanes[lane].rot.hasStruck else { return nil }
        // What rots has been lying there for longer than the index takes.
        lanes[lane].index.follow(lanes[lane].log)
        return lanes[lane].rot.strike(lanes[lane].log, lanes[lane].disk, using: &random)
    }

    /// In the name that is the present one.
    private mutating func makeUplinks() {
        // Lanes take their steps in turn here: neither may wait for the permit of the other.
        let permits = PutPermits(permitsMax: 4)
        for place in lanes.indices {
            lanes[place].uplink = Self.uplink(
                lanes[place].log, lanes[place].settings, permits, pacer, runner, files, branch, surroundings)
        }
    }

    private func checkRecovery() throws {
        for lane in lanes {
            let report = lane.log.recovery
            let isExplained = report.gaps.allSatisfy { ($0.firstLSN...$0.lastLSN).allSatisfy(lane.rot.lsns.contains) }
            guard report.isClean || (isExplained && !lane.rot.lsns.isEmpty) else {
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

    private static func runner(
        _ number: Int, _ files: SimulatedFiles, _ around: Surroundings, _ lanes: [String: UploadState],
        using random: inout SeededRandom
    ) -> SimulatedRunner {
        SimulatedRunner(
            files, around, address: "gateway-\(number)", lanes: lanes,
            names: (name(using: &random), name(using: &random)))
    }

    /// 32 hexadecimal digits that nobody else has.
    private static func name(using random: inout SeededRandom) -> String {
        let digits = [random.next(), random.next()].map { String($0, radix: 16) }
        return digits.map { String(repeating: "0", count: 16 - $0.count) + $0 }.joined()
    }

    private static func uplink(
        _ log: SimulatedLane, _ settings: LaneUplinkSettings, _ permits: PutPermits,
        _ pacer: UplinkPacer<SimulatedClock>, _ runner: SimulatedRunner, _ files: SimulatedFiles, _ branch: Int,
        _ around: Surroundings
    ) -> LaneUplink<SimulatedClock> {
        let random = around.random
        return LaneUplink(
            identity: runner.identity, settings: settings,
            components: LaneUplinkComponents(
                source: log, store: AuthoredStore(base: around.store, authors: around.authors, branch: branch),
                announcer: LocalAnnouncer { (announcement) async throws(AnnounceError) in
                    try await runner.announce(announcement)
                },
                permits: permits, clock: around.clock, random: { random.next() },
                logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }, pacer: pacer,
                believedClock: { files.reading(ofBoot: $0, of: log.laneName) },
                onConflict: { runner.noticed($0) }))
    }

    /// A cap in some lives; a clock that is unknown, or jumps, in all.
    private static func pacer(
        _ conditions: Conditions, _ around: Surroundings, _ state: SimulatedFiles
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

extension LaneUplinkSettings {
    /// Objects so small that a short life has many of them.
    static func small(priority: Int) -> LaneUplinkSettings {
        let sizing = ObjectSizing.Limits(
            bytesMin: 1 << 10, liveBytesMax: 8 << 10, backlogBytesMax: 24 << 10, assumedBytesPerSecond: 1 << 10)
        return LaneUplinkSettings(
            upload: LaneUploadSettings(flushInterval: .seconds(1), sizing: sizing), priority: priority)
    }
}
