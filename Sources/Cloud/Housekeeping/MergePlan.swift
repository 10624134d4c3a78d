import Ledger

/// Small extents next to each other that become one: facts in, stretches out.
///
/// Extents that hold their offsets and extents that do not are never mixed: which of a compacted topic are clean can still be
/// told after a change of its policy. Markers go with either.
struct MergePlan {
    struct Rules: Equatable {
        var afterMs: Int64
        var countMin: Int
        var belowBytes: Int64
        var runBytes: Int64
        /// Between the oldest and the newest commit of a stretch: what is merged expires together.
        var spanMsMax: Int64
        var nowMs: Int64
    }

    /// Extents of one kind, next to each other.
    struct Stretch: Equatable {
        var extents: [Extent]
        var holdsOffsets: Bool
        var bytes: Int64 { extents.reduce(0) { $0 + $1.lengthBytes } }
    }

    let rules: Rules

    /// In the order of their offsets.
    func stretches(_ extents: [Extent]) -> [Stretch] {
        var found: [Stretch] = []
        var open: [Extent] = []
        func close() {
            if let stretch = worthwhile(open) { found.append(stretch) }
            open = []
        }
        for extent in extents {
            guard isCandidate(extent) else {
                close()
                continue
            }
            if !fits(extent, open) { close() }
            open.append(extent)
        }
        close()
        return found
    }

    private func isCandidate(_ extent: Extent) -> Bool {
        !extent.isInLog && extent.lengthBytes < rules.belowBytes && rules.nowMs - extent.committedMs >= rules.afterMs
    }

    private func fits(_ extent: Extent, _ open: [Extent]) -> Bool {
        guard let first = open.first else { return true }
        let bytes = open.reduce(extent.lengthBytes) { $0 + $1.lengthBytes }
        guard bytes <= rules.runBytes, abs(extent.committedMs - first.committedMs) <= rules.spanMsMax else {
            return false
        }
        guard !extent.isMarker, let kind = open.first(where: { !$0.isMarker })?.source else { return true }
        return kind == extent.source
    }

    /// A large one at the front is not written again for the sake of a few small ones: it would be, each time some more came.
    private func worthwhile(_ open: [Extent]) -> Stretch? {
        var extents = open[...]
        var bytes = open.reduce(Int64(0)) { $0 + $1.lengthBytes }
        while let first = extents.first, first.lengthBytes * 2 > bytes {
            bytes -= first.lengthBytes
            extents.removeFirst()
        }
        guard extents.count >= max(2, rules.countMin) else { return nil }
        // Markers alone, a log of empty transactions, become plain batches.
        return Stretch(extents: Array(extents), holdsOffsets: extents.contains { $0.source == .objectWithOffsets })
    }
}
