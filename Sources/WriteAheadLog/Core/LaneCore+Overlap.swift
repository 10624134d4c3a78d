import NIOCore

/// One group is written while the next one is built: copying and checksumming take about as long as a fast disk needs.
///
/// Never are two writes under way. `stage` fills a group, `submit` begins its write, `finish` waits for it. Everything
/// staged after a group that fails is taken back with it; then both go the serial way, in order. What has not been
/// finished is not durable: readers, plans and the index see nothing of it.
extension LaneCore {
    /// A group has been submitted and not finished.
    public var isWriting: Bool { writing != nil }

    /// The disk is at work on it, as far as anybody knows: time to stage the next one.
    public var isDiskBusy: Bool { (writing?.writtenBytes ?? 0) > 0 && disk.isWriting }

    /// Bytes in the group that is being filled; 0 when there is none.
    public var stagedBytes: Int { staged?.staging.usedBytes ?? 0 }

    /// Bytes of frames that fit into the group being filled, or into a new one after the group being written. 0 when
    /// another segment, room under the quota or a healthy disk must be had first.
    public var stagingRoomBytes: Int {
        guard unsettled == nil, !mustRotate, !wantsRotation, !isFailing, let active = segments.last else { return 0 }
        let start = staged?.offsetBytes ?? nextGroupOffset
        let room = min(
            active.sizeBytes - configuration.controlReserveBytes, configuration.dataQuotaBytes - closedBytes)
        let whole = min((room - start) / Block.sizeBytes * Block.sizeBytes, configuration.groupBytesMax)
        return max(0, whole - (staged?.staging.usedBytes ?? groupHeadBytes))
    }

    /// Puts the entries into the group to be written next. False, with nothing done, when there is no room: then finish
    /// what is under way and `commit` them. When nothing is under way and only the segment is full, begins another one.
    public mutating func stage(_ entries: [LogEntry]) -> Bool {
        let needed = entries.reduce(0) { $0 + $1.frameBytes }
        if needed > stagingRoomBytes, !makeStagingRoom(needed) { return false }
        if mustFree(for: needed) { return false }
        guard var group = staged.take() ?? makeGroup() else { return false }
        for entry in entries { admit(entry, to: &group) }
        staged = group
        return true
    }

    /// The quota has no room for so much more, and uploaded segments could go: nothing is freed while a group is written.
    private func mustFree(for needed: Int) -> Bool {
        let underWay = (writing?.writtenBytes ?? 0) + (staged?.staging.usedBytes ?? groupHeadBytes)
        return diskBytes + Block.roundedUp(underWay + needed) > configuration.dataQuotaBytes && canFreeOldest
    }

    private mutating func makeStagingRoom(_ needed: Int) -> Bool {
        let bytes = Block.roundedUp(groupHeadBytes + needed)
        guard isIdle, !mustRotate, !isFailing, bytes <= configuration.groupBytesMax else { return false }
        guard case .ready = makeRoom(bytes) else { return false }
        return needed <= stagingRoomBytes
    }

    /// Begins to write what is staged, if anything is.
    public mutating func submit() {
        precondition(writing == nil, "a group is being written already")
        guard var group = staged.take() else { return }
        if !group.isEmpty, let active = segments.last {
            let bytes = finish(group.staging, in: active)
            group.writtenBytes = bytes.count
            do throws(DiskError) {
                try disk.beginWriteAndSync(active.file, bytes, at: group.offsetBytes)
            } catch {
                group.failure = error
            }
        }
        writing = group
    }

    /// Waits until the submitted group is durable: its answers. Should it fail, also the answers of what was staged
    /// behind it, because all of it is then written again, or refused.
    public mutating func finish() -> FinishedGroup {
        committed.removeAll(keepingCapacity: true)
        var finished = FinishedGroup()
        finishWriting(&finished)
        return finished
    }

    /// Finishes the group being written and the one staged.
    mutating func finishAll(_ finished: inout FinishedGroup) {
        finishWriting(&finished)
        submit()
        finishWriting(&finished)
    }

    private mutating func finishWriting(_ finished: inout FinishedGroup) {
        guard let group = writing else { return }
        do throws(DiskError) {
            if let failure = group.failure { throw failure }
            if !group.isEmpty { try disk.finishWriteAndSync() }
        } catch {
            writeAgain(group, error, &finished)
            return
        }
        writing = nil
        keep(group, &finished.outcomes)
    }

    /// Nothing of the group is durable, nor of the one staged behind it.
    private mutating func writeAgain(_ group: StagedGroup, _ error: DiskError, _ finished: inout FinishedGroup) {
        let behind = staged
        (writing, staged) = (nil, nil)
        state.rollBack()
        giveUpSegment(error)
        commitSerially(group.entries[...], attempts: 1, &finished)
        guard let behind else { return }
        commitSerially(behind.entries[...], attempts: 2, &finished)
    }
}
