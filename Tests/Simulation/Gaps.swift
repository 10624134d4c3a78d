import Ledger
import NIOCore
import ObjectStore
import SharedObject

/// What the cloud says is missing: the offsets of each lane that it knows to be lost.
struct Gaps: CustomStringConvertible {
    struct Item {
        var offsets: ClosedRange<Int64>
        /// Of the cloud's partition: what is missing is missing before it.
        var cloudOffset: Int64
        var incarnation: String
        /// Said to be damaged, not given up.
        var isUnreadable: Bool
        /// Neither batches nor bytes are told: what cannot be read is known by its offsets alone.
        var isKnownByOffsets: Bool
        /// The logs that said so.
        var branches: Set<Int>
        /// As it was told.
        var lsns: ClosedRange<UInt64>
    }

    private(set) var items: [Oracle.Local: [Item]] = [:]
    private(set) var countByReason: [String: Int] = [:]

    /// Throws when the ledger's sums are not those of its gaps, or two gaps of one incarnation tell of one record.
    init(_ view: LedgerView, _ store: any ObjectStore, _ authors: Authors) async throws {
        for incarnation in view.site(SimulatedSite.site)?.incarnations ?? [] {
            for (lane, name) in SimulatedSite.laneNames.enumerated() {
                guard let facts = view.lane(SimulatedSite.site, incarnation: incarnation.incarnation, lane: name)
                else { continue }
                try await take(facts, incarnation.incarnation, lane: lane, store, authors)
            }
        }
    }

    private mutating func take(
        _ facts: LaneFacts, _ incarnation: String, lane: Int, _ store: any ObjectStore, _ authors: Authors
    ) async throws {
        let name = SimulatedSite.laneNames[lane]
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
            let key = ObjectKeys.site(
                site: SimulatedSite.site, incarnation: incarnation, lane: name, sequence: adopted.sequence)
            let branches = authors.branches(of: key, try await store.get(key, range: nil))
            for item in adopted.gap.items {
                try take(
                    item,
                    Item(
                        offsets: item.firstLocalOffset...item.lastLocalOffset, cloudOffset: item.cloudOffset,
                        incarnation: incarnation, isUnreadable: reason == .unreadable,
                        isKnownByOffsets: item.batchCount == 0 || item.sizeBytes == 0, branches: branches,
                        lsns: adopted.gap.firstLSN...adopted.gap.lastLSN), lane: lane)
            }
        }
        guard sums == facts.gapTotals else {
            throw SimulationFailure(
                "lane \(name): \(facts.gaps.count) gaps sum up to \(sums), \(facts.gapTotals) is said")
        }
    }

    private mutating func take(_ item: SiteGapItem, _ gap: Item, lane: Int) throws {
        let place = Oracle.Place(topic: item.topic, partition: item.partition)
        let local = Oracle.Local(lane: lane, place: place)
        guard item.recordCount == Int64(gap.offsets.count) else {
            throw SimulationFailure("\(local): a gap of \(gap.offsets) says \(item)")
        }
        let others = items[local]?.filter { $0.incarnation == gap.incarnation } ?? []
        if let other = others.first(where: { $0.offsets.overlaps(gap.offsets) }) {
            // One hole, and a plan ends inside it: which of its LSNs held what nobody knows, so both objects tell of all.
            let isOneHole = other.lsns.upperBound + 1 == gap.lsns.lowerBound && other.offsets == gap.offsets
            guard isOneHole, other.isUnreadable, gap.isUnreadable else {
                throw SimulationFailure("\(local): \(gap) and \(other) are two gaps")
            }
            return
        }
        items[local, default: []].append(gap)
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
