public import NIOCore

/// The small log under the ledger: numbered blobs, one writer epoch at a time. All consensus there is.
///
/// - Order: blobs are numbered from 1 without holes (up to where the log was trimmed).
/// - Durability: `append` returns `.done` only when the blob survives a power cut.
/// - Fencing: `beginEpoch` ends all older epochs; every later `append`, snapshot or trim under one of them is refused
///   here, whatever the caller's clock or memory says.
/// - Calls block, and come from one thread at a time.
public protocol FencedLog: AnyObject, Sendable {
    /// Takes the next epoch, durable when it returns.
    func beginEpoch() throws(FencedLogError) -> UInt64
    /// Appends `blob` under `sequence`, which must be the next one.
    func append(epoch: UInt64, sequence: UInt64, blob: ByteBuffer) throws(FencedLogError) -> FencedAppend
    /// Blobs from `sequence` on, in order, without holes; at least one if there is one, then up to `bytesMax`.
    func read(from sequence: UInt64, bytesMax: Int) throws(FencedLogError) -> [LogBlob]
    /// Puts one piece of a snapshot of all blobs up to `sequence`. Pieces come in order from 0; with the last one the
    /// snapshot takes the place of the one before it, atomically. A snapshot left without its last piece is dropped.
    func putSnapshot(epoch: UInt64, through sequence: UInt64, piece: Int, bytes: ByteBuffer, isLast: Bool)
        throws(FencedLogError) -> FencedAppend
    /// The latest complete snapshot.
    func readSnapshot() throws(FencedLogError) -> LogSnapshot?
    /// Drops blobs up to `sequence`; only what a complete snapshot covers.
    func trim(epoch: UInt64, through sequence: UInt64) throws(FencedLogError) -> FencedAppend
    func close()
}

public enum FencedAppend: Sendable, Equatable {
    case done
    /// A newer epoch has begun.
    case fenced(currentEpoch: UInt64)
    /// `sequence` is not the next one.
    case conflict(nextSequence: UInt64)
}

public struct LogBlob: Sendable, Equatable {
    public var sequence: UInt64
    public var epoch: UInt64
    public var blob: ByteBuffer

    public init(sequence: UInt64, epoch: UInt64, blob: ByteBuffer) {
        self.sequence = sequence
        self.epoch = epoch
        self.blob = blob
    }
}

public struct LogSnapshot: Sendable, Equatable {
    /// The last blob it covers.
    public var sequence: UInt64
    public var pieces: [ByteBuffer]

    public init(sequence: UInt64, pieces: [ByteBuffer]) {
        self.sequence = sequence
        self.pieces = pieces
    }
}

public enum FencedLogError: Error, Equatable, Sendable {
    /// Another process holds the log; stop that one first.
    case heldByAnother(path: String)
    /// The call failed; whether it took effect is not known until the log is read again.
    case failed(operation: String, reason: String)
    /// The log's own layout was written by a newer Cairn.
    case newerVersion(path: String, found: Int, supported: Int)
    /// Not a ledger's log, or damaged.
    case invalid(path: String, reason: String)
    case closed
}
