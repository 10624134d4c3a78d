/// Data of a lane that the site had acknowledged and that will never come: what consumers miss, and where.
public struct SiteGap: Sendable, Equatable {
    /// Why. Numbers as in the object format; those of newer sites are kept as they are.
    public var reason: UInt8
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    public var items: [SiteGapItem]
    /// Sums over partitions that `items` does not list.
    public var rest: SiteGapRest

    public init(
        reason: UInt8, firstLSN: UInt64, lastLSN: UInt64, items: [SiteGapItem] = [],
        rest: SiteGapRest = SiteGapRest()
    ) {
        self.reason = reason
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.items = items
        self.rest = rest
    }
}

/// What one topic-partition misses. Offsets of the site count what it had; the cloud's are dense and only say where.
public struct SiteGapItem: Sendable, Equatable {
    public var topic: String
    public var partition: Int32
    public var firstLocalOffset: Int64
    public var lastLocalOffset: Int64
    public var recordCount: Int64
    /// 0, like `sizeBytes`, where only offsets are known.
    public var batchCount: Int64
    public var sizeBytes: Int64
    /// ms since 1970-01-01 UTC by the site's clock; 0 where it is not known.
    public var firstWallMs: Int64
    public var lastWallMs: Int64
    /// In a command: index of the first run of the object behind the gap in this partition; -1 where there is none.
    public var nextRun: Int32
    /// In the ledger: the records are missing before this offset of the cloud's partition, which the next record gets.
    public var cloudOffset: Int64

    public init(
        topic: String, partition: Int32, firstLocalOffset: Int64, lastLocalOffset: Int64, recordCount: Int64,
        batchCount: Int64 = 0, sizeBytes: Int64 = 0, firstWallMs: Int64 = 0, lastWallMs: Int64 = 0,
        nextRun: Int32 = -1, cloudOffset: Int64 = 0
    ) {
        self.topic = topic
        self.partition = partition
        self.firstLocalOffset = firstLocalOffset
        self.lastLocalOffset = lastLocalOffset
        self.recordCount = recordCount
        self.batchCount = batchCount
        self.sizeBytes = sizeBytes
        self.firstWallMs = firstWallMs
        self.lastWallMs = lastWallMs
        self.nextRun = nextRun
        self.cloudOffset = cloudOffset
    }
}

public struct SiteGapRest: Sendable, Equatable {
    public var partitionCount: Int32
    public var totals: SiteGapTotals

    public init(partitionCount: Int32 = 0, totals: SiteGapTotals = SiteGapTotals()) {
        self.partitionCount = partitionCount
        self.totals = totals
    }
}

/// Sums over gaps.
public struct SiteGapTotals: Sendable, Equatable {
    public var gaps: Int64
    public var records: Int64
    public var batches: Int64
    public var bytes: Int64

    public init(gaps: Int64 = 0, records: Int64 = 0, batches: Int64 = 0, bytes: Int64 = 0) {
        self.gaps = gaps
        self.records = records
        self.batches = batches
        self.bytes = bytes
    }

    static func += (left: inout SiteGapTotals, right: SiteGapTotals) {
        left.gaps &+= right.gaps
        left.records &+= right.records
        left.batches &+= right.batches
        left.bytes &+= right.bytes
    }
}

extension SiteGap {
    /// Itself and what it names.
    public var totals: SiteGapTotals {
        items.reduce(
            SiteGapTotals(
                gaps: 1, records: rest.totals.records, batches: rest.totals.batches, bytes: rest.totals.bytes)
        ) { sum, item in
            SiteGapTotals(
                gaps: sum.gaps, records: sum.records &+ item.recordCount, batches: sum.batches &+ item.batchCount,
                bytes: sum.bytes &+ item.sizeBytes)
        }
    }

    /// Lists at most so many partitions, those that lost most; the others are summed up.
    mutating func fold(itemsMax: Int) {
        guard items.count > itemsMax else { return }
        let ranked = items.indices.sorted {
            (items[$0].recordCount, $1) > (items[$1].recordCount, $0)
        }
        let kept = Set(ranked.prefix(itemsMax))
        for place in ranked.dropFirst(itemsMax) {
            let item = items[place]
            rest.partitionCount &+= 1
            rest.totals += SiteGapTotals(
                records: item.recordCount, batches: item.batchCount, bytes: item.sizeBytes)
        }
        items = items.indices.filter { kept.contains($0) }.map { items[$0] }
    }
}
