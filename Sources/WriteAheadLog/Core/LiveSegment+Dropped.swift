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

    /// Gaps that are recorded, by the newest checkpoint that can be read and the frames behind it.
    func recordedGaps<D: Disk>(_ disk: D) -> GapLedger where Element == LiveSegment<D.File> {
        let newest = newestCheckpoint(disk)
        var state = newest?.state ?? LaneState(producersMax: .max / 32, partitionsMax: .max)
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = true
        for segment in self[(newest?.place ?? 0)...] where segment.isReadable {
            var scan = SegmentScan(window: window, segment: segment, endBytes: segment.sizeBytes, expectedLSN: nil)
            while let item = try? scan.next() {
                if case .frame(let frame) = item { state.apply(frame) }
            }
        }
        return state.gaps
    }

    /// State of the newest checkpoint that can be read, and the place of its segment.
    func newestCheckpoint<D: Disk>(_ disk: D) -> (state: LaneState, place: Int)?
    where Element == LiveSegment<D.File> {
        for place in indices.reversed() where self[place].isReadable {
            for case let frame? in [self[place].headFrame(disk), self[place].ofHeadCopy?.headFrame(disk)]
            where frame.header.kind == .checkpoint {
                let state = Checkpoint.decode(frame.payload, producersMax: .max / 32, partitionsMax: .max)
                if let state { return (state, place) }
            }
        }
        return nil
    }
}
