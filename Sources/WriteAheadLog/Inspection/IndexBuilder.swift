import KafkaProtocol
import NIOCore

/// Fills a new index file from frames in LSN order.
struct IndexBuilder {
    private let store: IndexStore
    private var partitions = PartitionTable()
    private var entries: [IndexEntry] = []
    private var last: (sequence: UInt64, salt: UInt64)?
    private(set) var lastLSN: UInt64 = 0
    private(set) var batchCount = 0

    init(directory: String) throws(SQLiteConnection.Failure) {
        let path = directory + "/" + IndexSchema.fileName
        IndexSchema.putAside(path)
        store = IndexStore(try IndexSchema.begin(path))
    }

    mutating func add(_ frame: SegmentScan<LocalDisk>.Frame, segment: UInt64, salt: UInt64) throws(WALError) {
        lastLSN = frame.header.lsn
        last = (segment, salt)
        guard frame.header.kind == .batch,
            let header = try? RecordBatchHeader(reading: frame.payload, at: frame.payload.readerIndex)
        else { return }
        let place = partitions.place(making: PartitionName(topic: frame.topic, partition: frame.header.partition))
        entries.append(
            IndexEntry(
                lsn: frame.header.lsn, segment: segment, offsetBytes: frame.offset,
                frameBytes: frame.header.frameBytes, partition: place, baseOffset: frame.header.baseOffset,
                recordCount: frame.header.recordCount, maxTimestampMs: header.maxTimestamp))
        batchCount += 1
        if entries.count >= LaneIndexer.flushCount { try finish() }
    }

    /// Writes what has been gathered.
    mutating func finish() throws(WALError) {
        do throws(SQLiteConnection.Failure) {
            try store.add(entries, through: lastLSN, last: last) { [partitions] in partitions[$0].name }
        } catch {
            throw .index(error.message)
        }
        entries.removeAll(keepingCapacity: true)
    }
}
