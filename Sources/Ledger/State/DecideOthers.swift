import KafkaProtocol

extension LedgerState {
    func decideProducerIDs(count: Int) throws(LedgerRefusal) -> LedgerDecision {
        try Check.range("count", Int64(count), 1...Int64(LedgerLimits.producerIDsPerRequestMax))
        let last = nextProducerID.addingReportingOverflow(Int64(count))
        guard !last.overflow else { throw .invalid(field: "producer ids", value: nextProducerID, limit: .max) }
        let record = ProducerIDsAllocated(first: nextProducerID, count: Int64(count))
        return LedgerDecision(
            records: [.producerIDsAllocated(record)], answer: .producerIDs(nextProducerID..<last.partialValue))
    }

    func decide(_ command: CommitGroupOffsets) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.text("group", command.group, bytesMax: LedgerLimits.textBytesMax)
        try Check.count("items", command.items.count, max: LedgerLimits.offsetsPerCommitMax)
        var accepted: [CommitGroupOffsets.Item] = []
        let codes = command.items.map { item -> ErrorCode in
            let code = flaw(of: item)
            if code == .none { accepted.append(item) }
            return code
        }
        guard !accepted.isEmpty else { return LedgerDecision(answer: .errorCodes(codes)) }
        let isNew = groups.all[command.group] == nil
        try Check.count("groups", groups.all.count + (isNew ? 1 : 0), max: LedgerLimits.groupsMax)
        let record = GroupOffsetsCommitted(group: command.group, items: accepted, nowMs: command.nowMs)
        return LedgerDecision(records: [.groupOffsetsCommitted(record)], answer: .errorCodes(codes))
    }

    /// `.none` if the offset may be committed.
    func flaw(of item: CommitGroupOffsets.Item) -> ErrorCode {
        guard topics.exists(item.topicID, item.partition) else { return .unknownTopicOrPartition }
        guard item.metadata.utf8.count <= LedgerLimits.offsetMetadataBytesMax else { return .offsetMetadataTooLarge }
        return item.offset >= 0 ? .none : .invalidCommitOffsetSize
    }

    func decideDeleteGroup(_ group: String) throws(LedgerRefusal) -> LedgerDecision {
        guard groups.all[group] != nil else { throw .unknownGroup(group) }
        return LedgerDecision(records: [.groupDeleted(GroupDeleted(group: group))], answer: .done)
    }

    func decideDeleteOffsets(
        _ group: String, _ partitions: [TopicPartition]
    ) throws(LedgerRefusal) -> LedgerDecision {
        try Check.count("partitions", partitions.count, max: LedgerLimits.offsetsPerCommitMax)
        guard let offsets = groups.all[group] else { throw .unknownGroup(group) }
        let present = partitions.filter { offsets[$0] != nil }
        let codes = partitions.map {
            topics.exists($0.topicID, $0.partition) ? ErrorCode.none : .unknownTopicOrPartition
        }
        let record = GroupOffsetsDeleted(group: group, partitions: present)
        return LedgerDecision(
            records: present.isEmpty ? [] : [.groupOffsetsDeleted(record)], answer: .errorCodes(codes))
    }

    func decideExpire(_ idleSinceMs: Int64, _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        let record = ProducersExpired(idleSinceMs: idleSinceMs, nowMs: nowMs)
        return LedgerDecision(records: [.producersExpired(record)], answer: .done)
    }

    func decideNode(_ nodeID: Int32, _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        let epoch = (nodes[nodeID]?.epoch ?? 0).addingReportingOverflow(1)
        guard !epoch.overflow else { throw .invalid(field: "node epoch", value: .max, limit: .max) }
        let isNew = nodes[nodeID] == nil
        try Check.count("nodes", nodes.count + (isNew ? 1 : 0), max: LedgerLimits.nodesMax)
        let record = NodeRegistered(nodeID: nodeID, epoch: epoch.partialValue, nowMs: nowMs)
        return LedgerDecision(records: [.nodeRegistered(record)], answer: .nodeEpoch(epoch.partialValue))
    }
}
