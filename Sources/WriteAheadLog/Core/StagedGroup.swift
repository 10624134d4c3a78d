/// A group that is being built or written: what will be answered once it is durable, and its bytes.
struct StagedGroup {
    let staging: Staging
    /// Where it goes in the newest segment.
    let offsetBytes: Int
    let firstLSN: UInt64
    /// Kept until the group is durable: should its write fail, they are written again elsewhere, or refused.
    var entries: [LogEntry] = []
    var outcomes: [AppendOutcome] = []
    var rows: [IndexEntry] = []
    var records: UInt64 = 0
    var batchBytes: UInt64 = 0
    /// Bytes handed to the disk; 0 before that, and when there is nothing to write.
    var writtenBytes = 0
    /// Why its write could not even be begun.
    var failure: DiskError?

    /// Duplicates and refusals need no write, but they too may rest on the group before.
    var isEmpty: Bool { staging.isEmpty }
}

/// Answers in the order of the entries.
public struct FinishedGroup: Sendable, Equatable {
    public var outcomes: [AppendOutcome] = []
    /// Set when the disk refused some of them: nothing that waited behind them may be tried before they were answered.
    public var refusal: AppendRejection?
}
