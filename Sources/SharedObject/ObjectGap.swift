/// Data of the object's LSN range that the gateway had acknowledged and does not have any more: what a reader of the topics
/// will miss, and why.
///
/// - LSNs are closed ranges inside the object's own, ascending and disjoint over the gaps of an object.
/// - Offsets are the site's. No offset of a gap is in a run of the same object.
public struct ObjectGap: Sendable, Hashable {
    public enum Reason: UInt8, Sendable, Hashable, CaseIterable {
        /// The lane was full and drops its oldest data.
        case quotaBytes = 1
        /// It waited too long for its upload.
        case quotaAge = 2
        /// It could not be read any more.
        case unreadable = 3
        /// The disk was full.
        case diskFull = 5
    }

    /// What one topic-partition has lost.
    public struct Item: Sendable, Hashable {
        public var topic: String
        public var partition: Int32
        public var firstLocalOffset: Int64
        public var lastLocalOffset: Int64
        public var recordCount: Int64
        /// 0, like `sizeBytes`, where only offsets are known.
        public var batchCount: Int64
        public var sizeBytes: Int64
        /// Wall time of the first and the last batch, ms since 1970-01-01 UTC; 0 where it is not known.
        public var firstWallMs: Int64
        public var lastWallMs: Int64

        public init(
            topic: String, partition: Int32, firstLocalOffset: Int64, lastLocalOffset: Int64, recordCount: Int64,
            batchCount: Int64 = 0, sizeBytes: Int64 = 0, firstWallMs: Int64 = 0, lastWallMs: Int64 = 0
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
        }
    }

    /// Sums over partitions that are not listed one by one.
    public struct Rest: Sendable, Hashable {
        public var partitionCount: Int32
        public var recordCount: Int64
        public var batchCount: Int64
        public var sizeBytes: Int64

        public init(partitionCount: Int32 = 0, recordCount: Int64 = 0, batchCount: Int64 = 0, sizeBytes: Int64 = 0) {
            self.partitionCount = partitionCount
            self.recordCount = recordCount
            self.batchCount = batchCount
            self.sizeBytes = sizeBytes
        }
    }

    public var reason: Reason
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    /// By topic (byte order) and partition.
    public var items: [Item]
    public var rest: Rest

    public init(
        reason: Reason, firstLSN: UInt64, lastLSN: UInt64, items: [Item] = [], rest: Rest = Rest()
    ) {
        self.reason = reason
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.items = items
        self.rest = rest
    }

    public var recordCount: Int64 { items.reduce(rest.recordCount) { $0 + $1.recordCount } }
}

extension ObjectGap.Item {
    /// Sorted by topic in byte order, then partition.
    func follows(_ previous: ObjectGap.Item) -> Bool {
        topic == previous.topic
            ? previous.partition < partition : previous.topic.utf8.lexicographicallyPrecedes(topic.utf8)
    }

    /// It tells of every offset from its first to its last.
    var isDense: Bool { recordCount == lastLocalOffset - firstLocalOffset + 1 }
}
