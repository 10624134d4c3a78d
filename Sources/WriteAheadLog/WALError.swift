/// Every error of this module that is not the outcome of an append.
public enum WALError: Error, Equatable, CustomStringConvertible {
    /// A setting that cannot work.
    case configuration(String)
    /// Another process has this directory open.
    case locked(path: String)
    /// Segments that a newer program wrote, or whose key is not here, are in the way. Nothing has been touched.
    case untouchable(UntouchableSegments)
    /// A system call failed.
    case io(DiskError)
    /// Bytes and checksum disagree; the range is skipped by the next read and counted in the status.
    case corrupt(segment: UInt64, offsetBytes: Int, storedCRC32C: UInt32, computedCRC32C: UInt32)
    case unknownPartition(topic: String, partition: Int32)
    case offsetOutOfRange(offset: Int64, logStartOffset: Int64, highWatermark: Int64)
    /// Retry: the index is being rebuilt and has not reached this offset yet.
    case indexing(indexedThroughLSN: UInt64, durableLSN: UInt64)
    /// SQLite said no. The index can be deleted and rebuilt.
    case index(String)
    /// The plan does not continue the lane's plans, or the upload names no open plan.
    case planRefused(String)
    /// A gap was recorded meanwhile that reaches beyond the end of the plan: read again and plan anew.
    case planOutdated(gapLastLSN: UInt64)
    /// Retry later: a control frame found neither room in the segment nor a new segment.
    case diskFull
    case diskFailed(String)
    case closed

    public var description: String {
        switch self {
        case .configuration(let message): message
        case .locked(let path): "\(path) is in use by another process"
        case .untouchable(let segments): "\(segments); nothing has been touched"
        case .io(let error): error.description
        case .corrupt(let segment, let offset, let stored, let computed):
            "segment \(segment), byte \(offset): stored CRC-32C \(stored), computed \(computed)"
        case .unknownPartition(let topic, let partition): "no partition \(partition) of topic \(topic)"
        case .offsetOutOfRange(let offset, let start, let end): "offset \(offset) is outside \(start)...\(end)"
        case .indexing(let indexed, let durable): "index rebuilt through LSN \(indexed) of \(durable)"
        case .index(let message): "index: \(message)"
        case .planRefused(let message): message
        case .planOutdated(let last): "data through LSN \(last) was dropped before the plan was recorded"
        case .diskFull: "no space left for a new segment"
        case .diskFailed(let message): message
        case .closed: "the log is closed"
        }
    }
}
