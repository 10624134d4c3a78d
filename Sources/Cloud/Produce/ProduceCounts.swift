import KafkaProtocol
import Ledger
import NIOCore

/// What has been produced since start, and what is on its way.
public struct ProduceCounts: Sendable, Equatable {
    public var objects: UInt64 = 0
    public var batches: UInt64 = 0
    public var records: UInt64 = 0
    public var bytes: UInt64 = 0
    public var duplicates: UInt64 = 0
    public var rejected: UInt64 = 0
    /// Requests refused because too many waited, and those that waited too long.
    public var refused: UInt64 = 0
    public var timedOut: UInt64 = 0
    public var putErrors: UInt64 = 0
    public var commitErrors: UInt64 = 0
    public var failedUploads: UInt64 = 0
    public var failedCommits: UInt64 = 0
    public var pendingBytes = 0
    public var parkedBytes = 0
    public var uploads = 0

    public init() {}

    mutating func add(_ items: [Submission], _ outcomes: [RunOutcome]) {
        objects += 1
        for (entry, outcome) in zip(items.lazy.flatMap(\.entries), outcomes) {
            switch outcome {
            case .committed:
                batches += 1
                records += UInt64(entry.header.recordCount)
                bytes += UInt64(entry.batch.readableBytes)
            case .duplicate: duplicates += 1
            case .rejected: rejected += 1
            }
        }
    }
}
