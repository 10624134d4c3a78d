import KafkaProtocol
import NIOCore

/// Reading by offset, for consumers on the site.
extension LaneLog {
    /// Batches of one partition from the one that holds `offset` on, at least one if there is any, base offsets patched
    /// in. Offsets that were lost to corruption are jumped over.
    public func fetch(
        topic: String, partition: Int32, offset: Int64, maxBytes: Int
    ) throws(WALError) -> LocalFetch {
        let name = PartitionName(topic: topic, partition: partition)
        guard let (place, row) = published.place(of: name) else {
            throw .unknownPartition(topic: topic, partition: partition)
        }
        guard offset >= row.logStart, offset <= row.nextOffset else {
            throw .offsetOutOfRange(offset: offset, logStartOffset: row.logStart, highWatermark: row.nextOffset)
        }
        var fetched = LocalFetch(highWatermark: row.nextOffset, logStartOffset: row.logStart)
        guard offset < row.nextOffset else { return fetched }
        let view = published.view
        let entries = try entries(of: name, place: place, from: offset, maxBytes: maxBytes)
        var room = maxBytes
        for entry in entries where entry.baseOffset < row.nextOffset {
            guard fetched.batches.isEmpty || entry.frameBytes <= room else { break }
            guard let batch = try load(entry, of: name, in: view) else { continue }
            fetched.batches.append(batch)
            room -= batch.batch.readableBytes
            if room <= 0 { break }
        }
        return fetched
    }

    /// Offset and timestamp of the first record at or after `timestampMs`; nil when there is none.
    public func offset(
        topic: String, partition: Int32, timestampMs: Int64
    ) throws(WALError) -> (offset: Int64, timestampMs: Int64)? {
        let name = PartitionName(topic: topic, partition: partition)
        guard let (place, row) = published.place(of: name) else {
            throw .unknownPartition(topic: topic, partition: partition)
        }
        let (hole, tailEntry) = indexer.monitor.withLock { work in
            (work.hole, work.tail.firstBatch(of: place, timestampMs: timestampMs))
        }
        let indexed = try indexer.lookUp { store throws(SQLiteConnection.Failure) in
            try store.firstBatch(of: name, place: place, timestampMs: timestampMs)
        }
        if indexed == nil, hole != nil { throw stillIndexing() }
        guard let entry = indexed ?? tailEntry, let batch = try load(entry, of: name, in: published.view) else {
            return nil
        }
        let found = Self.firstRecord(of: batch, timestampMs: timestampMs)
        return (max(found.offset, row.logStart), found.timestampMs)
    }

    private func entries(
        of name: PartitionName, place: Int, from offset: Int64, maxBytes: Int
    ) throws(WALError) -> [IndexEntry] {
        // A page of rows; small requests need few.
        let count = min(1024, max(1, maxBytes / 256))
        let tail = indexer.monitor.withLock { work -> [IndexEntry]? in
            guard let first = work.tail.firstOffset(of: place), first <= offset else { return nil }
            return work.tail.batches(of: place, from: offset, count: count)
        }
        if let tail { return tail }
        let indexed = try indexer.lookUp { store throws(SQLiteConnection.Failure) in
            try store.batches(of: name, place: place, from: offset, count: count)
        }
        if !indexed.isEmpty { return indexed }
        let (hole, rest) = indexer.monitor.withLock { work in
            (work.hole, work.tail.batches(of: place, from: offset, count: count))
        }
        if hole != nil { throw stillIndexing() }
        if !rest.isEmpty { return rest }
        // The rows moved from the list to the file between the two looks.
        return try indexer.lookUp { store throws(SQLiteConnection.Failure) in
            try store.batches(of: name, place: place, from: offset, count: count)
        }
    }

    private func stillIndexing() -> WALError {
        let (indexed, durable) = indexer.monitor.withLock { ($0.indexedThrough, $0.durableLSN) }
        return .indexing(indexedThroughLSN: indexed, durableLSN: durable)
    }

    /// The batch a row points at; nil when its bytes are lost. A row that points at something else condemns the index.
    private func load(
        _ entry: IndexEntry, of name: PartitionName, in view: LogView<LocalFile>
    ) throws(WALError) -> StoredBatch? {
        guard let segment = view.segments.last(where: { $0.sequence == entry.segment }), segment.isReadable
        else { return nil }
        do throws(WALError) {
            let batch = try reader.batch(at: entry, in: segment)
            if batch.topic == name.topic, batch.partition == name.partition, batch.baseOffset == entry.baseOffset {
                return batch
            }
            indexer.distrust()
            throw .index("LSN \(entry.lsn) is a batch of \(batch.topic) \(batch.partition)")
        } catch {
            guard case .corrupt = error else { throw error }
            if published.view.firstLSN > entry.lsn { return nil }
            noteLoss(LSNGap(firstLSN: entry.lsn, lastLSN: entry.lsn))
            return nil
        }
    }

    /// Looks into the batch; where it cannot (another codec), the batch's first offset has to do.
    private static func firstRecord(of batch: StoredBatch, timestampMs: Int64) -> (offset: Int64, timestampMs: Int64) {
        let whole = (offset: batch.baseOffset, timestampMs: batch.header.maxTimestamp)
        guard var records = try? RecordBatchReader(batch.batch) else { return whole }
        while let record = try? records.next() {
            if record.timestampMs >= timestampMs {
                return (batch.baseOffset + Int64(record.offsetDelta), record.timestampMs)
            }
        }
        return whole
    }
}
