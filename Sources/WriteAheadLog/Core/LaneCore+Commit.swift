import KafkaProtocol
import NIOCore

extension LaneCore {
    /// Writes the entries as few groups as fit; returns after the sync that made them durable. One outcome per entry,
    /// after those of the groups that were being written and staged.
    public mutating func commit(_ group: [LogEntry]) -> [AppendOutcome] {
        commit(group, behind: nil)
    }

    /// The same for entries that waited behind others which the disk refused, if it did: nothing overtakes those.
    public mutating func commit(_ group: [LogEntry], behind refusal: AppendRejection?) -> [AppendOutcome] {
        committed.removeAll(keepingCapacity: true)
        var finished = FinishedGroup(refusal: refusal)
        finished.outcomes.reserveCapacity(group.count)
        finishAll(&finished)
        var rest = group[...]
        while !rest.isEmpty {
            let end = groupEnd(group, from: rest.startIndex)
            commitSerially(rest[..<end], attempts: 2, &finished)
            rest = rest[end...]
        }
        return finished.outcomes
    }

    /// At most one group. Once the disk has refused something, all that follows is refused too: a producer must not be
    /// acked past a batch it has to repeat.
    mutating func commitSerially(
        _ entries: ArraySlice<LogEntry>, attempts: Int, _ finished: inout FinishedGroup
    ) {
        if finished.refusal == nil {
            finished.refusal = commitOnce(entries, attempts: attempts, into: &finished.outcomes)
        }
        if let refusal = finished.refusal { refuse(entries, refusal, into: &finished.outcomes) }
    }

    /// Index after the last entry that fits one group with those before it.
    private func groupEnd(_ entries: [LogEntry], from start: Int) -> Int {
        var bytes = groupHeadBytes
        for place in start..<entries.count where refusal(of: entries[place]) == nil {
            bytes += entries[place].frameBytes
            if bytes > configuration.groupBytesMax { return place }
        }
        return entries.count
    }

    /// Nil when every entry has its outcome; else why none has.
    private mutating func commitOnce(
        _ entries: ArraySlice<LogEntry>, attempts: Int, into outcomes: inout [AppendOutcome]
    ) -> AppendRejection? {
        var failure = AppendRejection.closed
        let needed = entries.reduce(groupHeadBytes) { $0 + (refusal(of: $1) == nil ? $1.frameBytes : 0) }
        for _ in 0..<attempts {
            switch makeRoom(Block.roundedUp(min(needed, configuration.groupBytesMax))) {
            case .failed(let rejection): failure = rejection
            case .quotaReached(let rejection):
                refuseForQuota(entries, rejection, into: &outcomes)
                return nil
            case .ready:
                guard let failed = writeGroup(entries, into: &outcomes) else { return nil }
                failure = failed
                continue
            }
            break
        }
        return failure
    }

    /// One attempt in the newest segment. Nil when done; else nothing of it happened and the segment is given up.
    private mutating func writeGroup(
        _ entries: ArraySlice<LogEntry>, into outcomes: inout [AppendOutcome]
    ) -> AppendRejection? {
        guard let active = segments.last, var group = makeGroup() else { return .closed }
        for entry in entries { admit(entry, to: &group) }
        if !group.isEmpty {
            let bytes = finish(group.staging, in: active)
            group.writtenBytes = bytes.count
            do throws(DiskError) {
                try disk.writeAndSync(active.file, bytes, at: group.offsetBytes)
            } catch {
                state.rollBack()
                giveUpSegment(error)
                return error.isDiskFull ? .diskFull : .diskFailed(error.description)
            }
        }
        keep(group, &outcomes)
        return nil
    }

    /// An empty group behind what the newest segment holds and what is being written to it.
    mutating func makeGroup() -> StagedGroup? {
        guard let active = segments.last else { return nil }
        let group = StagedGroup(staging: idleStaging, offsetBytes: nextGroupOffset, firstLSN: state.nextLSN)
        begin(group.staging, at: nextGroupOffset, in: active)
        state.begin()
        return group
    }

    /// Begins a group of the newest segment.
    func begin(_ staging: Staging, at offsetBytes: Int, in active: LiveSegment<D.File>) {
        staging.begin(
            sequence: active.sequence, salt: active.salt, firstLSN: state.nextLSN, bootEpoch: bootEpoch,
            sealer: active.keys == nil ? nil : sealer, offsetBytes: offsetBytes)
    }

    /// What to write of a group that is complete.
    func finish(_ staging: Staging, in active: LiveSegment<D.File>) -> UnsafeRawBufferPointer {
        precondition(
            staging.isSealing == (active.keys != nil),
            "segment \(active.sequence): a group is sealed, or is not, unlike it")
        return staging.finish()
    }

    var nextGroupOffset: Int { tailBytes + (writing?.writtenBytes ?? 0) }

    /// The oldest group admitted is durable.
    mutating func keep(_ group: StagedGroup, _ outcomes: inout [AppendOutcome]) {
        state.keep()
        tally(group)
        outcomes += group.outcomes
        count(group.outcomes[...])
        guard !group.isEmpty else { return }
        segments[segments.count - 1].noteGroup(lsn: group.firstLSN, at: tailBytes)
        tailBytes += group.writtenBytes
        counters.written.groups += UInt64(group.writtenBytes)
        committed += group.rows
        isFailing = false
        counters.groups += 1
        counters.records += group.records
        counters.bytes += group.batchBytes
        noteKeyChange()
    }

    /// Admits one entry and puts it into the group, which has room for it.
    mutating func admit(_ entry: LogEntry, to group: inout StagedGroup) {
        group.entries.append(entry)
        group.outcomes.append(outcome(of: entry, in: &group))
    }

    private mutating func outcome(of entry: LogEntry, in group: inout StagedGroup) -> AppendOutcome {
        if let refusal = refusal(of: entry) { return .rejected(refusal) }
        let used = closedBytes + group.offsetBytes + Block.roundedUp(group.staging.usedBytes + entry.frameBytes)
        if used > configuration.dataQuotaBytes, state.duplicate(of: entry) == nil {
            alarms.quotaRejections += 1
            return .rejected(.quotaExceeded(usedBytes: used, quotaBytes: configuration.quotaBytes))
        }
        clockNs = max(clockNs, entry.monotonicNs)
        let lsn = state.nextLSN
        switch state.admit(entry) {
        case .rejected(let rejection): return .rejected(rejection)
        case .duplicate(let original): return .duplicate(baseOffset: original)
        case .append(let partition, let baseOffset):
            let header = FrameHeader(entry, lsn: lsn, baseOffset: baseOffset)
            let place = group.staging.append(header, topic: entry.topic, payload: entry.batch)
            group.rows.append(
                IndexEntry(
                    lsn: lsn, segment: group.staging.sequence, offsetBytes: group.offsetBytes + place.offsetBytes,
                    frameBytes: place.frameBytes, partition: partition, baseOffset: baseOffset,
                    recordCount: header.recordCount, maxTimestampMs: entry.header.maxTimestamp))
            group.records += UInt64(header.recordCount)
            group.batchBytes += UInt64(entry.batch.readableBytes)
            return .appended(lsn: lsn, baseOffset: baseOffset)
        }
    }

    /// Why the entry can never be stored, whatever the state.
    private func refusal(of entry: LogEntry) -> AppendRejection? {
        let size = entry.batch.readableBytes
        let topicBytes = entry.topic.utf8.count
        if size > configuration.batchBytesMax {
            return .batchTooLarge(sizeBytes: size, limitBytes: configuration.batchBytesMax)
        }
        if topicBytes == 0 || topicBytes > FrameHeader.topicBytesMax {
            return .invalidEntry("topic name of \(topicBytes) bytes")
        }
        if entry.partition < 0 { return .invalidEntry("partition \(entry.partition)") }
        if entry.header.totalSizeBytes != size || entry.header.recordCount <= 0 {
            return .invalidEntry("\(size) bytes, header says \(entry.header.totalSizeBytes)")
        }
        return nil
    }

    private mutating func refuse(
        _ entries: ArraySlice<LogEntry>, _ rejection: AppendRejection, into outcomes: inout [AppendOutcome]
    ) {
        isFailing = true
        alarms.diskRejections += UInt64(refuseNew(entries, rejection, into: &outcomes))
    }

    private mutating func refuseForQuota(
        _ entries: ArraySlice<LogEntry>, _ rejection: AppendRejection, into outcomes: inout [AppendOutcome]
    ) {
        alarms.quotaRejections += UInt64(refuseNew(entries, rejection, into: &outcomes))
    }

    /// Duplicates of durable batches are still answered: they need no space and no disk. How many were refused.
    private mutating func refuseNew(
        _ entries: ArraySlice<LogEntry>, _ rejection: AppendRejection, into outcomes: inout [AppendOutcome]
    ) -> Int {
        let first = outcomes.count
        var refused = 0
        for entry in entries {
            if let refusal = refusal(of: entry) {
                outcomes.append(.rejected(refusal))
            } else if unsettled == nil, let original = state.duplicate(of: entry) {
                outcomes.append(.duplicate(baseOffset: original))
            } else {
                refused += 1
                outcomes.append(.rejected(rejection))
            }
        }
        count(outcomes[first...])
        return refused
    }

    private mutating func count(_ outcomes: ArraySlice<AppendOutcome>) {
        for outcome in outcomes {
            switch outcome {
            case .appended: counters.batches += 1
            case .duplicate: counters.duplicates += 1
            case .rejected: counters.rejections += 1
            }
        }
    }
}

extension LogEntry {
    var frameBytes: Int { FrameHeader.sizeBytes + topic.utf8.count + batch.readableBytes }
}

extension FrameHeader {
    init(_ entry: LogEntry, lsn: UInt64, baseOffset: Int64) {
        self.init(kind: .batch, lsn: lsn, payloadBytes: entry.batch.readableBytes)
        clockQuality = entry.clockQuality.rawValue
        hasGatewayTimes = entry.hasGatewayTimes
        topicBytes = entry.topic.utf8.count
        partition = entry.partition
        wallMs = entry.wallMs
        monotonicNs = entry.monotonicNs
        self.baseOffset = baseOffset
        recordCount = UInt32(entry.header.recordCount)
    }
}
