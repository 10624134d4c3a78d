import KafkaProtocol
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Synchronization
import Testing

@testable import Uplink
@testable import WriteAheadLog

/// One lane, its store and its cloud, driven step by step on a manual clock.
final class Harness {
    static let incarnation = "0123456789abcdef0123456789abcdef"

    let lane = TestLane()
    let memory = MemoryStore()
    let faulty: FaultyStore
    let clock = ManualClock()
    let cloud = TestCloud()
    var settings: LaneUplinkSettings
    private var seed: UInt64 = 1
    private(set) var uplink: LaneUplink<ManualClock>
    /// What each process puts around the store.
    private let around: (any ObjectStore) -> any ObjectStore

    init(
        _ script: FaultScript = FaultScript(), settings: LaneUplinkSettings = .test,
        around: @escaping (any ObjectStore) -> any ObjectStore = { $0 }
    ) {
        self.around = around
        let clock = clock
        faulty = FaultyStore(memory, script) { try await clock.sleep(for: $0) }
        self.settings = settings
        uplink = Self.make(lane, around(faulty), cloud, clock, settings, clocks, conflicts, seed: 0)
    }

    private(set) var pacer: UplinkPacer<ManualClock>?
    /// What is believed of the clock of each start.
    let clocks = KnownClocks()

    /// What the uplink took for somebody else's.
    let conflicts = NotedConflicts()

    /// Starts the process again, its uploads paced by this.
    func pace(_ pacer: UplinkPacer<ManualClock>) {
        self.pacer = pacer
        restart()
    }

    /// The process is killed and started again: all that is left is the lane and the store.
    func restart() {
        seed += 1
        uplink = Self.make(lane, around(faulty), cloud, clock, settings, clocks, conflicts, seed: seed, pacer: pacer)
    }

    /// Takes steps, and sleeps when told to, until there is nothing left to do or `stepsMax` steps were taken.
    @discardableResult
    func settle(stepsMax: Int = 10_000) async -> Int {
        for step in 0..<stepsMax {
            switch await uplink.step() {
            case .none: continue
            case .until(nil, data: _): return step
            case .until(let time?, data: _): clock.advance(to: time.time)
            }
        }
        return stepsMax
    }

    func settleAnnouncements(stepsMax: Int = 100) async {
        for _ in 0..<stepsMax {
            switch await uplink.announceStep() {
            case .none: continue
            case .until(nil, data: _): return
            case .until(let time?, data: _): clock.advance(to: time.time)
            }
        }
    }

    static func key(_ sequence: UInt64) -> String {
        ObjectKeys.site(site: "quarry", incarnation: incarnation, lane: "standard", sequence: sequence)
    }

    private static func make(
        _ lane: TestLane, _ store: any ObjectStore, _ cloud: TestCloud, _ clock: ManualClock,
        _ settings: LaneUplinkSettings, _ clocks: KnownClocks, _ conflicts: NotedConflicts, seed: UInt64,
        pacer: UplinkPacer<ManualClock>? = nil
    ) -> LaneUplink<ManualClock> {
        let random = Mutex(SeededRandom(seed: seed))
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let identity = UplinkIdentity(site: "quarry", incarnation: incarnation)!
        return LaneUplink(
            identity: identity, settings: settings,
            components: LaneUplinkComponents(
                source: lane, store: store, announcer: cloud, permits: PutPermits(), clock: clock,
                random: { random.withLock { $0.next() } }, logger: logger, pacer: pacer,
                believedClock: { clocks.reading(ofBoot: $0) }, onConflict: { conflicts.add($0) }))
    }

    /// Every object in the store is whole, their sequences and ranges follow each other, and their records are exactly
    /// those appended to the lane, once and in order.
    func checkStore(
        _ contents: [String: ByteBuffer]? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        var expected: [String: [PlacedRecord]] = [:]
        for batch in lane.batches {
            expected["\(batch.topic)/\(batch.partition)", default: []] += try Batches.records(batch.batch).map {
                PlacedRecord($0, baseOffset: batch.baseOffset)
            }
        }
        var found: [String: [PlacedRecord]] = [:]
        var nextLSN: UInt64 = 1
        for (index, (key, object)) in (contents ?? memory.contents).sorted(by: { $0.key < $1.key }).enumerated() {
            let footer = try ObjectReader.verify(object: object)
            #expect(key == Self.key(UInt64(index + 1)), sourceLocation: sourceLocation)
            #expect(footer.header.key == key, sourceLocation: sourceLocation)
            #expect(footer.header.firstLSN == nextLSN, sourceLocation: sourceLocation)
            nextLSN = footer.header.lastLSN + 1
            for run in footer.runs {
                let bytes = try #require(object.getSlice(at: run.position, length: run.lengthBytes))
                var position = bytes.readerIndex
                for header in try ObjectReader.verify(run: run, bytes: bytes) {
                    let batch = try #require(bytes.getSlice(at: position, length: header.totalSizeBytes))
                    position += header.totalSizeBytes
                    found["\(run.topic)/\(run.partition)", default: []] += try Batches.records(batch).map {
                        PlacedRecord($0, baseOffset: header.baseOffset)
                    }
                }
            }
        }
        #expect(found == expected, sourceLocation: sourceLocation)
    }
}

final class NotedConflicts: Sendable {
    private let noted = Mutex<[UplinkConflict]>([])

    var all: [UplinkConflict] { noted.withLock { $0 } }
    func add(_ conflict: UplinkConflict) { noted.withLock { $0.append(conflict) } }
}

/// What a gateway knows of its clocks, for the uplink to ask.
final class KnownClocks: Sendable {
    private let readings = Mutex<[UInt64: ClockReading]>([:])

    subscript(epoch: UInt64) -> ClockReading? {
        get { readings.withLock { $0[epoch] } }
        set { readings.withLock { $0[epoch] = newValue } }
    }

    func reading(ofBoot epoch: UInt64) -> ClockReading? { self[epoch] }
}

extension LaneUplinkSettings {
    static let test = LaneUplinkSettings(
        upload: LaneUploadSettings(
            flushInterval: .seconds(1),
            sizing: ObjectSizing.Limits(
                bytesMin: 400, liveBytesMax: 1000, backlogBytesMax: 2000, assumedBytesPerSecond: 1000)),
        priority: 0)
}

/// A cloud that adopts what it is told of, unless it is told to fail.
final class TestCloud: Announcer {
    private let state = Mutex((heard: [Announcement](), failures: [AnnounceError](), isDown: false))

    var heard: [Announcement] { state.withLock { $0.heard } }
    func fail(_ errors: [AnnounceError]) { state.withLock { $0.failures = errors } }
    func setDown(_ isDown: Bool) { state.withLock { $0.isDown = isDown } }

    func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        let failure = state.withLock { state -> AnnounceError? in
            if state.isDown { return AnnounceError(.unreachable) }
            if !state.failures.isEmpty { return state.failures.removeFirst() }
            state.heard.append(announcement)
            return nil
        }
        if let failure { throw failure }
        return AnnounceReply(adopted: [announcement.lane: announcement.sequence])
    }
}
