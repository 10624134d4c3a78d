import KafkaProtocol

// The fields of commands and of what records share with them, in the order of docs/ledger-format.md.

extension TopicPartition: LedgerCoded {
    static var blank: TopicPartition { TopicPartition(topicID: .zero, partition: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&topicID)
        try coder.integer(&partition)
    }
}

extension NewTopic: LedgerCoded {
    static var blank: NewTopic { NewTopic(name: "", id: .zero, partitionCount: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&name)
        try coder.topicID(&id)
        try coder.integer(&partitionCount)
        try coder.configs(&configs)
    }
}

extension CreateTopic: LedgerCoded {
    static var blank: CreateTopic { CreateTopic(topic: .blank, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&topic)
        try coder.boolean(&validateOnly)
        try coder.signed(&nowMs)
    }
}

extension TopicReference: LedgerCoded {
    static var blank: TopicReference { .name("") }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        var isID = false
        if case .id = self { isID = true }
        try coder.boolean(&isID)
        if isID {
            var id = KafkaUUID.zero
            if case .id(let present) = self { id = present }
            try coder.topicID(&id)
            self = .id(id)
        } else {
            var name = ""
            if case .name(let present) = self { name = present }
            try coder.text(&name)
            self = .name(name)
        }
    }
}

extension DeleteTopic: LedgerCoded {
    static var blank: DeleteTopic { DeleteTopic(topic: .blank, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&topic)
        try coder.signed(&nowMs)
    }
}

extension CreatePartitions: LedgerCoded {
    static var blank: CreatePartitions { CreatePartitions(topic: .blank, partitionCount: 0, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&topic)
        try coder.integer(&partitionCount)
        try coder.boolean(&validateOnly)
        try coder.signed(&nowMs)
    }
}

extension SetTopicConfigs: LedgerCoded {
    static var blank: SetTopicConfigs { SetTopicConfigs(topic: .blank, configs: [:], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&topic)
        try coder.configs(&configs)
        try coder.signed(&nowMs)
    }
}

extension AdvanceLogStart.Item: LedgerCoded {
    static var blank: Self { Self(topicID: .zero, partition: 0, newLogStart: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&topicID)
        try coder.integer(&partition)
        try coder.signed(&newLogStart)
    }
}

extension AdvanceLogStart: LedgerCoded {
    static var blank: AdvanceLogStart { AdvanceLogStart(items: [], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.list(&items)
        try coder.signed(&nowMs)
    }
}

extension CommitGroupOffsets.Item: LedgerCoded {
    static var blank: Self { Self(topicID: .zero, partition: 0, offset: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&topicID)
        try coder.integer(&partition)
        try coder.signed(&offset)
        try coder.integer(&leaderEpoch)
        try coder.text(&metadata)
    }
}

extension CommitGroupOffsets: LedgerCoded {
    static var blank: CommitGroupOffsets { CommitGroupOffsets(group: "", items: [], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&group)
        try coder.list(&items)
        try coder.signed(&nowMs)
    }
}

extension RunCommit.ProducerStamp: LedgerCoded {
    static var blank: Self { Self(producerID: 0, epoch: 0, firstSequence: 0, lastSequence: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.integer(&firstSequence)
        try coder.integer(&lastSequence)
        try coder.signed(&relativeOffset)
    }
}

extension RunCommit: LedgerCoded {
    static var blank: RunCommit {
        RunCommit(
            topicID: .zero, partition: 0, position: 0, lengthBytes: 0, recordCount: 0, minTimestampMs: 0,
            maxTimestampMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&topicID)
        try coder.integer(&partition)
        try coder.signed(&position)
        try coder.signed(&lengthBytes)
        try coder.signed(&recordCount)
        try coder.signed(&minTimestampMs)
        // The span is short where the time is not.
        var spanMs = maxTimestampMs &- minTimestampMs
        try coder.signed(&spanMs)
        maxTimestampMs = minTimestampMs &+ spanMs
        try coder.list(&stamps)
        guard coder.version >= 2 else { return }
        var use = UInt64(transaction.rawValue)
        try coder.unsigned(&use)
        guard let known = UInt8(exactly: use).flatMap({ TransactionUse(rawValue: $0) }) else {
            throw .invalidTag(what: "transaction use", tag: Int(truncatingIfNeeded: use))
        }
        transaction = known
    }
}

extension ObjectCommit: LedgerCoded {
    static var blank: ObjectCommit {
        ObjectCommit(key: "", sizeBytes: 0, nodeID: 0, nodeEpoch: 0, runs: [], nowMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&key)
        try coder.signed(&sizeBytes)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
        try coder.list(&runs)
        try coder.signed(&nowMs)
    }
}

extension SiteRun: LedgerCoded {
    static var blank: SiteRun {
        SiteRun(
            topic: "", partition: 0, position: 0, lengthBytes: 0, recordCount: 0, minTimestampMs: 0, maxTimestampMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&topic)
        try coder.integer(&partition)
        try coder.signed(&position)
        try coder.signed(&lengthBytes)
        try coder.signed(&recordCount)
        try coder.signed(&minTimestampMs)
        try coder.signed(&maxTimestampMs)
    }
}

extension SiteAdoption: LedgerCoded {
    static var blank: SiteAdoption {
        SiteAdoption(
            site: "", incarnation: "", lane: "", sequence: 0, firstLSN: 0, lastLSN: 0, key: "", sizeBytes: 0, runs: [],
            nowMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.text(&incarnation)
        try coder.text(&lane)
        try coder.unsigned(&sequence)
        try coder.unsigned(&firstLSN)
        try coder.unsigned(&lastLSN)
        try coder.text(&key)
        try coder.signed(&sizeBytes)
        try coder.list(&runs)
        try coder.list(&topicsToCreate)
        try coder.signed(&nowMs)
        if coder.version >= 4 { try coder.list(&gaps) }
    }
}

extension SetSiteState: LedgerCoded {
    static var blank: SetSiteState { SetSiteState(site: "", suspended: false, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.boolean(&suspended)
        var isFencing = fencedIncarnation != nil
        try coder.boolean(&isFencing)
        var incarnation = fencedIncarnation ?? ""
        if isFencing { try coder.text(&incarnation) }
        fencedIncarnation = isFencing ? incarnation : nil
        try coder.signed(&nowMs)
    }
}

extension RunOutcome: LedgerCoded {
    static var blank: RunOutcome { .rejected(.none) }

    private var tag: UInt64 {
        switch self {
        case .committed: 0
        case .duplicate: 1
        case .rejected: 2
        }
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        var tag = tag
        try coder.unsigned(&tag)
        var (first, second) = numbers
        try coder.signed(&first)
        if tag < 2 { try coder.signed(&second) }
        switch tag {
        case 0: self = .committed(baseOffset: first, logStart: second)
        case 1: self = .duplicate(baseOffset: first, timestampMs: second)
        case 2:
            guard let raw = Int16(exactly: first), let code = ErrorCode(rawValue: raw) else {
                throw .invalidValue(what: "error code")
            }
            self = .rejected(code)
        default: throw .invalidTag(what: "run outcome", tag: Int(truncatingIfNeeded: tag))
        }
    }

    private var numbers: (Int64, Int64) {
        switch self {
        case .committed(let baseOffset, let logStart): (baseOffset, logStart)
        case .duplicate(let baseOffset, let timestampMs): (baseOffset, timestampMs)
        case .rejected(let code): (Int64(code.rawValue), 0)
        }
    }
}
