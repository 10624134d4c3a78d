public import NIOCore
import Synchronization

/// A fenced log in memory, for tests and simulation: it outlives its sequencers as a disk would, and fails on demand.
public final class MemoryFencedLog: FencedLog {
    public enum Operation: Sendable, Equatable {
        case beginEpoch
        case append(sequence: UInt64)
        case read(from: UInt64)
        case putSnapshot(piece: Int)
        case readSnapshot
        case trim
    }

    public enum Fault: Sendable, Equatable {
        /// An error; nothing happened.
        case errorBeforeEffect
        /// An error, though the operation took effect.
        case errorAfterEffect
        /// An append fails, and lands unseen just before the next append that gets through: a request that was given up
        /// on and still arrived. Other operations just fail.
        case errorBeforeLateEffect
        /// Another writer takes the next epoch just before the operation.
        case fencedBefore
    }

    private struct State {
        var epoch: UInt64 = 0
        var trimmedThrough: UInt64 = 0
        var blobs: [LogBlob] = []
        var snapshot: LogSnapshot?
        var building: LogSnapshot?
        var script: (@Sendable (Operation) -> Fault?)?
        var late: LogBlob?

        var nextSequence: UInt64 { trimmedThrough + UInt64(blobs.count) + 1 }

        mutating func append(_ blob: LogBlob) -> FencedAppend {
            guard blob.epoch == epoch else { return .fenced(currentEpoch: epoch) }
            guard blob.sequence == nextSequence else { return .conflict(nextSequence: nextSequence) }
            blobs.append(blob)
            return .done
        }
    }

    private let state = Mutex(State())

    public init() {}

    /// `script` is asked before each operation.
    public func setFaults(_ script: (@Sendable (Operation) -> Fault?)?) {
        state.withLock { $0.script = script }
    }

    /// Another writer takes over.
    public func fence() {
        state.withLock { $0.epoch += 1 }
    }

    /// Replaces or adds stored blobs, to play a damaged or foreign log.
    public func replaceBlobs(_ change: @Sendable (inout [LogBlob]) -> Void) {
        state.withLock { change(&$0.blobs) }
    }

    public var blobs: [LogBlob] { state.withLock { $0.blobs } }

    public func beginEpoch() throws(FencedLogError) -> UInt64 {
        try run(.beginEpoch) { state in
            state.epoch += 1
            return state.epoch
        }
    }

    public func append(epoch: UInt64, sequence: UInt64, blob: ByteBuffer) throws(FencedLogError) -> FencedAppend {
        let stored = LogBlob(sequence: sequence, epoch: epoch, blob: blob)
        return try run(.append(sequence: sequence), late: stored) { state in
            if let late = state.late.take() { _ = state.append(late) }
            return state.append(stored)
        }
    }

    public func read(from sequence: UInt64, bytesMax: Int) throws(FencedLogError) -> [LogBlob] {
        try run(.read(from: sequence)) { state in
            var bytes = 0
            return Array(
                state.blobs.lazy.filter { $0.sequence >= sequence }
                    .prefix { stored in
                        defer { bytes += stored.blob.readableBytes }
                        return bytes == 0 || bytes + stored.blob.readableBytes <= bytesMax
                    })
        }
    }

    public func putSnapshot(
        epoch: UInt64, through sequence: UInt64, piece: Int, bytes: ByteBuffer, isLast: Bool
    ) throws(FencedLogError) -> FencedAppend {
        try run(.putSnapshot(piece: piece)) { state in
            guard epoch == state.epoch else { return .fenced(currentEpoch: state.epoch) }
            if piece == 0 { state.building = LogSnapshot(sequence: sequence, pieces: []) }
            guard var building = state.building, building.sequence == sequence, building.pieces.count == piece else {
                return .conflict(nextSequence: state.nextSequence)
            }
            building.pieces.append(bytes)
            state.building = isLast ? nil : building
            if isLast { state.snapshot = building }
            return .done
        }
    }

    public func readSnapshot() throws(FencedLogError) -> LogSnapshot? {
        try run(.readSnapshot) { $0.snapshot }
    }

    public func trim(epoch: UInt64, through sequence: UInt64) throws(FencedLogError) -> FencedAppend {
        try run(.trim) { state in
            guard epoch == state.epoch else { return .fenced(currentEpoch: state.epoch) }
            guard sequence <= state.snapshot?.sequence ?? 0 else { return .conflict(nextSequence: state.nextSequence) }
            let count = min(state.blobs.count, Int(sequence - min(sequence, state.trimmedThrough)))
            state.blobs.removeFirst(count)
            state.trimmedThrough += UInt64(count)
            return .done
        }
    }

    public func close() {}

    private func run<Result: Sendable>(
        _ operation: Operation, late: LogBlob? = nil, _ body: (inout sending State) -> sending Result
    ) throws(FencedLogError) -> Result {
        let script = state.withLock { $0.script }
        let fault = script?(operation)
        let failure = FencedLogError.failed(operation: "\(operation)", reason: "fault of the test")
        if fault == .errorBeforeEffect { throw failure }
        if fault == .errorBeforeLateEffect {
            if let late { state.withLock { $0.late = late } }
            throw failure
        }
        if fault == .fencedBefore { fence() }
        let result = state.withLock { body(&$0) }
        if fault == .errorAfterEffect { throw failure }
        return result
    }
}
