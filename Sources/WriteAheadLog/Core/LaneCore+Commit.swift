import KafkaProtocol
import NIOCore

extension LaneCore {
    /// Writes the entries as few groups as fit; returns after the sync that made them durable. One outcome per entry.
    public mutating func commit(_ group: [LogEntry]) -> [AppendOutcome] {
        var outcomes: [AppendOutcome] = []
        outcomes.reserveCapacity(group.count)
        committed.removeAll(keepingCapacity: true)
        while outcomes.count < group.count {
            let end = groupEnd(group, from: outcomes.count)
            if let failure = commitOnce(group[outcomes.count..<end], into: &outcomes) {
                // Nothing overtakes what the disk refused: a producer must not be acked past a batch it has to repeat.
                refuse(group[outcomes.count...], failure, into: &outcomes)
            }
        }
        return outcomes
    }

    /// Index after the last entry that fits one group with those before it.
    private func groupEnd(_ entries: [LogEntry], from start: Int) -> Int {
        var bytes = GroupHeader.sizeBytes
        for place in start..<entries.count where refusal(of: entries[place]) == nil {
            bytes += entries[place].frameBytes
            if bytes > configuration.groupBytesMax { return place }
        }
        return entries.count
    }

    /// Nil when every entry has its outcome; else why none has.
    private mutating func commitOnce(
        _ entries: ArraySlice<LogEntry>, into outcomes: inout [AppendOutcome]
    ) -> AppendRejection? {
        var failure = AppendRejection.closed
        let needed = entries.reduce(GroupHeader.sizeBytes) { $0 + (refusal(of: $1) == nil ? $1.frameBytes : 0) }
        for _ in 0..<2 {
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
        guard let active = segments.last else { return .closed }
        let first = outcomes.count
        let firstIndexed = committed.count
        var records: UInt64 = 0
        var bytes: UInt64 = 0
        staging.begin(sequence: active.sequence, salt: active.salt, firstLSN: state.nextLSN)
        state.begin()
        for entry in entries { outcomes.append(stage(entry, active.sequence, &records, &bytes)) }
        guard !staging.isEmpty else {
            state.keep()
            count(outcomes[first...])
            return nil
        }
        let written = staging.finish()
        do throws(DiskError) {
            try disk.writeAndSync(active.file, written, at: tailBytes)
        } catch {
            state.rollBack()
            outcomes.removeLast(outcomes.count - first)
            committed.removeLast(committed.count - firstIndexed)
            giveUpSegment(error)
            return error.isDiskFull ? .diskFull : .diskFailed(error.description)
        }
        state.keep()
        segments[segments.count - 1].noteGroup(lsn: state.nextLSN - UInt64(staging.count), at: tailBytes)
        tailBytes += written.count
        isFailing = false
        counters.groups += 1
        counters.records += records
        counters.bytes += bytes
        count(outcomes[first...])
        return nil
    }

    /// Admits one entry and puts it into the group.
    private mutating func stage(
        _ entry: LogEntry, _ sequence: UInt64, _ records: inout UInt64, _ bytes: inout UInt64
    ) -> AppendOutcome {
        if let refusal = refusal(of: entry) { return .rejected(refusal) }
        let used = diskBytes + Block.roundedUp(staging.usedBytes + entry.frameBytes)
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
            let place = staging.append(header, topic: entry.topic, payload: entry.batch)
            committed.append(
                IndexEntry(
                    lsn: lsn, segment: sequence, offsetBytes: tailBytes + place.offsetBytes,
                    frameBytes: place.frameBytes, partition: partition, baseOffset: baseOffset,
                    recordCount: header.recordCount, maxTimestampMs: entry.header.maxTimestamp))
            records += UInt64(header.recordCount)
            bytes += UInt64(entry.batch.readableBytes)
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
        topicBytes = entry.topic.utf8.count
        partition = entry.partition
        wallMs = entry.wallMs
        monotonicNs = entry.monotonicNs
        self.baseOffset = baseOffset
        recordCount = UInt32(entry.header.recordCount)
    }
}
