/// Why acknowledged data of a lane will never be uploaded.
public enum GapReason: UInt8, Sendable, CaseIterable, Comparable {
    /// The lane was at its quota and drops the oldest.
    case quotaBytes = 1
    /// It waited longer for its upload than the lane allows.
    case quotaAge = 2
    /// It cannot be read any more: bit rot, a lost segment, a device that fails; also what a salvage could not read. (4 is not used.)
    case unreadable = 3
    /// The file system had no room for a new segment.
    case diskFull = 5

    public static func < (left: GapReason, right: GapReason) -> Bool { left.rawValue < right.rawValue }
}

/// A range of LSNs of a lane whose batches are gone although they had been acknowledged, and what they were.
///
/// - LSNs are closed ranges; those of control frames count among them. Offsets are the site's own.
/// - `partitions` stand in the order of topic and partition. Those beyond what a record may hold are summed up in `rest`.
public struct GapRecord: Sendable, Equatable {
    public var reason: GapReason
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    public var partitions: [PartitionGap]
    public var rest = GapRest()

    public init(reason: GapReason, firstLSN: UInt64, lastLSN: UInt64, partitions: [PartitionGap] = []) {
        self.reason = reason
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.partitions = partitions
    }

    public var range: LSNGap { LSNGap(firstLSN: firstLSN, lastLSN: lastLSN) }

    public var totals: GapTotals {
        partitions.reduce(rest.totals) { sum, gap in
            GapTotals(
                batches: sum.batches + gap.batchCount, records: sum.records + gap.recordCount,
                bytes: sum.bytes + gap.sizeBytes)
        }
    }
}

/// What one topic-partition has lost in one gap.
public struct PartitionGap: Sendable, Equatable {
    public var topic: String
    public var partition: Int32
    public var firstOffset: Int64
    public var lastOffset: Int64
    public var recordCount: Int64
    /// 0, like `sizeBytes`, for what could not be read and is known by its offsets only.
    public var batchCount: Int64
    public var sizeBytes: Int64
    /// Wall time of the first and the last batch, ms since 1970; 0 where it is not known.
    public var firstWallMs: Int64
    public var lastWallMs: Int64

    public init(
        topic: String, partition: Int32, firstOffset: Int64, lastOffset: Int64, recordCount: Int64,
        batchCount: Int64 = 0, sizeBytes: Int64 = 0, firstWallMs: Int64 = 0, lastWallMs: Int64 = 0
    ) {
        self.topic = topic
        self.partition = partition
        self.firstOffset = firstOffset
        self.lastOffset = lastOffset
        self.recordCount = recordCount
        self.batchCount = batchCount
        self.sizeBytes = sizeBytes
        self.firstWallMs = firstWallMs
        self.lastWallMs = lastWallMs
    }

    static func precedes(_ left: PartitionGap, _ right: PartitionGap) -> Bool {
        left.topic == right.topic
            ? left.partition < right.partition : left.topic.utf8.lexicographicallyPrecedes(right.topic.utf8)
    }

    /// Takes in what the same partition has lost besides.
    mutating func merge(_ other: PartitionGap) {
        firstOffset = min(firstOffset, other.firstOffset)
        lastOffset = max(lastOffset, other.lastOffset)
        recordCount += other.recordCount
        batchCount += other.batchCount
        sizeBytes += other.sizeBytes
        if other.firstWallMs != 0 {
            firstWallMs = firstWallMs == 0 ? other.firstWallMs : min(firstWallMs, other.firstWallMs)
        }
        lastWallMs = max(lastWallMs, other.lastWallMs)
    }
}

/// Partitions of a gap that it does not list one by one.
public struct GapRest: Sendable, Equatable {
    public var partitionCount: Int32 = 0
    public var totals = GapTotals()

    public init() {}

    mutating func take(_ gap: PartitionGap) {
        partitionCount += 1
        totals.batches += gap.batchCount
        totals.records += gap.recordCount
        totals.bytes += gap.sizeBytes
    }
}

/// Sums over gaps. `gaps` counts records of gaps, not ranges merged into one.
public struct GapTotals: Sendable, Equatable {
    public var batches: Int64
    public var records: Int64
    public var bytes: Int64

    public init(batches: Int64 = 0, records: Int64 = 0, bytes: Int64 = 0) {
        self.batches = batches
        self.records = records
        self.bytes = bytes
    }

    public static func += (left: inout GapTotals, right: GapTotals) {
        left.batches += right.batches
        left.records += right.records
        left.bytes += right.bytes
    }
}

extension GapRecord {
    /// Takes in the gap that begins where this one ends, for the same reason.
    mutating func append(_ next: GapRecord) {
        lastLSN = next.lastLSN
        var merged = Dictionary(
            partitions.map { (PartitionName(topic: $0.topic, partition: $0.partition), $0) }, uniquingKeysWith: { $1 })
        for gap in next.partitions {
            let name = PartitionName(topic: gap.topic, partition: gap.partition)
            merged[name]?.merge(gap)
            if merged[name] == nil { merged[name] = gap }
        }
        partitions = merged.values.sorted(by: PartitionGap.precedes)
        rest.partitionCount += next.rest.partitionCount
        rest.totals += next.rest.totals
    }

    /// Lists fewer partitions, those that lost most, until it takes at most so many bytes.
    mutating func trim(toBytes limit: Int) {
        guard encodedBytes > limit else { return }
        var kept = partitions.sorted { ($0.recordCount, $1.partition) > ($1.recordCount, $0.partition) }
        var size = encodedBytes
        while size > limit, let least = kept.popLast() {
            rest.take(least)
            size -= least.encodedBytes
        }
        partitions = kept.sorted(by: PartitionGap.precedes)
    }
}
