/// What one segment holds, by place in the partition table; kept while it is written, so that dropping it need not read it.
struct SegmentTally: Sendable {
    struct Row: Sendable {
        var firstOffset: Int64
        var endOffset: Int64
        var batchCount: Int64 = 0
        var sizeBytes: Int64 = 0
        var firstWallMs: Int64
        var lastWallMs: Int64
    }

    private(set) var rows: [Int: Row] = [:]

    mutating func add(partition: Int, baseOffset: Int64, endOffset: Int64, sizeBytes: Int, wallMs: Int64) {
        var row =
            rows[partition]
            ?? Row(firstOffset: baseOffset, endOffset: endOffset, firstWallMs: wallMs, lastWallMs: wallMs)
        row.endOffset = endOffset
        row.batchCount += 1
        row.sizeBytes += Int64(sizeBytes)
        row.firstWallMs = min(row.firstWallMs, wallMs)
        row.lastWallMs = max(row.lastWallMs, wallMs)
        rows[partition] = row
    }

    func gaps(_ name: (Int) -> PartitionName) -> [PartitionGap] {
        rows.map { place, row in
            let name = name(place)
            return PartitionGap(
                topic: name.topic, partition: name.partition, firstOffset: row.firstOffset,
                lastOffset: row.endOffset - 1, recordCount: row.endOffset - row.firstOffset,
                batchCount: row.batchCount, sizeBytes: row.sizeBytes, firstWallMs: row.firstWallMs,
                lastWallMs: row.lastWallMs)
        }.sorted(by: PartitionGap.precedes)
    }
}

/// Tallies of the segments begun in this process, bounded over all of them; a segment without one is read when it is dropped.
struct SegmentTallies: Sendable {
    private var all: [UInt64: SegmentTally] = [:]
    private var rowCount = 0
    static let rowsMax = 1 << 16

    mutating func begin(_ sequence: UInt64) {
        if rowCount < Self.rowsMax { all[sequence] = SegmentTally() }
    }

    mutating func add(
        _ sequence: UInt64, partition: Int, baseOffset: Int64, endOffset: Int64, sizeBytes: Int, wallMs: Int64
    ) {
        guard let before = all[sequence]?.rows.count else { return }
        all[sequence]?.add(
            partition: partition, baseOffset: baseOffset, endOffset: endOffset, sizeBytes: sizeBytes, wallMs: wallMs)
        rowCount += (all[sequence]?.rows.count ?? 0) - before
        if rowCount > Self.rowsMax { forget(sequence) }
    }

    mutating func forget(_ sequence: UInt64) {
        rowCount -= all.removeValue(forKey: sequence)?.rows.count ?? 0
    }

    subscript(_ sequence: UInt64) -> SegmentTally? { all[sequence] }
}
