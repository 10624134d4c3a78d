import Dispatch
public import Logging

/// The ledger of one deployment: the sequencer, its log and what it shows.
///
/// - Order: commands take effect in the order in which `submit` queued them.
/// - Durability: an answer is given after the log has made the command's records durable; `view` shows them just
///   before.
/// - Bounds: at most `commandsQueuedMax` commands wait; more are refused with `.overloaded`.
public final class Ledger: Sendable {
    /// What everybody may read.
    public let view: LedgerView
    /// What was found at open.
    public let recovery: LedgerRecovery
    private let sequencer: SequencerThread

    /// Takes the log over (older holders are fenced) and reads it: the latest snapshot, then the blobs after it.
    /// Blocks a thread of its own, not the caller's.
    public static func open(
        log: any FencedLog, configuration: LedgerConfiguration = LedgerConfiguration(),
        logger: Logger = Logger(label: "ledger")
    ) async throws(LedgerError) -> Ledger {
        let result = await onOwnThread { () -> Result<Ledger, LedgerError> in
            do throws(LedgerError) {
                return .success(try Ledger(log: log, configuration: configuration, logger: logger))
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    /// As `open`, blocking.
    public init(
        log: any FencedLog, configuration: LedgerConfiguration = LedgerConfiguration(),
        logger: Logger = Logger(label: "ledger")
    ) throws(LedgerError) {
        let core = try Sequencer(log: log, configuration: configuration)
        view = core.view
        recovery = core.recovery
        sequencer = SequencerThread(core, configuration: configuration, logger: logger)
    }

    /// Returns when the command is durable and visible. Cancelling the caller does not recall it.
    public func submit(_ command: LedgerCommand) async throws(LedgerError) -> LedgerAnswer {
        let result = await withCheckedContinuation { continuation in
            submit(command) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }

    /// The same for event-loop code. `completion` is called once, on the sequencer's thread or, when the command
    /// cannot be queued, on the caller's; it must return at once.
    public func submit(
        _ command: LedgerCommand, completion: @escaping @Sendable (Result<LedgerAnswer, LedgerError>) -> Void
    ) {
        sequencer.submit(command, completion: completion)
    }

    /// Fails once the log has fenced this sequencer or lies corrupt: the process should stop serving.
    public var isServing: Bool { sequencer.isServing }

    public func statistics() -> LedgerStatistics { sequencer.statistics() }

    /// Finishes what is queued, writes nothing more, and closes the log. Later commands fail with `.closed`.
    public func close() async {
        await onOwnThread { self.sequencer.stop() }
    }
}

/// Settings of the sequencer.
public struct LedgerConfiguration: Sendable, Equatable {
    /// Commands waiting at most.
    public var commandsQueuedMax = 10_000
    /// Encoded records in one blob at most (one command may exceed it alone).
    public var blobBytesMax = 4 << 20
    /// Commands in one blob at most.
    public var blobCommandsMax = 1_000
    /// A snapshot is taken when the log after the last one holds this many blobs ...
    public var snapshotEveryBlobs = 50_000
    /// ... or this many bytes, or half the last snapshot's size where that is more.
    public var snapshotEveryBytes = 64 << 20
    public var snapshotPieceBytes = 1 << 20
    public init() {}
}

/// What `open` found.
public struct LedgerRecovery: Sendable, Equatable {
    public var epoch: UInt64
    /// The last blob in the log.
    public var sequence: UInt64
    /// The last blob inside the snapshot, 0 without one.
    public var snapshotSequence: UInt64
    public var blobsReplayed: Int
}

/// Counted since open.
public struct LedgerStatistics: Sendable, Equatable {
    public var commands: UInt64 = 0
    public var refused: UInt64 = 0
    public var overloaded: UInt64 = 0
    public var failed: UInt64 = 0
    public var blobs: UInt64 = 0
    public var blobBytes: UInt64 = 0
    public var snapshots: UInt64 = 0
    public var queued: Int = 0
    public init() {}
}
