import Ledger
import SharedObject

/// What the cloud says is missing: the offsets of each lane that it knows to be lost.
struct Gaps: CustomStringConvertible {
    struct Item {
        var offsets: ClosedRange<Int64>
        /// Of the cloud's partition: what is missing is missing before it.
        var cloudOffset: Int64
    }

    private(set) var items: [Oracle.Local: [Item]] = [:]
    private(set) var countByReason: [String: Int] = [:]

    /// Throws when the ledger's sums are not those of its gaps, or two gaps tell of one record.
    init(_ view: LedgerView) throws {
        for (lane, name) in SimulatedSite.laneNames.enumerated() {
            let facts = view.lane(SimulatedSite.site, incarnation: SimulatedSite.incarnation, lane: name)
            guard let facts else { continue }
            var sums: [UInt8: SiteGapTotals] = [:]
            for adopted in facts.gaps {
                let totals = adopted.gap.totals
                var sum = sums[adopted.gap.reason] ?? SiteGapTotals()
                sum.gaps += 1
                sum.records += totals.records
                sum.batches += totals.batches
                sum.bytes += totals.bytes
                sums[adopted.gap.reason] = sum
                let reason = ObjectGap.Reason(rawValue: adopted.gap.reason)
                countByReason[reason.map { "\($0)" } ?? "?", default: 0] += 1
                // A block that could not be read three times in a row is given up. It may hold frames of the log's own; no record
                // may be lost that way here, which the verdict would find.
                guard reason != .unreadable || adopted.gap.totals.records == 0 else {
                    throw SimulationFailure("lane \(name): nothing is rotten, and this is said to be lost: \(adopted)")
                }
                for item in adopted.gap.items { try take(item, lane: lane) }
            }
            guard sums == facts.gapTotals else {
                throw SimulationFailure(
                    "lane \(name): \(facts.gaps.count) gaps sum up to \(sums), \(facts.gapTotals) is said")
            }
        }
    }

    private mutating func take(_ item: SiteGapItem, lane: Int) throws {
        let place = Oracle.Place(topic: item.topic, partition: item.partition)
        let local = Oracle.Local(lane: lane, place: place)
        let offsets = item.firstLocalOffset...item.lastLocalOffset
        guard item.recordCount == Int64(offsets.count), item.batchCount > 0, item.sizeBytes > 0 else {
            throw SimulationFailure("\(local): a gap of \(offsets) says \(item)")
        }
        if let other = items[local]?.first(where: { $0.offsets.overlaps(offsets) }) {
            throw SimulationFailure("\(local): \(offsets) and \(other.offsets) are two gaps")
        }
        items[local, default: []].append(Item(offsets: offsets, cloudOffset: item.cloudOffset))
    }

    func holds(_ local: Oracle.Local, _ offset: Int64) -> Bool {
        items[local]?.contains { $0.offsets.contains(offset) } ?? false
    }

    /// Offsets below `offset` that are lost.
    func lost(_ local: Oracle.Local, below offset: Int64) -> Int64 {
        (items[local] ?? []).reduce(0) { sum, item in
            sum + max(0, min(offset, item.offsets.upperBound + 1) - item.offsets.lowerBound)
        }
    }

    var description: String {
        items.map { local, items in
            "\(local.lane) \(local.place.topic)-\(local.place.partition) \(items.map(\.offsets))"
        }
        .sorted().joined(separator: ", ")
    }
}
