public import KafkaProtocol
public import NIOCore

/// How far the wall time stamped on a batch may be believed. Data, not a decision: nothing is refused for it.
public enum ClockQuality: UInt8, Sendable, CaseIterable {
    /// Nobody has said anything about the clock since the system started.
    case unknown = 0
    /// Was set once and runs freely since.
    case freeRunning = 1
    /// The system says it is synchronised (NTP, PTP).
    case synchronized = 2
    /// Set from a GNSS receiver with a position fix.
    case gnss = 3

    /// Whether somebody who knows the time stands behind it.
    public var isBelieved: Bool { rawValue >= ClockQuality.synchronized.rawValue }
}

/// One record batch on its way into a lane. The caller has validated it (`RecordBatch.validateOne`).
public struct LogEntry: Sendable {
    public var topic: String
    public var partition: Int32
    /// Exactly one record batch, magic 2; its base offset is ignored and never rewritten on disk.
    public var batch: ByteBuffer
    public var header: RecordBatchHeader
    public var wallMs: Int64
    public var monotonicNs: UInt64
    public var clockQuality: ClockQuality
    /// The times of all its records were counted from this very reading of the gateway's clocks, because their source gave
    /// none: if the wall time turns out wrong, all of them are wrong by as much.
    public var hasGatewayTimes: Bool

    public init(
        topic: String, partition: Int32, batch: ByteBuffer, header: RecordBatchHeader, wallMs: Int64,
        monotonicNs: UInt64, clockQuality: ClockQuality, hasGatewayTimes: Bool = false
    ) {
        self.topic = topic
        self.partition = partition
        self.batch = batch
        self.header = header
        self.wallMs = wallMs
        self.monotonicNs = monotonicNs
        self.clockQuality = clockQuality
        self.hasGatewayTimes = hasGatewayTimes
    }
}

/// What became of one entry, told after the fdatasync that decided it.
public enum AppendOutcome: Sendable, Equatable {
    case appended(lsn: UInt64, baseOffset: Int64)
    /// The same batch of the same producer is durable already, at this offset.
    case duplicate(baseOffset: Int64)
    case rejected(AppendRejection)
}

/// Why an entry was not stored. Nothing of it is on disk as far as readers are concerned.
public enum AppendRejection: Sendable, Equatable {
    /// The producer skipped or repeated a sequence number; it must not retry as is.
    case outOfOrderSequence
    /// A newer epoch of this producer is known.
    case producerFenced
    /// Retry later: the uplink frees segments as it uploads.
    case quotaExceeded(usedBytes: Int, quotaBytes: Int)
    /// Retry later: the writer is behind.
    case overloaded(pendingBytes: Int, limitBytes: Int)
    /// Split the batch.
    case batchTooLarge(sizeBytes: Int, limitBytes: Int)
    /// Topic names are 1 to 249 bytes; partitions are not negative; the batch length equals its header's.
    case invalidEntry(String)
    case tooManyPartitions(limit: Int)
    /// Retry later: the file system has no room for a new segment.
    case diskFull
    /// Retry later: writing failed twice, the second time in a fresh segment.
    case diskFailed(String)
    case closed
}

/// One durable batch as readers get it.
public struct StoredBatch: Sendable, Equatable {
    public var lsn: UInt64
    public var topic: String
    public var partition: Int32
    /// Offset this site gave the first record; also patched into `batch`'s header by `fetch`, not by `read`.
    public var baseOffset: Int64
    public var wallMs: Int64
    public var monotonicNs: UInt64
    public var clockQuality: ClockQuality
    public var header: RecordBatchHeader
    public var batch: ByteBuffer
    /// The start of the log that took it in; nil from `fetch`, and for what older programs wrote.
    public var bootEpoch: UInt64?
    /// See ``LogEntry/hasGatewayTimes``.
    public var hasGatewayTimes = false

    public var time: BatchTime {
        BatchTime(bootEpoch: bootEpoch, monotonicNs: monotonicNs, wallMs: wallMs, clockQuality: clockQuality)
    }
}

/// LSNs that should be there and cannot be read any more: lost to corruption or to a lost segment.
public struct LSNGap: Sendable, Equatable {
    public var firstLSN: UInt64
    public var lastLSN: UInt64

    public init(firstLSN: UInt64, lastLSN: UInt64) {
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
    }

    public var count: UInt64 { lastLSN - firstLSN + 1 }
}

/// Answer of `read(from:)`: batches in LSN order. Control frames are skipped, so LSNs may jump without a gap.
public struct LogSlice: Sendable, Equatable {
    public var batches: [StoredBatch] = []
    /// Where the next read goes on; one above the last LSN looked at.
    public var nextLSN: UInt64
    public var gaps: [LSNGap] = []
}

/// Answer of `fetch`: batches of one partition with their base offset patched in.
public struct LocalFetch: Sendable, Equatable {
    public var batches: [StoredBatch] = []
    public var highWatermark: Int64
    public var logStartOffset: Int64
}

/// One topic-partition of a lane and the offsets readers may ask for.
public struct LocalPartition: Sendable, Equatable {
    public var topic: String
    public var partition: Int32
    public var logStartOffset: Int64
    public var highWatermark: Int64
}
