import NIOCore

/// Giving up the oldest data of a full lane.
///
/// - What: whole closed segments, the oldest first. What is uploaded is freed instead; what an open plan covers stays, because
///   its object may be in the store already and must come out the same each time it is built. So the plan is skipped and data
///   behind it goes.
/// - When: before an append that would not fit, never only after an upload (greengrass log-manager PR 257).
/// - How: a gap record is durable before the first file of its range is touched. From then on nobody reads the range, whether
///   or not its files could be freed; recovery frees the rest.
extension LaneCore {
    /// Makes room for a group of `groupBytes` under the quota, if there is anything to give up.
    mutating func makeSpace(_ groupBytes: Int) {
        guard freeDropped() else { return }
        let needed = max(Block.sizeBytes, groupBytes)
        guard excessBytes(needed) > 0 else { return }
        while excessBytes(needed) > 0, freeOldest(ignoringRetention: true) != nil {
            // The sum must be right before the next look at it.
            segmentsChanged()
        }
        finishFreeing()
        // Each turn gives up at least one segment; a record may need a new segment itself, which takes space again.
        var turns = 0
        while case let excess = excessBytes(needed), excess > 0, turns < 4 {
            turns += 1
            guard dropOldest(bytes: excess, segmentsMax: .max, reason: .quotaBytes) else { return }
        }
    }

    /// A full file system is a full lane: what is given up leaves a file to go on with. False if that did not help.
    mutating func makeSpaceOnDisk(_ groupBytes: Int) -> Bool {
        guard configuration.fullPolicy == .dropOldest, dropOldest(segmentsMax: 1, reason: .diskFull) else {
            return false
        }
        let limit = (segments.last?.sizeBytes ?? 0) - configuration.controlReserveBytes
        if !mustRotate, !wantsRotation, tailBytes + groupBytes <= limit { return true }
        return (try? rotate()) != nil
    }

    /// Bytes above the quota once a group of `neededBytes` is written, a new segment begun for it where it needs one.
    private func excessBytes(_ neededBytes: Int) -> Int {
        let limit = (segments.last?.sizeBytes ?? 0) - configuration.controlReserveBytes
        let used =
            !mustRotate && !wantsRotation && tailBytes + neededBytes <= limit
            ? diskBytes : segments.reduce(Block.sizeBytes * 2) { $0 + $1.sizeBytes }
        return used + neededBytes - configuration.dataQuotaBytes
    }

    /// Places of closed segments that may be given up: neither uploaded nor planned, and in one piece.
    private var droppable: Range<Int> {
        let isOpen = !state.uploads.open.isEmpty
        let planned = isOpen ? state.uploads.plannedThrough : state.uploadedThrough
        guard isIdle, unsettled == nil, !needsCheckpoint, segments.count > 1 else { return 0..<0 }
        let last = segments.count - 1
        let first = (0..<last).first { place in
            // Without an open plan the uploaded part of a segment may go with the rest of it.
            isOpen ? segments[place].firstLSN > planned : segments[place + 1].firstLSN - 1 > planned
        }
        return (first ?? last)..<last
    }

    /// Gives up segments for `bytes`, at most `segmentsMax`, as one gap. False when there is none or the disk refuses.
    mutating func dropOldest(bytes: Int = .max, segmentsMax: Int, reason: GapReason) -> Bool {
        let places = droppable
        var count = 0
        var freed = 0
        for place in places where count < segmentsMax && freed < bytes {
            freed += segments[place].sizeBytes
            count += 1
        }
        return drop(places.prefix(count), reason: reason)
    }

    private mutating func drop(_ places: Range<Int>, reason: GapReason) -> Bool {
        let records = records(of: places, reason)
        for var record in records {
            record.trim(toBytes: configuration.gapBytesMax)
            do throws(WALError) {
                try writeControl(.gap, record.encoded)
            } catch {
                alarms.lastMessage = error.description
                return false
            }
            state.gaps.apply(record, plannedThrough: state.uploads.plannedThrough)
            let sums = record.totals
            alarms.lastMessage =
                "LSN \(record.firstLSN) to \(record.lastLSN) dropped, \(sums.records) records, \(sums.bytes) bytes:"
                + " \(reason)"
        }
        // What cannot be freed makes no room: nothing more is given up for it.
        return freeDropped() && !records.isEmpty
    }

    /// One record for each piece without a gap that is recorded already.
    private func records(of places: Range<Int>, _ reason: GapReason) -> [GapRecord] {
        var records: [GapRecord] = []
        for place in places {
            let first = max(segments[place].firstLSN, state.uploads.uploadedThrough + 1)
            let last = segments[place + 1].firstLSN - 1
            guard first <= last else { continue }
            for range in state.gaps.unrecorded([LSNGap(firstLSN: first, lastLSN: last)]) {
                let next = contents(of: place, range, reason)
                if let former = records.last, former.lastLSN + 1 == next.firstLSN {
                    records[records.count - 1].append(next)
                } else {
                    records.append(next)
                }
            }
        }
        return records
    }

    /// What a segment holds of a range: as it was counted while it was written, or else read again.
    private func contents(of place: Int, _ range: LSNGap, _ reason: GapReason) -> GapRecord {
        var record = GapRecord(reason: reason, firstLSN: range.firstLSN, lastLSN: range.lastLSN)
        if range.firstLSN == segments[place].firstLSN, let tally = tallies[segments[place].sequence] {
            record.partitions = tally.gaps { state.partitions[$0].name }
            return record
        }
        let surveyed = LossSurvey.records(
            of: [range], reason: reason, in: view, disk: disk, recorded: state.gaps.pending,
            end: state.durable.partitions)
        return surveyed.first ?? record
    }

    /// Frees segments that lie in recorded gaps: those just dropped, and those that could not be freed before. False when
    /// the disk still refuses.
    @discardableResult
    mutating func freeDropped() -> Bool {
        guard unsettled == nil, !needsCheckpoint, isIdle, !state.gaps.pending.isEmpty || !state.gaps.settled.isEmpty
        else { return true }
        var isFreed = true
        var place = 0
        while place + 1 < segments.count {
            // Only of the oldest may a part be uploaded: recovery takes a hole for a loss unless all of it is recorded.
            let uploaded = place == 0 ? state.uploads.uploadedThrough : 0
            let first = max(segments[place].firstLSN, uploaded + 1)
            let last = segments[place + 1].firstLSN - 1
            guard first <= last, state.gaps.covers(first, last) else {
                place += 1
                continue
            }
            do throws(DiskError) {
                try retire(segments[place])
                let dropped = segments.remove(at: place)
                if place > 0 { segments[place - 1].cutLSN = min(segments[place - 1].cutLSN, dropped.firstLSN) }
                freedCount += 1
            } catch {
                note(error)
                isFreed = false
                break
            }
        }
        finishFreeing()
        return isFreed
    }

    // MARK: For the uplink

    public func gapRecords(from first: UInt64, through last: UInt64) -> [GapRecord] {
        state.gaps.records(from: first, through: last)
    }

    public func describe(lost gaps: [LSNGap]) -> [GapRecord] {
        LossSurvey.records(
            of: gaps, reason: .unreadable, in: view, disk: disk, recorded: state.gaps.pending,
            end: state.durable.partitions)
    }

    // MARK: Age

    /// Gives up what has waited longer than the lane allows. `wallMs` is nil when the wall clock is not to be believed.
    public mutating func expire(nowNs: UInt64, wallMs: Int64?) {
        committed.removeAll(keepingCapacity: true)
        guard let limit = configuration.quotaAge, isIdle else { return }
        if unsettled != nil, (try? settle()) == nil { return }
        if ageStartNs == 0 { ageStartNs = max(1, nowNs) }
        let places = droppable
        let count = places.prefix { age(of: $0, nowNs, wallMs) > limit }.count
        if count == places.count, isNewestAged(nowNs, wallMs, limit) {
            // Nothing comes any more: what is left is old too, and a new segment lets go of it.
            guard (try? rotate()) != nil else { return }
            _ = drop(droppable.prefix(count + 1), reason: .quotaAge)
        } else if count > 0 {
            _ = drop(places.prefix(count), reason: .quotaAge)
        }
    }

    /// Time since the newest batch of a closed segment came, as far as it is known for sure.
    private func age(of place: Int, _ nowNs: UInt64, _ wallMs: Int64?) -> Duration {
        let closed = segments[place].closedAtNs
        let monotonic = Duration.nanoseconds(Int64(clamping: nowNs - min(nowNs, closed > 0 ? closed : ageStartNs)))
        guard closed == 0, let wallMs, segments[place + 1].isReadable,
            let head = segments[place + 1].headFrame(disk)?.header
        else { return monotonic }
        return max(monotonic, Self.wallAge(since: head.wallMs, quality: head.clockQuality, wallMs))
    }

    private func isNewestAged(_ nowNs: UInt64, _ wallMs: Int64?, _ limit: Duration) -> Bool {
        guard let newest = segments.last, state.lastBatchLSN >= newest.firstLSN,
            state.lastBatchLSN > state.uploads.plannedThrough
        else { return false }
        let since = lastAppendNs > 0 ? lastAppendNs : ageStartNs
        let monotonic = Duration.nanoseconds(Int64(clamping: nowNs - min(nowNs, since)))
        if monotonic > limit { return true }
        guard lastAppendNs == 0, let wallMs else { return false }
        return Self.wallAge(since: lastWallMs, quality: lastWallQuality, wallMs) > limit
    }

    private static func wallAge(since ms: Int64, quality: UInt8, _ nowMs: Int64) -> Duration {
        guard quality >= ClockQuality.synchronized.rawValue, ms > 0, nowMs > ms else { return .zero }
        return .milliseconds(nowMs - ms)
    }

    // MARK: Bookkeeping

    /// Counts what a durable group has added to the newest segment.
    mutating func tally(_ group: StagedGroup) {
        guard configuration.fullPolicy == .dropOldest, let sequence = segments.last?.sequence else { return }
        var rows = group.rows[...]
        for (entry, outcome) in zip(group.entries, group.outcomes) {
            guard case .appended = outcome, let row = rows.popFirst() else { continue }
            tallies.add(
                sequence, partition: row.partition, baseOffset: row.baseOffset, endOffset: row.endOffset,
                sizeBytes: entry.batch.readableBytes, wallMs: entry.wallMs)
            lastAppendNs = max(lastAppendNs, entry.monotonicNs)
            lastWallMs = entry.wallMs
            lastWallQuality = entry.clockQuality.rawValue
        }
    }

    /// What a frame read back says of the time.
    mutating func noteWall(_ frame: FrameHeader) {
        guard frame.kind == .batch || frame.kind == .checkpoint, frame.wallMs != 0 else { return }
        lastWallMs = frame.wallMs
        lastWallQuality = frame.clockQuality
    }
}
