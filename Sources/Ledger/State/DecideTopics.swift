import KafkaProtocol

extension LedgerState {
    func decide(_ command: CreateTopic) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try check(new: command.topic)
        let facts = TopicFacts(
            name: command.topic.name, id: command.topic.id, partitionCount: command.topic.partitionCount,
            configs: command.topic.configs, createdMs: command.nowMs)
        guard !command.validateOnly else { return LedgerDecision(answer: .topic(facts)) }
        let record = TopicCreated(topic: command.topic, nowMs: command.nowMs)
        return LedgerDecision(records: [.topicCreated(record)], answer: .topic(facts))
    }

    /// Every rule for a topic that is to be. Source: Kafka's ReplicationControlManager.
    func check(new topic: NewTopic) throws(LedgerRefusal) {
        guard TopicTable.isValid(topic.name) else { throw .invalidTopicName(topic.name) }
        if let like = topics.like(topic.name) {
            throw like.name == topic.name
                ? .topicExists(name: like.name, id: like.id)
                : .topicNameCollides(name: topic.name, with: like.name)
        }
        guard topic.id != .zero, topics.all[topic.id] == nil else { throw .invalidTopicID(topic.id) }
        guard (1...LedgerLimits.partitionsPerTopicMax).contains(topic.partitionCount) else {
            throw .invalidPartitionCount(
                asked: topic.partitionCount, present: 0, max: LedgerLimits.partitionsPerTopicMax)
        }
        try Check.configs(topic.configs)
        try Check.count("topics", topics.all.count + 1, max: LedgerLimits.topicsMax)
    }

    private func find(_ reference: TopicReference) throws(LedgerRefusal) -> TopicState {
        guard let topic = topics.find(reference) else { throw .unknownTopic(reference) }
        return topic
    }

    func decide(_ command: DeleteTopic) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        let facts = try find(command.topic).facts
        let record = TopicDeleted(id: facts.id, partitionCount: facts.partitionCount, nowMs: command.nowMs)
        return LedgerDecision(records: [.topicDeleted(record)], answer: .topic(facts))
    }

    func decide(_ command: CreatePartitions) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        var facts = try find(command.topic).facts
        let formerCount = facts.partitionCount
        guard command.partitionCount > formerCount, command.partitionCount <= LedgerLimits.partitionsPerTopicMax
        else {
            throw .invalidPartitionCount(
                asked: command.partitionCount, present: formerCount, max: LedgerLimits.partitionsPerTopicMax)
        }
        facts.partitionCount = command.partitionCount
        guard !command.validateOnly else { return LedgerDecision(answer: .topic(facts)) }
        let record = PartitionsGrown(
            id: facts.id, formerCount: formerCount, partitionCount: command.partitionCount, nowMs: command.nowMs)
        return LedgerDecision(records: [.partitionsGrown(record)], answer: .topic(facts))
    }

    func decide(_ command: SetTopicConfigs) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.configs(command.configs)
        var facts = try find(command.topic).facts
        guard facts.configs != command.configs else { return LedgerDecision(answer: .topic(facts)) }
        facts.configs = command.configs
        let record = TopicConfigsSet(id: facts.id, configs: command.configs, nowMs: command.nowMs)
        return LedgerDecision(records: [.topicConfigsSet(record)], answer: .topic(facts))
    }

    func decide(_ command: AdvanceLogStart) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        try Check.count("items", command.items.count, max: LedgerLimits.offsetsPerCommitMax)
        var starts: [TopicPartition: Int64] = [:]
        var moved: [AdvanceLogStart.Item] = []
        let outcomes = command.items.map { item -> LogStartOutcome in
            guard let partition = topics.partition(item.topicID, item.partition) else {
                return .rejected(.unknownTopicOrPartition)
            }
            guard item.newLogStart >= 0, item.newLogStart <= partition.highWatermark else {
                return .rejected(.offsetOutOfRange)
            }
            let place = TopicPartition(topicID: item.topicID, partition: item.partition)
            let present = starts[place] ?? partition.logStart
            guard item.newLogStart > present else { return .logStart(present) }
            starts[place] = item.newLogStart
            moved.append(item)
            return .logStart(item.newLogStart)
        }
        let record = LogStartsAdvanced(items: moved, nowMs: command.nowMs)
        return LedgerDecision(records: moved.isEmpty ? [] : [.logStartsAdvanced(record)], answer: .logStarts(outcomes))
    }
}
