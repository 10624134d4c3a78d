import NIOCore

/// When to take a snapshot, and how: piece by piece, so that commands get their turn in between; then the log is
/// trimmed behind it, in steps too.
struct SnapshotWriter: Sendable {
    enum Step: Equatable {
        case more, finished, failed
        case fenced(currentEpoch: UInt64)
    }

    private enum Stage: Sendable {
        case idle
        case writing(sequence: UInt64, rest: ByteBuffer, piece: Int)
        case trimming(sequence: UInt64, trimmed: UInt64)
    }

    private let configuration: LedgerConfiguration
    private var stage = Stage.idle
    private var blobs: Int
    private var bytes: Int
    private var snapshotBytes: Int
    /// Where trimming goes on: what it may have left below goes with its next step.
    private var trimmed: UInt64
    /// After a failure: blobs to wait for before trying again.
    private var pause = 0

    static let trimStepBlobs: UInt64 = 4_096

    init(configuration: LedgerConfiguration, after loader: LedgerLoader) {
        self.configuration = configuration
        snapshotBytes = loader.snapshotBytes
        blobs = loader.blobsReplayed
        bytes = loader.bytesReplayed
        trimmed = loader.snapshotSequence
    }

    mutating func appended(bytes: Int) {
        blobs += 1
        self.bytes += bytes
        pause = max(0, pause - 1)
    }

    var isDue: Bool {
        guard case .idle = stage else { return pause == 0 }
        guard pause == 0, blobs > 0 else { return false }
        return blobs >= configuration.snapshotEveryBlobs
            || bytes >= max(configuration.snapshotEveryBytes, snapshotBytes / 2)
    }

    mutating func step(log: any FencedLog, epoch: UInt64, state: LedgerState) -> Step {
        do throws(FencedLogError) {
            switch stage {
            case .idle:
                let encoded = state.encodedSnapshot()
                snapshotBytes = encoded.readableBytes
                blobs = 0
                bytes = 0
                stage = .writing(sequence: state.sequence, rest: encoded, piece: 0)
                return .more
            case .writing(let sequence, let rest, let piece):
                return try write(log, epoch, sequence, rest, piece)
            case .trimming(let sequence, let trimmed):
                return try trim(log, epoch, sequence, trimmed)
            }
        } catch {
            return give(up: .failed)
        }
    }

    private mutating func write(
        _ log: any FencedLog, _ epoch: UInt64, _ sequence: UInt64, _ rest: ByteBuffer, _ piece: Int
    ) throws(FencedLogError) -> Step {
        var rest = rest
        let bytes = rest.readSlice(length: min(max(1, configuration.snapshotPieceBytes), rest.readableBytes))
        let isLast = rest.readableBytes == 0
        let done = try log.putSnapshot(
            epoch: epoch, through: sequence, piece: piece, bytes: bytes ?? ByteBuffer(), isLast: isLast)
        switch done {
        case .done:
            stage =
                isLast
                ? .trimming(sequence: sequence, trimmed: trimmed)
                : .writing(sequence: sequence, rest: rest, piece: piece + 1)
            return .more
        case .fenced(let currentEpoch): return give(up: .fenced(currentEpoch: currentEpoch))
        case .conflict: return give(up: .failed)
        }
    }

    private mutating func trim(
        _ log: any FencedLog, _ epoch: UInt64, _ sequence: UInt64, _ from: UInt64
    ) throws(FencedLogError) -> Step {
        let through = min(sequence, from + SnapshotWriter.trimStepBlobs)
        switch try log.trim(epoch: epoch, through: through) {
        case .done:
            trimmed = through
            stage = through == sequence ? .idle : .trimming(sequence: sequence, trimmed: through)
            return through == sequence ? .finished : .more
        case .fenced(let currentEpoch): return give(up: .fenced(currentEpoch: currentEpoch))
        case .conflict: return give(up: .failed)
        }
    }

    /// The log is whole without the snapshot: wait for more blobs and begin again.
    private mutating func give(up step: Step) -> Step {
        stage = .idle
        blobs = configuration.snapshotEveryBlobs
        pause = max(1, configuration.snapshotEveryBlobs / 10)
        return step
    }
}
