/// Rows of the index: what the indexing thread writes and what lookups read. One connection, one lock around it.
final class IndexStore {
    typealias Failure = SQLiteConnection.Failure

    private let connection: SQLiteConnection
    /// Index numbers of partitions by their place in the process's table.
    private var partitionIDs: [Int: Int64] = [:]

    init(_ connection: SQLiteConnection) { self.connection = connection }

    /// Only to look things up in a lane's file; nil when there is none that can be read.
    convenience init?(reading directory: String) {
        let path = directory + "/" + IndexSchema.fileName
        guard let connection = try? SQLiteConnection(path: path, readOnly: true) else { return nil }
        self.init(connection)
    }

    // MARK: Facts

    /// Everything up to here is in the file; 0 in a new one.
    func indexedThrough() throws(Failure) -> UInt64 { UInt64(bitPattern: try meta("indexed_through_lsn") ?? 0) }

    /// Whether the segment indexed last is the one of its number among these; nil when there is none to compare.
    func matches(_ segments: [(sequence: UInt64, salt: UInt64)]) throws(Failure) -> Bool? {
        guard let newest = try newestSegment() else { return nil }
        return segments.first { $0.sequence == newest.sequence }.map { $0.salt == newest.salt }
    }

    /// The segment that was indexed last.
    func newestSegment() throws(Failure) -> IndexGlance.Segment? {
        guard let sequence = try meta("last_segment"), let salt = try meta("last_salt") else { return nil }
        return IndexGlance.Segment(sequence: UInt64(bitPattern: sequence), salt: UInt64(bitPattern: salt))
    }

    /// Whether the file belongs to these segments: the one indexed last is still the same or has been freed.
    func belongs(to segments: [(sequence: UInt64, salt: UInt64)]) throws(Failure) -> Bool {
        try matches(segments) ?? true
    }

    /// Highest end offset per partition among batches of these LSNs, for when they are lost.
    func endOffsets(from first: UInt64 = 0, through last: UInt64 = .max) throws(Failure) -> [(
        name: PartitionName, endOffset: Int64
    )] {
        var found: [(name: PartitionName, endOffset: Int64)] = []
        try connection.run(
            """
            SELECT topic, partition, max(base_offset + record_count)
            FROM batches JOIN partitions ON partition_id = id WHERE lsn BETWEEN ? AND ? GROUP BY id
            """, [.integer(Int64(clamping: first)), .integer(Int64(clamping: last))]
        ) { row in
            let name = PartitionName(topic: row.text(0), partition: Int32(truncatingIfNeeded: row.integer(1)))
            found.append((name, row.integer(2)))
        }
        return found
    }

    /// The last upload recorded: next sequence and LSN, for when the newest segment is lost.
    func lastUpload() throws(Failure) -> UploadedMark? {
        var found: UploadedMark?
        try connection.run("SELECT sequence, last_lsn FROM uploads WHERE uploaded = 1 ORDER BY sequence DESC LIMIT 1") {
            found = UploadedMark(
                sequence: UInt64(bitPattern: $0.integer(0)), lastLSN: UInt64(bitPattern: $0.integer(1)))
        }
        return found
    }

    private func meta(_ key: String) throws(Failure) -> Int64? {
        try connection.integer("SELECT value FROM meta WHERE key = ?", [.text(key)])
    }

    private func set(_ key: String, _ value: UInt64) throws(Failure) {
        try connection.run(
            "INSERT OR REPLACE INTO meta VALUES(?, ?)", [.text(key), .integer(Int64(bitPattern: value))])
    }

    // MARK: Writing

    /// Adds rows in LSN order and moves the mark to `through`, in one transaction.
    func add(
        _ entries: [IndexEntry], through: UInt64, last: (sequence: UInt64, salt: UInt64)?,
        name: (Int) -> PartitionName?
    ) throws(Failure) {
        try connection.transaction { () throws(Failure) in
            let insert = try connection.statement("INSERT OR REPLACE INTO batches VALUES(?, ?, ?, ?, ?, ?, ?, ?)")
            for entry in entries {
                guard let partition = try identifier(of: entry.partition, name: name) else { continue }
                try connection.insert(
                    insert, Int64(bitPattern: entry.lsn),
                    Int64(bitPattern: entry.segment), Int64(entry.offsetBytes), Int64(entry.frameBytes), partition,
                    entry.baseOffset, Int64(entry.recordCount), entry.maxTimestampMs)
            }
            try set("indexed_through_lsn", through)
            try set("indexed_through_check", IndexSchema.check(of: through))
            guard let last else { return }
            try set("last_segment", last.sequence)
            try set("last_salt", last.salt)
        }
    }

    /// Makes the tables of segments, uploads and producers what the lane says, and drops rows of freed segments.
    func replace(_ facts: IndexFacts, name: (Int) -> PartitionName?) throws(Failure) {
        try connection.transaction { () throws(Failure) in
            try connection.execute("DELETE FROM segments")
            for segment in facts.segments {
                try connection.run(
                    "INSERT INTO segments VALUES(?, ?, ?, ?)",
                    [
                        .integer(Int64(bitPattern: segment.sequence)), .integer(Int64(bitPattern: segment.salt)),
                        .integer(Int64(bitPattern: segment.firstLSN)), .integer(Int64(segment.sizeBytes)),
                    ])
            }
            let floor = Int64(bitPattern: facts.firstLSN)
            try connection.run("DELETE FROM batches WHERE lsn < ?", [.integer(floor)])
            try connection.run(
                """
                DELETE FROM uploads
                WHERE last_lsn < ? AND uploaded = 1 AND sequence < (SELECT max(sequence) FROM uploads)
                """,
                [.integer(floor)])
            guard let producers = facts.producers else { return }
            try connection.execute("DELETE FROM producers")
            for producer in producers {
                guard let partition = try identifier(of: producer.partition, name: name) else { continue }
                try connection.run(
                    "INSERT INTO producers VALUES(?, ?, ?, ?)",
                    [
                        .integer(partition), .integer(producer.producerID),
                        .integer(Int64(bitPattern: producer.lastLSN)), .blob(producer.sequences),
                    ])
            }
            try set("producers_as_of_lsn", facts.durableLSN)
        }
    }

    func record(_ plan: UploadPlan, isUploaded: Bool) throws(Failure) {
        try connection.run(
            "INSERT OR REPLACE INTO uploads VALUES(?, ?, ?, ?)",
            [
                .integer(Int64(bitPattern: plan.sequence)), .integer(Int64(bitPattern: plan.firstLSN)),
                .integer(Int64(bitPattern: plan.lastLSN)), .integer(isUploaded ? 1 : 0),
            ])
    }

    private func identifier(of place: Int, name: (Int) -> PartitionName?) throws(Failure) -> Int64? {
        if let known = partitionIDs[place] { return known }
        guard let name = name(place) else { return nil }
        let values: [SQLiteConnection.Value] = [.text(name.topic), .integer(Int64(name.partition))]
        try connection.run("INSERT OR IGNORE INTO partitions(topic, partition) VALUES(?, ?)", values)
        let found = try connection.integer("SELECT id FROM partitions WHERE topic = ? AND partition = ?", values)
        partitionIDs[place] = found
        return found
    }

    /// A transaction that was rolled back may have made the numbers remembered here.
    func forgetPartitions() { partitionIDs = [:] }

    // MARK: Lookups

    /// Batches of one partition from the one that holds `offset`, or the next after it, on.
    func batches(
        of name: PartitionName, place: Int, from offset: Int64, count: Int
    ) throws(Failure) -> [IndexEntry] {
        guard let partition = try identifierIfKnown(of: name) else { return [] }
        var found: [IndexEntry] = []
        try connection.run(
            """
            SELECT lsn, segment, position, length, base_offset, record_count, max_timestamp_ms FROM batches
            WHERE partition_id = ?1 AND base_offset >= coalesce(
                (SELECT max(base_offset) FROM batches WHERE partition_id = ?1 AND base_offset <= ?2), ?2)
            ORDER BY base_offset LIMIT ?3
            """, [.integer(partition), .integer(offset), .integer(Int64(count))]
        ) { found.append(IndexEntry($0, partition: place)) }
        return found.filter { $0.endOffset > offset }
    }

    /// The first batch of a partition with a record at or after `timestampMs`.
    func firstBatch(of name: PartitionName, place: Int, timestampMs: Int64) throws(Failure) -> IndexEntry? {
        guard let partition = try identifierIfKnown(of: name) else { return nil }
        var found: IndexEntry?
        try connection.run(
            """
            SELECT lsn, segment, position, length, base_offset, record_count, max_timestamp_ms FROM batches
            WHERE partition_id = ?1 AND base_offset = (
                SELECT base_offset FROM batches WHERE partition_id = ?1 AND max_timestamp_ms >= ?2
                ORDER BY base_offset LIMIT 1)
            """, [.integer(partition), .integer(timestampMs)]
        ) { found = IndexEntry($0, partition: place) }
        return found
    }

    private func identifierIfKnown(of name: PartitionName) throws(Failure) -> Int64? {
        try connection.integer(
            "SELECT id FROM partitions WHERE topic = ? AND partition = ?",
            [.text(name.topic), .integer(Int64(name.partition))])
    }
}

/// Slow-moving facts mirrored into the index for inspection and for losses of the newest segment.
struct IndexFacts: Sendable {
    struct Segment: Sendable {
        var sequence: UInt64
        var salt: UInt64
        var firstLSN: UInt64
        var sizeBytes: Int
    }
    struct Producer: Sendable {
        var partition: Int
        var producerID: Int64
        var lastLSN: UInt64
        var sequences: [UInt8]
    }

    var segments: [Segment]
    var firstLSN: UInt64
    var durableLSN: UInt64
    /// Nil to leave the table as it is.
    var producers: [Producer]?
}

extension IndexEntry {
    fileprivate init(_ row: SQLiteConnection.Row, partition: Int) {
        self.init(
            lsn: UInt64(bitPattern: row.integer(0)), segment: UInt64(bitPattern: row.integer(1)),
            offsetBytes: Int(row.integer(2)), frameBytes: Int(row.integer(3)), partition: partition,
            baseOffset: row.integer(4), recordCount: UInt32(truncatingIfNeeded: row.integer(5)),
            maxTimestampMs: row.integer(6))
    }
}
