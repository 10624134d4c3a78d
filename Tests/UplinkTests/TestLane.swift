import KafkaProtocol
import NIOCore
import Synchronization
import Uplink

@testable import WriteAheadLog

/// A lane in memory that keeps what a kill would leave: everything appended is durable at once.
final class TestLane: ByteCountingLaneSource {
    private struct State {
        /// One for each LSN from 1; nil is a control frame.
        var frames: [StoredBatch?] = []
        var upload = UploadState()
        var nextOffsets: [String: Int64] = [:]
        var bytes: UInt64 = 0
        var plans: [UploadPlan] = []
        var failures: [String: Int] = [:]
        var listeners: [@Sendable (UInt64) -> Void] = []
    }

    let laneName: String
    private let state = Mutex(State())

    init(name: String = "standard") { laneName = name }

    var durableLSN: UInt64 { state.withLock { UInt64($0.frames.count) } }
    var durableBytes: UInt64 { state.withLock { $0.bytes } }
    var uploadState: UploadState { state.withLock { $0.upload } }
    /// Every plan ever made durable.
    var plans: [UploadPlan] { state.withLock { $0.plans } }
    var batches: [StoredBatch] { state.withLock { $0.frames.compactMap { $0 } } }

    /// The next `times` calls of `operation` (`read`, `plan`, `uploaded`) throw.
    func fail(_ operation: String, times: Int) { state.withLock { $0.failures[operation] = times } }

    /// By which clock a batch is stamped; nil epoch: the batch is a client's.
    struct Stamp {
        var reading: ClockReading
        var quality: ClockQuality
        var bootEpoch: UInt64?
    }

    func append(
        _ batch: ByteBuffer, topic: String, partition: Int32 = 0, skipOffsets: Int64 = 0, stamp: Stamp? = nil
    ) throws {
        let header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        let (lsn, listeners) = state.withLock { state in
            let offset = state.nextOffsets["\(topic)/\(partition)", default: 0] + skipOffsets
            state.nextOffsets["\(topic)/\(partition)"] = offset + Int64(header.recordCount)
            let lsn = UInt64(state.frames.count + 1)
            state.frames.append(
                StoredBatch(
                    lsn: lsn, topic: topic, partition: partition, baseOffset: offset,
                    wallMs: stamp?.reading.wallMs ?? 1_700_000_000_000 + Int64(lsn),
                    monotonicNs: stamp?.reading.monotonicNs ?? lsn, clockQuality: stamp?.quality ?? .gnss,
                    header: header, batch: batch, bootEpoch: stamp?.bootEpoch, hasGatewayTimes: stamp != nil))
            state.bytes += UInt64(batch.readableBytes)
            return (lsn, state.listeners)
        }
        for listener in listeners { listener(lsn) }
    }

    func read(from lsn: UInt64, maxBytes: Int, maxCount: Int) throws(WALError) -> LogSlice {
        try failIfScripted("read")
        return state.withLock { state in
            var slice = LogSlice(nextLSN: lsn)
            var bytes = 0
            while slice.nextLSN <= UInt64(state.frames.count), slice.batches.count < maxCount {
                if let batch = state.frames[Int(slice.nextLSN - 1)] {
                    if !slice.batches.isEmpty, bytes + batch.batch.readableBytes > maxBytes { break }
                    bytes += batch.batch.readableBytes
                    slice.batches.append(batch)
                }
                slice.nextLSN += 1
            }
            return slice
        }
    }

    func recordPlan(_ plan: UploadPlan) async throws(WALError) {
        try failIfScripted("plan")
        let isRefused = state.withLock { state in
            if state.upload.openPlans.contains(plan) { return false }
            guard plan.sequence == state.upload.nextSequence, plan.firstLSN == state.upload.nextPlanLSN else {
                return true
            }
            state.upload.openPlans.append(plan)
            state.upload.nextSequence += 1
            state.plans.append(plan)
            state.frames.append(nil)
            return false
        }
        if isRefused { throw .planRefused("\(plan)") }
    }

    func recordUploaded(sequence: UInt64, lastLSN: UInt64) async throws(WALError) {
        try failIfScripted("uploaded")
        let isRefused = state.withLock { state in
            guard state.upload.openPlans.first?.sequence == sequence else { return true }
            state.upload.openPlans.removeFirst()
            state.upload.uploadedThrough = lastLSN
            state.frames.append(nil)
            return false
        }
        if isRefused { throw .planRefused("upload \(sequence)") }
    }

    func addDurableListener(_ listener: @escaping @Sendable (UInt64) -> Void) {
        state.withLock { $0.listeners.append(listener) }
    }

    private func failIfScripted(_ operation: String) throws(WALError) {
        let fails = state.withLock { state in
            guard let left = state.failures[operation], left > 0 else { return false }
            state.failures[operation] = left - 1
            return true
        }
        if fails { throw .diskFailed("scripted") }
    }
}
