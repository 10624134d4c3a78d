/// What the world knows to be durable, better than any producer: every record that was ever appended, and where.
struct Oracle {
    struct Place: Hashable {
        var topic: String
        var partition: Int32
    }
    struct Written: Equatable {
        var producer: Int
        var value: Int
    }

    /// Every lane counts a partition's offsets for itself.
    struct Local: Hashable {
        var lane: Int
        var place: Place
    }

    private(set) var written: [Local: [Int64: Written]] = [:]

    mutating func stored(_ local: Local, _ offset: Int64, number: Int, _ values: Range<Int>, isNew: Bool) throws {
        for (step, value) in values.enumerated() {
            let record = Written(producer: number, value: value)
            let there = written[local]?[offset + Int64(step)]
            // A batch whose writing had failed may come back with the log; then nobody had been told its offset.
            if let there, isNew || there != record {
                throw SimulationFailure("\(local) \(offset + Int64(step)): \(there) was there, now \(record)")
            }
            written[local, default: [:]][offset + Int64(step)] = record
        }
    }
}

/// What the simulation found wrong, or could not go on with.
struct SimulationFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
