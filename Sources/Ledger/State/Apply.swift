import KafkaProtocol

// Effects. No record is refused: what a record names and is not there is passed over, the same in every copy.

extension LedgerState {
    mutating func apply(_ record: LedgerRecord) {
        switch record {
        case .topicCreated(let record): apply(record)
        case .topicDeleted(let record): apply(record)
        case .partitionsGrown(let record): grow(record.id, to: record.partitionCount)
        case .topicConfigsSet(let record): topics.all[record.id]?.configs = record.configs
        case .objectCommitted(let record): apply(record)
        case .siteObjectAdopted(let record): apply(record)
        case .producerIDsAllocated(let record): nextProducerID = record.first &+ record.count
        case .groupOffsetsCommitted(let record): apply(record)
        case .groupDeleted(let record): groups.all[record.group] = nil
        case .groupOffsetsDeleted(let record):
            for place in record.partitions { groups.all[record.group]?[place] = nil }
        case .logStartsAdvanced(let record):
            for item in record.items { advance(item, nowMs: record.nowMs) }
        case .objectsMarked(let record):
            for key in record.keys { objects.mark(key, nowMs: record.nowMs) }
        case .objectsForgotten(let record): apply(record)
        case .producersExpired(let record): apply(record)
        case .nodeRegistered(let record):
            nodes[record.nodeID] = NodeState(epoch: record.epoch, lastSeenMs: record.nowMs)
        case .siteSeen(let record): sites.see(record.site, nowMs: record.nowMs)
        case .siteStateSet(let record): apply(record)
        case .transactionInitialised(let record): apply(record)
        case .transactionExtended(let record): apply(record)
        case .transactionOffsetsAdded(let record): apply(record)
        case .transactionEnded(let record): apply(record)
        case .markersWritten(let record): apply(record)
        case .transactionsExpired(let record): apply(record)
        case .volumeRegistered(let record): apply(record)
        case .logCommitted(let record): apply(record)
        case .extentsRewritten(let record): apply(record)
        case .siteRegistered(let record): apply(record)
        case .siteBooted(let record): apply(record)
        case .siteGapsNoted(let record): apply(record)
        }
        releaseCondemned()
    }

    private mutating func apply(_ record: TopicCreated) {
        let count = max(0, Int(record.topic.partitionCount))
        topics.insert(
            TopicState(
                name: record.topic.name, id: record.topic.id, configs: record.topic.configs, createdMs: record.nowMs,
                partitions: Array(repeating: PartitionState(), count: count)))
    }

    private mutating func apply(_ record: TopicDeleted) {
        guard let topic = topics.remove(record.id) else { return }
        for partition in topic.partitions where !partition.extents.isEmpty {
            condemned.append(CondemnedExtents(extents: partition.extents, sinceMs: record.nowMs))
        }
        groups.removeOffsets(of: record.id)
    }

    private mutating func grow(_ id: KafkaUUID, to partitionCount: Int32) {
        guard let present = topics.all[id]?.partitions.count, Int(partitionCount) > present else { return }
        topics.all[id]?.partitions.append(
            contentsOf: Array(repeating: PartitionState(), count: Int(partitionCount) - present))
    }

    private mutating func apply(_ record: ObjectCommitted) {
        place(record.object, isQuarantined: false)
        see(record.nodeID, epoch: record.nodeEpoch, nowMs: record.object.nowMs)
    }

    private mutating func apply(_ record: SiteObjectAdopted) {
        let nowMs = record.object.nowMs
        let rejected = record.object.outcomes.count - record.object.committed.count
        place(record.object, isQuarantined: rejected > 0)
        sites.see(record.site, nowMs: nowMs)
        var incarnation =
            sites.all[record.site]?.incarnations[record.incarnation] ?? IncarnationState(firstSeenMs: nowMs)
        var lane = incarnation.lanes[record.lane] ?? LaneState()
        // An installation that goes on under a new incarnation goes on counting: what the former one brought is no gap.
        if lane.nextSequence == 1 {
            lane.lastLSN = min(sites.lastLSN(record.site, lane: record.lane), max(record.firstLSN, 1) - 1)
        }
        if let gap = lane.gap(before: record.firstLSN) { lane.noteGap(gap, sequence: record.sequence, nowMs: nowMs) }
        lane.nextSequence = record.sequence &+ 1
        lane.lastLSN = record.lastLSN
        lane.adoptedMs = nowMs
        lane.sizeBytes &+= record.object.sizeBytes
        lane.recordCount &+= record.object.committed.reduce(0) { $0 &+ $1.recordCount }
        lane.rejectedRuns &+= Int64(rejected)
        incarnation.lanes[record.lane] = lane
        sites.all[record.site]?.incarnations[record.incarnation] = incarnation
    }

    /// Enters the object and its extents. Positions and lengths were checked to fit 32 bits.
    private mutating func place(_ object: PlacedObject, isQuarantined: Bool) {
        let entry = ObjectEntry(
            key: object.key, sizeBytes: object.sizeBytes, committedMs: object.nowMs, extentCount: 0,
            isQuarantined: isQuarantined)
        let number = objects.insert(entry, answer: object.outcomes, nowMs: object.nowMs)
        for (run, baseOffset) in object.placements {
            let extent = PackedExtent(
                baseOffset: baseOffset, object: number, minTimestampMs: run.minTimestampMs,
                maxTimestampMs: run.maxTimestampMs, position: UInt32(clamping: run.position),
                lengthBytes: UInt32(clamping: run.lengthBytes))
            var isNew = false
            joinTransaction(run, nowMs: object.nowMs)
            topics.update(run.topicID, run.partition) { partition in
                isNew = partition.append(extent, recordCount: run.recordCount)
                partition.note(run, baseOffset: baseOffset, nowMs: object.nowMs)
            }
            if isNew { objects.addExtent(to: number) }
        }
    }

    private mutating func apply(_ record: GroupOffsetsCommitted) {
        for item in record.items {
            let place = TopicPartition(topicID: item.topicID, partition: item.partition)
            groups.all[record.group, default: [:]][place] = GroupOffset(
                offset: item.offset, leaderEpoch: item.leaderEpoch, metadata: item.metadata,
                committedMs: record.nowMs)
        }
    }

    private mutating func advance(_ item: AdvanceLogStart.Item, nowMs: Int64) {
        var dropped: [Int64] = []
        topics.update(item.topicID, item.partition) { dropped = $0.advance(to: item.newLogStart) }
        for number in dropped { objects.dropExtent(of: number, nowMs: nowMs) }
    }

    private mutating func apply(_ record: ObjectsForgotten) {
        for key in record.keys { objects.forget(key, nowMs: record.nowMs) }
        objects.boundTombstones(nowMs: record.nowMs)
    }

    private mutating func apply(_ record: ProducersExpired) {
        for id in topics.all.keys {
            for index in topics.all[id]?.partitions.indices ?? 0..<0 {
                topics.update(id, Int32(index)) { partition in
                    guard partition.producers.contains(where: { $0.value.lastUsedMs < record.idleSinceMs }) else {
                        return
                    }
                    let open = partition.open
                    partition.producers = partition.producers.filter {
                        $0.value.lastUsedMs >= record.idleSinceMs || open[$0.key] != nil
                    }
                }
            }
        }
        objects.boundTombstones(nowMs: record.nowMs)
        objects.answers.bound(nowMs: record.nowMs)
    }

    private mutating func apply(_ record: SiteStateSet) {
        sites.all[record.site]?.isSuspended = record.isSuspended
        guard !record.fencedIncarnation.isEmpty else { return }
        sites.all[record.site]?
            .incarnations[record.fencedIncarnation, default: IncarnationState(firstSeenMs: record.nowMs)]
            .isFenced = true
    }

    private mutating func releaseCondemned() {
        var budget = LedgerState.condemnedPerRecord
        while budget > 0, let first = condemned.first {
            let count = min(budget, first.extents.count)
            for index in 0..<count { objects.dropExtent(of: first.extents[index].object, nowMs: first.sinceMs) }
            condemned[0].extents.removeFirst(count)
            if condemned[0].extents.isEmpty { condemned.removeFirst() }
            budget -= count
        }
    }
}

extension PartitionState {
    /// Returns whether there is one more extent than before.
    mutating func append(_ extent: PackedExtent, recordCount: Int64) -> Bool {
        highWatermark = extent.baseOffset &+ recordCount
        sizeBytes &+= Int64(extent.lengthBytes)
        return extents.append(extent)
    }

    mutating func note(_ run: RunCommit, baseOffset: Int64, nowMs: Int64) {
        guard !run.stamps.isEmpty else { return }
        for stamp in run.stamps {
            var entry = producers[stamp.producerID] ?? ProducerEntry(sequences: ProducerSequences(), lastUsedMs: nowMs)
            entry.lastUsedMs = nowMs
            entry.sequences.record(stamp, base: baseOffset, timestampMs: run.maxTimestampMs)
            producers[stamp.producerID] = entry
            if run.transaction != .none, open[stamp.producerID] == nil {
                open[stamp.producerID] = baseOffset &+ stamp.relativeOffset
            }
        }
        boundProducers()
    }

    /// Moves the log start and returns the objects of the extents that lie wholly before it, one entry per extent.
    mutating func advance(to newLogStart: Int64) -> [Int64] {
        guard newLogStart > logStart, newLogStart <= highWatermark else { return [] }
        logStart = newLogStart
        let kept = newLogStart == highWatermark ? extents.count : extents.index(holding: newLogStart) ?? 0
        let dropped = (0..<kept).map { extents[$0] }
        extents.removeFirst(kept)
        for extent in dropped { sizeBytes -= Int64(extent.lengthBytes) }
        if !aborted.isEmpty { aborted.removeAll { $0.lastOffset < newLogStart } }
        return dropped.map(\.object)
    }
}
