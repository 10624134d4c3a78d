import DequeModule

/// Durable batches that are not in the index file yet, by LSN and by partition; bounded, the oldest drop out first and
/// are then read from the segments.
struct IndexTail {
    let limit: Int
    private(set) var queue = Deque<IndexEntry>()
    private var byPartition: [Int: Deque<IndexEntry>] = [:]
    /// Every durable batch from this LSN on is in here or in the file.
    private(set) var floorLSN: UInt64

    init(limit: Int, floorLSN: UInt64) {
        self.limit = limit
        self.floorLSN = floorLSN
    }

    var count: Int { queue.count }

    mutating func append(_ entries: [IndexEntry]) {
        for entry in entries {
            if queue.count >= limit, let dropped = queue.first {
                removeFirst()
                floorLSN = dropped.lsn + 1
            }
            queue.append(entry)
            byPartition[entry.partition, default: []].append(entry)
        }
    }

    /// Forgets what the file now holds.
    mutating func remove(through lsn: UInt64) {
        while let first = queue.first, first.lsn <= lsn { removeFirst() }
    }

    private mutating func removeFirst() {
        let entry = queue.removeFirst()
        byPartition[entry.partition]?.removeFirst()
        if byPartition[entry.partition]?.isEmpty == true { byPartition[entry.partition] = nil }
    }

    /// Base offset of the oldest batch of a partition in here.
    func firstOffset(of partition: Int) -> Int64? { byPartition[partition]?.first?.baseOffset }

    /// Batches from the one that holds `offset`, or the next after it, on.
    func batches(of partition: Int, from offset: Int64, count: Int) -> [IndexEntry] {
        guard let entries = byPartition[partition] else { return [] }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].endOffset > offset { high = middle } else { low = middle + 1 }
        }
        return Array(entries[low..<min(low + count, entries.count)])
    }

    func firstBatch(of partition: Int, timestampMs: Int64) -> IndexEntry? {
        byPartition[partition]?.first { $0.maxTimestampMs >= timestampMs }
    }
}
