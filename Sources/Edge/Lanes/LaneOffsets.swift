import WriteAheadLog

/// The offsets that a partition can be read at: from `start` up to, not including, `end`.
struct PartitionOffsets: Equatable {
    var start: Int64 = 0
    var end: Int64 = 0
}

extension Lane {
    /// From memory, without touching the disk. A partition without records begins and ends at 0.
    func offsets(of partition: TopicPartition) -> PartitionOffsets {
        do throws(WALError) {
            // No offset is below 0, so the log answers with its range before it looks for anything.
            let fetched = try log.fetch(topic: partition.topic, partition: partition.partition, offset: -1, maxBytes: 0)
            return PartitionOffsets(start: fetched.logStartOffset, end: fetched.highWatermark)
        } catch {
            guard case .offsetOutOfRange(_, let start, let end) = error else { return PartitionOffsets() }
            return PartitionOffsets(start: start, end: end)
        }
    }

    /// The largest timestamp of the partition and the first record that has it. Blocks on reads.
    ///
    /// The index finds the first record at or after a time, so the largest time is found by halving what is left of time:
    /// about sixty look-ups, for a question that hardly anybody asks.
    func maxTimestamp(of partition: TopicPartition) throws(WALError) -> (offset: Int64, timestampMs: Int64)? {
        guard var best = try firstRecord(of: partition, timestampMs: 0) else { return nil }
        var above = Int64.max
        while best.timestampMs < above {
            let middle = best.timestampMs + (above - best.timestampMs) / 2 + 1
            guard middle > best.timestampMs, middle <= above else { break }
            if let later = try firstRecord(of: partition, timestampMs: middle) {
                best = later
            } else {
                above = middle - 1
            }
        }
        return best
    }

    /// The first record at or after a time. Blocks on reads.
    func firstRecord(
        of partition: TopicPartition, timestampMs: Int64
    ) throws(WALError) -> (offset: Int64, timestampMs: Int64)? {
        try log.offset(topic: partition.topic, partition: partition.partition, timestampMs: timestampMs)
    }
}
