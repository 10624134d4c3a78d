import KafkaProtocol

extension LedgerState {
    mutating func apply(_ record: TransactionInitialised) {
        nextProducerID = max(nextProducerID, record.producerID &+ 1)
        var state =
            transactions.all[record.transactionalID]
            ?? TransactionState(
                producerID: record.producerID, epoch: record.epoch, timeoutMs: record.timeoutMs,
                lastUsedMs: record.nowMs)
        let isRenamed = record.formerEpoch >= 0 && state.producerID != record.producerID
        state.formerProducerID = isRenamed ? state.producerID : -1
        state.formerEpoch = record.formerEpoch
        state.producerID = record.producerID
        state.epoch = record.epoch
        state.timeoutMs = record.timeoutMs
        state.lastUsedMs = record.nowMs
        state.phase = .empty
        state.partitions = []
        state.groups = [:]
        transactions.set(record.transactionalID, state)
    }

    mutating func apply(_ record: TransactionExtended) {
        transactions.update(record.transactionalID) { state in
            state.begin(nowMs: record.nowMs)
            state.partitions.formUnion(record.partitions)
            if !record.group.isEmpty { state.groups[record.group] = state.groups[record.group] ?? [:] }
        }
    }

    mutating func apply(_ record: TransactionOffsetsAdded) {
        transactions.update(record.transactionalID) { state in
            state.begin(nowMs: record.nowMs)
            for item in record.items {
                let place = TopicPartition(topicID: item.topicID, partition: item.partition)
                state.groups[record.group, default: [:]][place] = GroupOffset(
                    offset: item.offset, leaderEpoch: item.leaderEpoch, metadata: item.metadata,
                    committedMs: record.nowMs)
            }
        }
    }

    /// A batch of a transaction was placed: its partition takes part.
    mutating func joinTransaction(_ run: RunCommit, nowMs: Int64) {
        guard run.transaction != .none, let producerID = run.stamps.first?.producerID,
            let id = transactions.idByProducer[producerID]
        else { return }
        let place = TopicPartition(topicID: run.topicID, partition: run.partition)
        transactions.update(id) { state in
            state.begin(nowMs: nowMs)
            state.partitions.insert(place)
        }
    }

    mutating func apply(_ record: TransactionEnded) {
        nextProducerID = max(nextProducerID, record.nextProducerID &+ 1)
        for place in record.partitions {
            topics.update(place.topicID, place.partition) { partition in
                partition.end(record.producerID, epoch: record.epoch, commits: record.commits, nowMs: record.nowMs)
            }
        }
        guard var state = transactions.all[record.transactionalID] else { return }
        if record.commits { commitOffsets(of: state, nowMs: record.nowMs) }
        state.formerProducerID = record.nextProducerID == record.producerID ? -1 : record.producerID
        state.formerEpoch = record.formerEpoch
        state.producerID = record.nextProducerID
        state.epoch = record.nextEpoch
        state.phase = record.commits ? .committed : .aborted
        state.lastUsedMs = record.nowMs
        state.partitions = []
        state.groups = [:]
        transactions.set(record.transactionalID, state)
    }

    private mutating func commitOffsets(of state: TransactionState, nowMs: Int64) {
        for (group, offsets) in state.groups {
            for (place, pending) in offsets where topics.exists(place.topicID, place.partition) {
                var offset = pending
                offset.committedMs = nowMs
                groups.all[group, default: [:]][place] = offset
            }
        }
    }

    mutating func apply(_ record: MarkersWritten) {
        for place in record.partitions {
            topics.update(place.topicID, place.partition) { partition in
                partition.end(record.producerID, epoch: record.epoch, commits: record.commits, nowMs: record.nowMs)
            }
        }
    }

    mutating func apply(_ record: TransactionsExpired) {
        let idle = transactions.all.filter { !$0.value.isOngoing && $0.value.lastUsedMs < record.idleSinceMs }.keys
        for id in idle { transactions.remove(id) }
    }
}
