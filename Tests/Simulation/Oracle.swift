/// What the world knows to be durable, better than any producer: every record that was ever appended, and where.
///
/// A log that was set back, or copied, branches: what it held then it has in common with the log it comes from, and goes on
/// by itself.
struct Oracle {
    struct Place: Hashable {
        var topic: String
        var partition: Int32
    }
    struct Written: Hashable {
        var producer: Int
        var value: Int

        /// As a record's value begins.
        var text: String { "\(producer):\(value)" }
    }

    /// Every lane counts a partition's offsets for itself.
    struct Local: Hashable {
        var lane: Int
        var place: Place
    }

    private struct Branch {
        var parent: Int?
        /// Offsets below these are the parent's.
        var ends: [Local: Int64] = [:]
        var written: [Local: [Int64: Written]] = [:]
        /// What may have been on the disk when it was copied, though nobody had been told.
        var unsure: Set<Written> = []
    }

    private var branches = [Branch()]
    /// Records that were appended a second time: the log had lost the first.
    private(set) var repeated: Set<Written> = []
    private var known: Set<Written> = []

    var branchCount: Int { branches.count }

    /// A log that goes on from a copy of `parent`, taken when its partitions ended so.
    mutating func branch(from parent: Int, ends: [Local: Int64], unsure: Set<Written>) -> Int {
        branches.append(Branch(parent: parent, ends: ends, unsure: unsure))
        return branches.count - 1
    }

    mutating func stored(
        _ local: Local, branch: Int, _ offset: Int64, number: Int, _ values: Range<Int>, isNew: Bool
    ) throws {
        for (step, value) in values.enumerated() {
            let record = Written(producer: number, value: value)
            let there = self.record(local, branch: branch, offset + Int64(step))
            // A batch whose writing had failed may come back with the log; then nobody had been told its offset.
            if let there, isNew || there != record {
                throw SimulationFailure("\(local) \(offset + Int64(step)): \(there) was there, now \(record)")
            }
            guard there == nil else { continue }
            branches[branch].written[local, default: [:]][offset + Int64(step)] = record
            if !known.insert(record).inserted { repeated.insert(record) }
        }
    }

    /// What a log holds at an offset.
    func record(_ local: Local, branch: Int, _ offset: Int64) -> Written? {
        if let own = branches[branch].written[local]?[offset] { return own }
        guard let parent = branches[branch].parent, offset < branches[branch].ends[local] ?? 0 else { return nil }
        return record(local, branch: parent, offset)
    }

    /// Whether a log may hold a record of which nobody was told.
    func mayHold(_ record: Written, branch: Int) -> Bool {
        branches[branch].unsure.contains(record)
            || (branches[branch].parent.map { mayHold(record, branch: $0) } ?? false)
    }

    /// All that a log has ever held, by offset.
    func line(_ branch: Int) -> [Local: [Int64: Written]] {
        var line: [Local: [Int64: Written]] = [:]
        if let parent = branches[branch].parent {
            for (local, records) in self.line(parent) {
                let end = branches[branch].ends[local] ?? 0
                line[local] = records.filter { $0.key < end }
            }
        }
        for (local, records) in branches[branch].written {
            line[local, default: [:]].merge(records) { _, own in own }
        }
        return line
    }

    /// Where each record of all logs was written.
    var everything: [(local: Local, record: Written)] {
        branches.flatMap { branch in
            branch.written.flatMap { local, records in records.values.map { (local, $0) } }
        }
    }
}

/// What the simulation found wrong, or could not go on with.
struct SimulationFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
