public import KafkaProtocol

/// What a command came to. Which case belongs to which command: see ``LedgerCommand``.
public enum LedgerAnswer: Sendable, Equatable {
    case done
    case topic(TopicFacts)
    case runs([RunOutcome])
    case adoption(AdoptionOutcome)
    case producerIDs(Range<Int64>)
    case errorCodes([ErrorCode])
    case logStarts([LogStartOutcome])
    case objects(ObjectMarks)
    case nodeEpoch(Int64)
    case transaction(TransactionOutcome)
    /// The last LSN of the volume that has been committed, 0 for none. What its log holds beyond is dead.
    case volume(lastLSN: UInt64)
    case boot(BootOutcome)
}

/// The log start after `advanceLogStart`, or why it did not move.
public enum LogStartOutcome: Sendable, Equatable {
    /// Also when it was there already: the log start never moves back.
    case logStart(Int64)
    case rejected(ErrorCode)
}

/// Keys of `markObjectsDeleting` and `forgetObjects`, by what became of them.
public struct ObjectMarks: Sendable, Equatable {
    /// Done, now or before.
    public var marked: [String]
    /// Extents still name these (or, when forgetting, they were never marked): leave the bytes alone.
    public var refused: [String]

    public init(marked: [String] = [], refused: [String] = []) {
        self.marked = marked
        self.refused = refused
    }
}
