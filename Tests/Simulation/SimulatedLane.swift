import KafkaProtocol
import NIOCore
import Sealing
import Synchronization

@testable import WriteAheadLog

/// The production core of a lane on a simulated disk, as the uplink sees a lane. One task uses it: the simulation.
final class SimulatedLane: LaneSource {
    let laneName: String
    let recovery: RecoveryReport
    private let core: Mutex<LaneCore<SimulatedDisk>>

    /// Recovers what the disk has.
    /// - Parameter index: what the index file tells, if anything.
    init(_ configuration: LaneConfiguration, disk: SimulatedDisk, saltSeed: UInt64, index: SimulatedIndex) throws {
        laneName = configuration.name
        var made = try LaneCore(
            configuration: configuration, disk: disk, saltSeed: saltSeed, sealing: try Self.sealing(saltSeed))
        let found = try index.file()
        var report = try made.recover { segments in found.map { OpenedIndex.knownDurable($0, segments) } ?? 0 }
        if let found { _ = OpenedIndex(found, configuration.directory, &made, &report) }
        recovery = report
        core = Mutex(made)
    }

    /// Every start may find encryption switched on or off; the key is always there.
    private static func sealing(_ number: UInt64) throws -> LogSealing {
        let bytes = [UInt8](repeating: 7, count: SecretKey.sizeBytes)
        guard let secret = SecretKey(bytes: bytes), let key = KeyRing.Key(id: "sim", secret: secret),
            let ring = KeyRing([key])
        else { throw WALError.configuration("no key") }
        return LogSealing(ring: { ring }, seals: number & 1 == 1)
    }

    var durableLSN: UInt64 { core.withLock { $0.durableLSN } }
    var uploadState: UploadState { core.withLock { $0.uploadState } }
    var bootEpoch: UInt64 { core.withLock { $0.bootEpoch } }
    var diskBytes: Int { core.withLock { $0.diskBytes } }
    var partitions: [LocalPartition] { core.withLock { $0.partitions } }

    /// Something looks at the core itself.
    func inspect<T: Sendable>(_ body: (LaneCore<SimulatedDisk>) throws -> T) rethrows -> T {
        try core.withLock { core in try body(core) }
    }

    /// The simulation looks itself: it reads all that is there, and takes no fault from those who are to meet it.
    func look<T: Sendable>(_ body: (LaneCore<SimulatedDisk>) throws -> T) rethrows -> T {
        try inspect { core in
            let reads = core.disk.faults.failingReads
            core.disk.faults.failingReads = 0
            defer { core.disk.faults.failingReads = reads }
            return try body(core)
        }
    }

    /// Commits the entries; with a `cut` as the writer does under load, those from there on being staged while the ones
    /// before are written.
    func commit(_ entries: [LogEntry], cut: Int?) -> [AppendOutcome] {
        core.withLock { core in
            guard let cut else { return core.commit(entries) }
            guard core.stage(Array(entries[..<cut])) else { return core.commit(entries) }
            core.submit()
            guard core.stage(Array(entries[cut...])) else { return core.commit(Array(entries[cut...])) }
            let outcomes = core.finish().outcomes
            core.submit()
            return outcomes + core.finish().outcomes
        }
    }

    /// Begins to write some entries, stages the rest, and is never heard of again.
    func abandon(_ entries: [LogEntry], cut: Int) {
        core.withLock { core in
            guard core.stage(Array(entries[..<cut])) else { return }
            core.submit()
            _ = core.stage(Array(entries[cut...]))
        }
    }

    func read(from lsn: UInt64, maxBytes: Int, maxCount: Int) throws(WALError) -> LogSlice {
        let result = core.withLock { core in
            Result { () throws(WALError) in try core.read(from: lsn, maxBytes: maxBytes, maxCount: maxCount) }
        }
        return try result.get()
    }

    func recordPlan(_ plan: UploadPlan) async throws(WALError) {
        try core.withLock { core in Result { () throws(WALError) in try core.recordPlan(plan) } }.get()
    }

    func recordUploaded(sequence: UInt64, lastLSN: UInt64) async throws(WALError) {
        try core.withLock { core in
            Result { () throws(WALError) in try core.recordUploaded(sequence: sequence, lastLSN: lastLSN) }
        }.get()
    }

    func gapRecords(from first: UInt64, through last: UInt64) -> [GapRecord] {
        core.withLock { $0.gapRecords(from: first, through: last) }
    }

    func describe(lost gaps: [LSNGap]) -> [GapRecord] { core.withLock { $0.describe(lost: gaps) } }

    func expire(nowNs: UInt64) { core.withLock { $0.expire(nowNs: nowNs, wallMs: nil) } }

    func addDurableListener(_ listener: @escaping @Sendable (UInt64) -> Void) {}
}

extension LaneCore<SimulatedDisk> {
    /// Every frame that can be read, with its segment, in the order of the log.
    func eachFrame(_ body: (LiveSegment<SimulatedDisk.File>, SegmentScan<SimulatedDisk>.Frame) -> Void) {
        let view = view
        for place in view.segments.indices where view.segments[place].isReadable {
            let segment = view.segments[place]
            var scan = SegmentScan(
                window: ScanWindow(disk: disk), segment: segment, endBytes: segment.endBytes,
                expectedLSN: segment.firstLSN, limitLSN: view.limitLSN(of: place))
            while let item = try? scan.next() {
                if case .frame(let frame) = item { body(segment, frame) }
            }
        }
    }
}
