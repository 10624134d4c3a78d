/// Name of one topic-partition.
struct PartitionName: Hashable, Sendable {
    var topic: String
    var partition: Int32
}

/// Topic-partitions of a lane with their offsets. A partition keeps its place (`Int`) for the life of the process.
struct PartitionTable: Sendable {
    struct Row: Sendable, Equatable {
        var name: PartitionName
        /// Base offset of the next batch; as seen by readers, the high watermark.
        var nextOffset: Int64 = 0
        /// Offset of the oldest batch that is still on disk.
        var logStart: Int64 = 0
    }

    private(set) var rows: [Row] = []
    private var places: [PartitionName: Int] = [:]

    var count: Int { rows.count }

    func place(of name: PartitionName) -> Int? { places[name] }

    mutating func place(making name: PartitionName) -> Int {
        if let place = places[name] { return place }
        places[name] = rows.count
        rows.append(Row(name: name))
        return rows.count - 1
    }

    subscript(_ place: Int) -> Row {
        get { rows[place] }
        set { rows[place] = newValue }
    }

    /// Undoes `place(making:)` calls since the table had `count` rows.
    mutating func removeRows(from count: Int) {
        while rows.count > count { places[rows.removeLast().name] = nil }
    }
}
