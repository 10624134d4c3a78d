extension Array {
    /// Where segments were given up, those before them end as they did when their files were there. A write that failed there may
    /// have left frames, which the LSNs of the next segment had declared dead.
    mutating func cutBeforeDropped<File>(_ gaps: GapLedger) where Element == LiveSegment<File> {
        for (place, next) in zip(indices, dropFirst()) where self[place].sequence + 1 < next.sequence {
            var cut = next.firstLSN
            while let gap = gaps.gap(holding: cut - 1), gap.firstLSN > self[place].firstLSN { cut = gap.firstLSN }
            if cut < next.firstLSN { self[place].cutLSN = cut }
        }
    }

    /// The state of a lane as the newest checkpoint that can be read tells it, and the frames behind that; empty where there is none.
    func newestState<D: Disk>(_ disk: D) -> LaneState where Element == LiveSegment<D.File> {
        let newest = newestCheckpoint(disk)
        var state = newest?.state ?? LaneState(producersMax: .max / 32, partitionsMax: .max)
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        let readable = self[(newest?.place ?? 0)...].filter(\.isReadable)
        for (step, segment) in readable.enumerated() {
            let limit = step + 1 < readable.count ? readable[step + 1].firstLSN : .max
            var scan = SegmentScan(
                window: window, segment: segment, endBytes: segment.sizeBytes, expectedLSN: segment.firstLSN,
                limitLSN: limit)
            while let item = try? scan.next() {
                if case .frame(let frame) = item { state.apply(frame) }
            }
        }
        return state
    }

    private func newestCheckpoint<D: Disk>(_ disk: D) -> (state: LaneState, place: Int)?
    where Element == LiveSegment<D.File> {
        for place in indices.reversed() where self[place].isReadable {
            let state =
                Self.checkpoint(self[place], disk) ?? self[place].ofHeadCopy.flatMap { Self.checkpoint($0, disk) }
            if let state { return (state, place) }
        }
        return nil
    }

    private static func checkpoint<D: Disk>(_ segment: LiveSegment<D.File>, _ disk: D) -> LaneState?
    where Element == LiveSegment<D.File> {
        segment.checkpointFrame(disk).flatMap {
            Checkpoint.decode($0.payload, producersMax: .max / 32, partitionsMax: .max)
        }
    }
}
