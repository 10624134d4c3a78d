import KafkaProtocol
import NIOCore
import Synchronization
import WriteAheadLog

/// The production core of a lane on a simulated disk, as the uplink sees a lane. One task uses it: the simulation.
final class SimulatedLane: LaneSource {
    let laneName: String
    private let core: Mutex<LaneCore<SimulatedDisk>>

    /// Recovers what the disk has.
    init(name: String, disk: SimulatedDisk, saltSeed: UInt64) throws {
        laneName = name
        let configuration = LaneConfiguration(
            name: name, directory: "/simulated", segmentSizeBytes: 128 << 10, quotaBytes: 2 << 20, commitWindow: .zero,
            groupBytesMax: 16 << 10, pendingBytesMax: 1 << 20, producersMax: 64, partitionsMax: 64)
        core = Mutex(try Self.recovered(configuration, disk, saltSeed))
    }

    private static func recovered(
        _ configuration: LaneConfiguration, _ disk: SimulatedDisk, _ saltSeed: UInt64
    ) throws -> sending LaneCore<SimulatedDisk> {
        var core = try LaneCore(configuration: configuration, disk: disk, saltSeed: saltSeed)
        let report = try core.recover()
        guard report.gaps.isEmpty, report.quarantined.isEmpty else {
            throw SimulationFailure("recovery lost data without rot: \(report)")
        }
        return core
    }

    var durableLSN: UInt64 { core.withLock { $0.durableLSN } }
    var uploadState: UploadState { core.withLock { $0.uploadState } }

    func commit(_ entries: [LogEntry]) -> [AppendOutcome] { core.withLock { $0.commit(entries) } }

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

    func addDurableListener(_ listener: @escaping @Sendable (UInt64) -> Void) {}
}

/// What the simulation found wrong, or could not go on with.
struct SimulationFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
