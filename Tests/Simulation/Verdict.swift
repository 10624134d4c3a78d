/// Holds what was delivered against what was sent.
struct Verdict {
    let oracle: Oracle
    let producers: [SimulatedProducer]
    let consumer: SimulatedConsumer
    let delivery: Delivery
    let gaps: Gaps

    /// Throws the first thing that is wrong.
    func check() throws {
        for (place, values) in consumer.seen {
            guard delivery.partitions[place]?.starts(with: values) == true else {
                throw SimulationFailure("\(place): what a consumer had read is no longer so")
            }
        }
        let isShared = Dictionary(grouping: producers, by: \.topic).mapValues { Set($0.map(\.lane)).count > 1 }
        for (local, written) in oracle.written where isShared[local.place.topic] == false {
            try checkOffsets(local, written)
        }
        for producer in producers { try check(producer) }
    }

    /// A topic of one lane has in the cloud the offsets that the gateway gave, less what gaps before them hold; and each gap
    /// says where that is.
    private func checkOffsets(_ local: Oracle.Local, _ written: [Int64: Oracle.Written]) throws {
        let place = local.place
        let values = delivery.partitions[place] ?? []
        for (offset, record) in written.sorted(by: { $0.key < $1.key }) {
            if gaps.holds(local, offset) { continue }
            let expected = "\(record.producer):\(record.value)"
            let localOffset = offset
            let offset = offset - gaps.lost(local, below: offset)
            guard offset < values.count, values[Int(offset)] == expected else {
                let found = offset < values.count ? values[Int(offset)] : "nothing"
                throw SimulationFailure(
                    "\(place) \(localOffset): \(expected) was durable there, \(found) was delivered at \(offset)")
            }
        }
        for item in gaps.items[local] ?? [] {
            let expected = item.offsets.lowerBound - gaps.lost(local, below: item.offsets.lowerBound)
            guard item.cloudOffset == expected else {
                throw SimulationFailure("\(local): \(item) is missing before \(expected)")
            }
        }
    }

    /// Everything durable is delivered once and in order; what was not is there at most once, and nothing else is.
    private func check(_ producer: SimulatedProducer) throws {
        let prefix = "\(producer.number):"
        let delivered = try (delivery.partitions[producer.place] ?? []).filter { $0.hasPrefix(prefix) }.map { text in
            guard let value = Int(text.dropFirst(prefix.count)) else { throw SimulationFailure("delivered \(text)") }
            return value
        }
        let name = "producer \(producer.number)"
        let found = Set(delivered)
        guard found.count == delivered.count else {
            throw SimulationFailure("\(name): delivered twice \(delivered.doubled)")
        }
        guard delivered == delivered.sorted() else { throw SimulationFailure("\(name): out of order \(delivered)") }
        let written = (oracle.written[producer.local] ?? [:]).filter { $0.value.producer == producer.number }
        let durable = Set(written.values.map(\.value))
        let told = Set(written.filter { gaps.holds(producer.local, $0.key) }.values.map(\.value))
        guard durable.isSubset(of: found.union(told)) else {
            throw SimulationFailure(
                "\(name): durable and lost \(durable.subtracting(found).subtracting(told).sorted())")
        }
        guard told.isDisjoint(with: found) else {
            throw SimulationFailure("\(name): both delivered and in a gap \(told.intersection(found).sorted())")
        }
        let strange = found.subtracting(durable).filter { !producer.mayBeThere($0) }
        guard strange.isEmpty else {
            throw SimulationFailure("\(name): delivered, and refused or never sent \(strange.sorted())")
        }
    }
}

extension [Int] {
    fileprivate var doubled: [Int] { Dictionary(grouping: self) { $0 }.filter { $0.value.count > 1 }.keys.sorted() }
}
