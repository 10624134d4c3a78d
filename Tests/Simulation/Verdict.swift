/// Holds what was delivered against what was sent.
struct Verdict {
    let oracle: Oracle
    let producers: [SimulatedProducer]
    let consumer: SimulatedConsumer
    let delivery: Delivery
    let gaps: Gaps
    let losses: Losses

    /// Throws the first thing that is wrong.
    func check() throws {
        for (place, values) in consumer.seen {
            guard delivery.partitions[place]?.map(\.text).starts(with: values) == true else {
                throw SimulationFailure("\(place): what a consumer had read is no longer so")
            }
        }
        let lines = (0..<oracle.branchCount).map { oracle.line($0) }
        let rotten = losses.rotten(oracle)
        if let twice = oracle.repeated.subtracting(rotten).first {
            throw SimulationFailure("\(twice) was appended twice, and nothing had happened to it")
        }
        try checkOrigins(lines)
        let told = try checkedGaps(lines)
        let found = Set(delivery.partitions.values.joined().lazy.compactMap { Oracle.Written(text: $0.text) })
        // Where all objects bear one name there is one log, and the cloud's offsets are its own.
        if oracle.branchCount == 1, delivery.incarnations.count <= 1, told.isDisjoint(with: found) {
            let isShared = Dictionary(grouping: producers, by: \.topic).mapValues { Set($0.map(\.lane)).count > 1 }
            for (local, written) in lines[0] where isShared[local.place.topic] == false {
                try checkOffsets(local, written)
            }
        }
        for producer in producers { try check(producer, told: told) }
    }

    /// A topic of one lane has in the cloud the offsets that the gateway gave, less what gaps before them hold; and each gap
    /// says where that is.
    private func checkOffsets(_ local: Oracle.Local, _ written: [Int64: Oracle.Written]) throws {
        let place = local.place
        let values = delivery.partitions[place] ?? []
        for (offset, record) in written.sorted(by: { $0.key < $1.key }) {
            if gaps.holds(local, offset) { continue }
            let localOffset = offset
            let offset = offset - gaps.lost(local, below: offset)
            guard offset < values.count, values[Int(offset)].text == record.text else {
                let found = offset < values.count ? values[Int(offset)].text : "nothing"
                throw SimulationFailure(
                    "\(place) \(localOffset): \(record.text) was durable there, \(found) was delivered at \(offset)")
            }
        }
        for item in gaps.items[local] ?? [] {
            let expected = item.offsets.lowerBound - gaps.lost(local, below: item.offsets.lowerBound)
            guard item.cloudOffset == expected else {
                throw SimulationFailure("\(local): \(item) is missing before \(expected)")
            }
        }
    }

    /// Whatever an object holds was in the log that it was made from, and within one name the log's order is kept.
    private func checkOrigins(_ lines: [[Oracle.Local: [Int64: Oracle.Written]]]) throws {
        var offsets: [[Oracle.Local: [String: Int64]]] = []
        for line in lines {
            offsets.append(
                line.mapValues { records in
                    Dictionary(records.map { ($0.value.text, $0.key) }, uniquingKeysWith: max)
                })
        }
        for (place, items) in delivery.partitions {
            var last: [String: Int64] = [:]
            for item in items {
                let local = Oracle.Local(lane: item.object.lane, place: place)
                let found = item.object.branches.sorted().lazy.compactMap { offsets[$0][local]?[item.text] }.first
                guard let found else {
                    // Nobody was told that it is durable.
                    guard let record = Oracle.Written(text: item.text),
                        mayBeThere(record)
                            || item.object.branches.contains(where: { oracle.mayHold(record, branch: $0) })
                    else {
                        throw SimulationFailure(
                            "\(place): \(item.text) is in an object of \(item.object), whose log never held it")
                    }
                    continue
                }
                let name = "\(item.object.incarnation)/\(item.object.lane)"
                guard found > last[name] ?? -1 else {
                    throw SimulationFailure(
                        "\(place): \(item.text), \(found) on the site, comes after \(last[name] ?? -1)")
                }
                last[name] = found
            }
        }
    }

    private func mayBeThere(_ record: Oracle.Written) -> Bool {
        producers.first { $0.number == record.producer }?.mayBeThere(record.value) ?? false
    }

    /// All that is told to be missing. What is told to be damaged is damaged.
    private func checkedGaps(_ lines: [[Oracle.Local: [Int64: Oracle.Written]]]) throws -> Set<Oracle.Written> {
        var told: Set<Oracle.Written> = []
        let rotten = losses.rotten(oracle)
        for (local, items) in gaps.items {
            for item in items {
                guard let branch = item.branches.min() else {
                    throw SimulationFailure("\(local): nobody has told of \(item)")
                }
                let records = (lines[branch][local] ?? [:]).filter { item.offsets.contains($0.key) }.values
                if item.isUnreadable || item.isKnownByOffsets,
                    let whole = records.first(where: { !rotten.contains($0) })
                {
                    throw SimulationFailure("\(local): \(whole) is told to be damaged, and nothing happened to it")
                }
                told.formUnion(records)
            }
        }
        return told
    }

    /// Everything durable is delivered once and in order; what was not is there at most once, and nothing else is.
    private func check(_ producer: SimulatedProducer, told: Set<Oracle.Written>) throws {
        let prefix = "\(producer.number):"
        let items = (delivery.partitions[producer.place] ?? []).filter { $0.text.hasPrefix(prefix) }
        let delivered = try items.map { item in
            guard let record = Oracle.Written(text: item.text) else {
                throw SimulationFailure("delivered \(item.text)")
            }
            return record
        }
        let name = "producer \(producer.number)"
        var counts: [Oracle.Written: Int] = [:]
        for record in delivered { counts[record, default: 0] += 1 }
        let doubled = counts.filter { $0.value > 1 + (losses.again[$0.key] ?? 0) }.keys.map(\.value).sorted()
        guard doubled.isEmpty else { throw SimulationFailure("\(name): delivered twice \(doubled)") }
        for (incarnation, places) in Dictionary(grouping: items.indices, by: { items[$0].object.incarnation }) {
            let values = places.map { delivered[$0].value }
            guard zip(values, values.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw SimulationFailure("\(name): out of order under \(incarnation.prefix(4)) \(values)")
            }
        }
        let durable = Set(oracle.everything.lazy.map(\.record).filter { $0.producer == producer.number })
        let (found, told) = (Set(counts.keys), told.filter { $0.producer == producer.number })
        let lost = durable.subtracting(found).subtracting(told).subtracting(losses.withDisks)
        guard lost.isEmpty else { throw SimulationFailure("\(name): durable and lost \(lost.map(\.value).sorted())") }
        // What was lost was sent once more; or it was in the store before it was damaged.
        let both = told.intersection(found).subtracting(losses.onTwoDisks).subtracting(oracle.repeated)
            .subtracting(losses.rotten(oracle))
        guard both.isEmpty else {
            throw SimulationFailure("\(name): both delivered and in a gap \(both.map(\.value).sorted())")
        }
        let strange = found.subtracting(durable).filter { !producer.mayBeThere($0.value) }
        guard strange.isEmpty else {
            throw SimulationFailure("\(name): delivered, and refused or never sent \(strange.map(\.value).sorted())")
        }
    }
}
