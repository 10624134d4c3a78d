import KafkaProtocol

// Rules T1 to T10. Source: Kafka 4.3, `TransactionCoordinator`.

extension LedgerState {
    func decide(_ command: InitTransaction) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.text("transactional id", command.transactionalID, bytesMax: LedgerLimits.textBytesMax)
        guard let present = transactions.all[command.transactionalID] else {
            try Check.count("transactional ids", transactions.all.count + 1, max: LedgerLimits.transactionsMax)
            return try initialise(command, producerID: nextProducerID, epoch: 0, formerEpoch: -1, after: [])
        }
        let isKnown = command.producerID == present.producerID && command.epoch == present.epoch
        if command.producerID >= 0, !isKnown {
            // A repeated request whose answer was lost, or a zombie.
            let isRepeated = present.wasBefore(command.producerID, command.epoch)
            return isRepeated ? .accepted(present) : .rejected(.producerFenced)
        }
        var records: [LedgerRecord] = []
        var epoch = present.epoch
        if present.isOngoing {
            // Fence, abort, and begin under the epoch after: the client need not come again.
            var abort = ended(command.transactionalID, present, commits: false, raisesEpoch: true, command.nowMs)
            // Where epochs have run out, the new producer id is the initialisation's affair.
            abort.nextProducerID = present.producerID
            abort.nextEpoch = abort.epoch
            epoch = abort.epoch
            records.append(.transactionEnded(abort))
        }
        let formerEpoch: Int16 = command.producerID >= 0 ? present.epoch : -1
        let isExhausted = epoch >= TransactionState.epochMax
        return try initialise(
            command, producerID: isExhausted ? nextProducerID : present.producerID,
            epoch: isExhausted ? 0 : epoch + 1, formerEpoch: formerEpoch, after: records)
    }

    private func initialise(
        _ command: InitTransaction, producerID: Int64, epoch: Int16, formerEpoch: Int16, after records: [LedgerRecord]
    ) throws(LedgerRefusal) -> LedgerDecision {
        try Check.range("producer ids", producerID, 0...PackedExtent.producerIDMax)
        let record = TransactionInitialised(
            transactionalID: command.transactionalID, producerID: producerID, epoch: epoch, formerEpoch: formerEpoch,
            timeoutMs: command.timeoutMs, nowMs: command.nowMs)
        return LedgerDecision(
            records: records + [.transactionInitialised(record)],
            answer: .transaction(.accepted(producerID: producerID, epoch: epoch)))
    }

    // MARK: Adding

    func decide(_ command: AddToTransaction) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.count("group", command.group.utf8.count, max: LedgerLimits.textBytesMax)
        guard let present = transactions.all[command.transactionalID], present.producerID == command.producerID else {
            return .rejected(.invalidProducerIdMapping)
        }
        guard present.epoch == command.epoch else { return .rejected(.producerFenced) }
        guard command.partitions.allSatisfy({ topics.exists($0.topicID, $0.partition) }) else {
            return .rejected(.unknownTopicOrPartition)
        }
        let fresh =
            present.isOngoing ? command.partitions.filter { !present.partitions.contains($0) } : command.partitions
        let hasGroup = command.group.isEmpty || present.isOngoing && present.groups[command.group] != nil
        if fresh.isEmpty, hasGroup { return .accepted(present) }
        let count = (present.isOngoing ? present.partitions.count : 0) + fresh.count
        try Check.count("partitions of a transaction", count, max: LedgerLimits.offsetsPerCommitMax)
        let groups = (present.isOngoing ? present.groups.count : 0) + 1
        try Check.count("groups of a transaction", groups, max: LedgerLimits.keysPerCommandMax)
        let record = TransactionExtended(
            transactionalID: command.transactionalID, partitions: fresh, group: command.group, nowMs: command.nowMs)
        return LedgerDecision(
            records: [.transactionExtended(record)],
            answer: .transaction(.accepted(producerID: present.producerID, epoch: present.epoch)))
    }

    func decide(_ command: CommitTransactionOffsets) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.text("group", command.group, bytesMax: LedgerLimits.textBytesMax)
        try Check.count("items", command.items.count, max: LedgerLimits.offsetsPerCommitMax)
        func all(_ code: ErrorCode) -> LedgerDecision {
            LedgerDecision(answer: .errorCodes(command.items.map { _ in code }))
        }
        guard let present = transactions.all[command.transactionalID], present.producerID == command.producerID else {
            return all(.invalidProducerIdMapping)
        }
        guard present.epoch == command.epoch else { return all(.invalidProducerEpoch) }
        let isMember = present.isOngoing && present.groups[command.group] != nil
        guard command.addsGroup || isMember else { return all(.invalidTxnState) }
        let members = (present.isOngoing ? present.groups.count : 0) + (isMember ? 0 : 1)
        try Check.count("groups of a transaction", members, max: LedgerLimits.keysPerCommandMax)
        var accepted: [CommitGroupOffsets.Item] = []
        let codes = command.items.map { item -> ErrorCode in
            let code = flaw(of: item)
            if code == .none { accepted.append(item) }
            return code
        }
        guard !accepted.isEmpty else { return LedgerDecision(answer: .errorCodes(codes)) }
        let isNew = groups.all[command.group] == nil
        try Check.count("groups", groups.all.count + (isNew ? 1 : 0), max: LedgerLimits.groupsMax)
        let record = TransactionOffsetsAdded(
            transactionalID: command.transactionalID, group: command.group, items: accepted, nowMs: command.nowMs)
        return LedgerDecision(records: [.transactionOffsetsAdded(record)], answer: .errorCodes(codes))
    }

    // MARK: Ending

    func decide(_ command: EndTransaction) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        guard let present = transactions.all[command.transactionalID] else {
            return .rejected(.invalidProducerIdMapping)
        }
        // The second protocol raises the epoch at every end: who repeats it still names the one before (rule T4).
        if command.raisesEpoch, present.wasBefore(command.producerID, command.epoch) {
            let isSame = present.phase == (command.commits ? .committed : .aborted)
            return isSame ? .accepted(present) : .rejected(.invalidTxnState)
        }
        guard present.producerID == command.producerID else { return .rejected(.invalidProducerIdMapping) }
        guard present.epoch == command.epoch else { return .rejected(.producerFenced) }
        let mayEnd = present.isOngoing || command.raisesEpoch && !command.commits
        guard mayEnd else {
            let isSame = present.phase == (command.commits ? .committed : .aborted)
            return isSame && !command.raisesEpoch ? .accepted(present) : .rejected(.invalidTxnState)
        }
        let record = ended(
            command.transactionalID, present, commits: command.commits, raisesEpoch: command.raisesEpoch, command.nowMs)
        try Check.range("producer ids", record.nextProducerID, 0...PackedExtent.producerIDMax)
        return LedgerDecision(
            records: [.transactionEnded(record)],
            answer: .transaction(.accepted(producerID: record.nextProducerID, epoch: record.nextEpoch)))
    }

    private func ended(
        _ id: String, _ present: TransactionState, commits: Bool, raisesEpoch: Bool, _ nowMs: Int64
    ) -> TransactionEnded {
        var record = TransactionEnded(
            transactionalID: id, producerID: present.producerID, epoch: present.epoch, commits: commits,
            nextProducerID: present.producerID, nextEpoch: present.epoch, nowMs: nowMs)
        record.partitions =
            present.isOngoing
            ? present.partitions.filter { topics.exists($0.topicID, $0.partition) }.sorted() : []
        guard raisesEpoch else { return record }
        record.formerEpoch = present.epoch
        record.epoch = present.epoch &+ 1
        record.nextEpoch = record.epoch
        if present.epoch >= TransactionState.epochMax {
            record.nextProducerID = nextProducerID
            record.nextEpoch = 0
        }
        return record
    }

    func decide(_ command: AbortOverdueTransaction) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        guard let present = transactions.all[command.transactionalID], present.isOverdue(nowMs: command.nowMs) else {
            return LedgerDecision(answer: .done)
        }
        var record = ended(command.transactionalID, present, commits: false, raisesEpoch: true, command.nowMs)
        // Nobody asked for it, so nobody will repeat it: whoever comes with the old epoch is a zombie.
        record.formerEpoch = -1
        try Check.range("producer ids", record.nextProducerID, 0...PackedExtent.producerIDMax)
        return LedgerDecision(records: [.transactionEnded(record)], answer: .done)
    }

    func decide(_ command: WriteMarkers) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.count("partitions", command.partitions.count, max: LedgerLimits.offsetsPerCommitMax)
        try Check.range("producer id", command.producerID, 0...PackedExtent.producerIDMax)
        var ending: [TopicPartition] = []
        let codes = command.partitions.map { place -> ErrorCode in
            guard let partition = topics.partition(place.topicID, place.partition) else {
                return .unknownTopicOrPartition
            }
            if let known = partition.producers[command.producerID]?.sequences.lastEpoch, command.epoch < known {
                return .invalidProducerEpoch
            }
            if partition.open[command.producerID] != nil, !ending.contains(place) { ending.append(place) }
            return .none
        }
        let record = MarkersWritten(
            producerID: command.producerID, epoch: command.epoch, commits: command.commits, partitions: ending,
            nowMs: command.nowMs)
        return LedgerDecision(records: ending.isEmpty ? [] : [.markersWritten(record)], answer: .errorCodes(codes))
    }

    func decideExpireTransactions(_ idleSinceMs: Int64, _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        let isAnyIdle = transactions.all.values.contains { !$0.isOngoing && $0.lastUsedMs < idleSinceMs }
        let record = TransactionsExpired(idleSinceMs: idleSinceMs, nowMs: nowMs)
        return LedgerDecision(records: isAnyIdle ? [.transactionsExpired(record)] : [], answer: .done)
    }
}

extension LedgerDecision {
    fileprivate static func rejected(_ code: ErrorCode) -> LedgerDecision {
        LedgerDecision(answer: .transaction(.rejected(code)))
    }

    fileprivate static func accepted(_ state: TransactionState) -> LedgerDecision {
        LedgerDecision(answer: .transaction(.accepted(producerID: state.producerID, epoch: state.epoch)))
    }
}
