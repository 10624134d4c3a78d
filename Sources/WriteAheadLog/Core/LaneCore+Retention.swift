extension LaneCore {
    /// Frees segments that are uploaded and past local retention, oldest first.
    mutating func freeUploaded() {
        while freeOldest(ignoringRetention: false) != nil {}
        finishFreeing()
    }

    /// Everything in the oldest segment is uploaded, and it is not the newest.
    var canFreeOldest: Bool {
        unsettled == nil && !needsCheckpoint && segments.count > 1 && segments[1].firstLSN - 1 <= state.uploadedThrough
    }

    /// Frees the oldest segment if everything in it is uploaded; the bytes it took, or nil. `finishFreeing` must follow.
    mutating func freeOldest(ignoringRetention: Bool) -> Int? {
        guard canFreeOldest else { return nil }
        let oldest = segments[0]
        guard ignoringRetention || isPastRetention(oldest) else { return nil }
        do throws(DiskError) {
            try retire(oldest)
        } catch {
            note(error)
            return nil
        }
        segments.removeFirst()
        freedCount += 1
        return oldest.sizeBytes
    }

    /// One directory sync for all that was freed. Their files are used again only when the old names are gone for sure;
    /// otherwise they stay aside until the next start.
    mutating func finishFreeing() {
        guard freedCount > 0 else { return }
        freedCount = 0
        do throws(DiskError) {
            try disk.syncDirectory()
            spares.insert(contentsOf: freed.reversed(), at: 0)
        } catch {
            note(error)
        }
        freed = []
        keepHeadAtLast()
        segmentsChanged()
        moveLogStarts()
        state.gaps.forget(before: segments.first?.firstLSN ?? 0)
    }

    private func isPastRetention(_ segment: LiveSegment<D.File>) -> Bool {
        let retention = configuration.localRetention
        let age = Duration.nanoseconds(Int64(clamping: clockNs - min(clockNs, segment.closedAtNs)))
        guard age >= retention.keepAge else { return false }
        let uploaded = state.uploadedThrough
        let kept = zip(segments.dropFirst(), segments.dropFirst(2)).reduce(0) { sum, pair in
            pair.1.firstLSN - 1 <= uploaded ? sum + pair.0.sizeBytes : sum
        }
        return kept >= retention.keepBytes
    }

    /// Renames the file to a spare, or removes it.
    mutating func retire(_ segment: LiveSegment<D.File>) throws(DiskError) {
        try keepHead(before: segment)
        let name = SegmentName.live(segment.sequence)
        let isReusable =
            segment.isReadable && segment.sizeBytes == configuration.segmentSizeBytes
            && (!seals || segment.keys != nil)  // A file with plain text does not become one that should hold none.
        let spare =
            isReusable && spares.count + freed.count < configuration.spareSegmentsMax
            ? SegmentName.spare(segment.sequence) : nil
        if let spare { try disk.rename(name, to: spare) } else { try disk.remove(name) }
        if let spare { freed.append(spare) }
        // Should it stay, the next start removes it.
        if segment.headCopy != nil { try? disk.remove(SegmentName.head(segment.sequence)) }
        tallies.forget(segment.sequence)
    }

    /// What the oldest segment's checkpoint says comes next is the oldest that is still here.
    mutating func moveLogStarts() {
        state.gaps.idle = nil
        guard let oldest = segments.first, oldest.isReadable, let checkpoint = readCheckpoint(oldest) else { return }
        if checkpoint.lastBatchLSN + 1 < oldest.firstLSN {
            state.gaps.idle = LSNGap(firstLSN: checkpoint.lastBatchLSN + 1, lastLSN: oldest.firstLSN - 1)
        }
        for row in checkpoint.partitions.rows {
            guard let place = state.partitions.place(of: row.name) else { continue }
            let start = min(max(row.nextOffset, state.partitions[place].logStart), state.partitions[place].nextOffset)
            state.partitions[place].logStart = start
        }
    }
}
