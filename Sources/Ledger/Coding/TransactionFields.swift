import KafkaProtocol

// The fields of transactions, volumes and rewrites, in the order of docs/ledger-format.md.

extension InitTransaction: LedgerCoded {
    static var blank: Self { Self(transactionalID: "", timeoutMs: 0, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.integer(&timeoutMs)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.signed(&nowMs)
    }
}

extension AddToTransaction: LedgerCoded {
    static var blank: Self { Self(transactionalID: "", producerID: 0, epoch: 0, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.list(&partitions)
        try coder.text(&group)
        try coder.signed(&nowMs)
    }
}

extension CommitTransactionOffsets: LedgerCoded {
    static var blank: Self {
        Self(transactionalID: "", producerID: 0, epoch: 0, group: "", items: [], addsGroup: false, nowMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.text(&group)
        try coder.list(&items)
        try coder.boolean(&addsGroup)
        try coder.signed(&nowMs)
    }
}

extension EndTransaction: LedgerCoded {
    static var blank: Self {
        Self(transactionalID: "", producerID: 0, epoch: 0, commits: false, raisesEpoch: false, nowMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.boolean(&commits)
        try coder.boolean(&raisesEpoch)
        try coder.signed(&nowMs)
    }
}

extension AbortOverdueTransaction: LedgerCoded {
    static var blank: Self { Self(transactionalID: "", nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&nowMs)
    }
}

extension WriteMarkers: LedgerCoded {
    static var blank: Self { Self(producerID: 0, epoch: 0, commits: false, partitions: [], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.boolean(&commits)
        try coder.list(&partitions)
        try coder.signed(&nowMs)
    }
}

extension RegisterVolume: LedgerCoded {
    static var blank: Self { Self(volume: .zero, nodeID: 0, nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&volume)
        try coder.integer(&nodeID)
        try coder.signed(&nowMs)
    }
}

extension LogCommit: LedgerCoded {
    static var blank: Self { Self(volume: .zero, nodeID: 0, nodeEpoch: 0, runs: [], nowMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&volume)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
        try coder.list(&runs)
        try coder.signed(&nowMs)
    }
}

extension RewrittenRun: LedgerCoded {
    static var blank: Self {
        Self(
            topicID: .zero, partition: 0, baseOffset: 0, lastOffset: 0, fingerprint: 0, position: 0, lengthBytes: 0,
            minTimestampMs: 0, maxTimestampMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&topicID)
        try coder.integer(&partition)
        try coder.signed(&baseOffset)
        try coder.signed(&lastOffset)
        try coder.unsigned(&fingerprint)
        try coder.signed(&position)
        try coder.signed(&lengthBytes)
        try coder.signed(&minTimestampMs)
        try coder.signed(&maxTimestampMs)
        if coder.version >= 3 { try coder.list(&forgotten) }
    }
}

extension AbortedTransaction: LedgerCoded {
    static var blank: Self { Self(producerID: 0, firstOffset: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.signed(&firstOffset)
    }
}

extension ExtentRewrite: LedgerCoded {
    static var blank: Self {
        Self(
            key: "", sizeBytes: 0, nodeID: 0, nodeEpoch: 0, holdsOffsets: false, committedMs: 0, runs: [], nowMs: 0)
    }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&key)
        try coder.signed(&sizeBytes)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
        try coder.boolean(&holdsOffsets)
        try coder.signed(&committedMs)
        try coder.list(&runs)
        try coder.signed(&nowMs)
    }
}

// MARK: - Records

extension TransactionInitialised: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.integer(&formerEpoch)
        try coder.integer(&timeoutMs)
        try coder.signed(&nowMs)
    }
}

extension TransactionExtended: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.list(&partitions)
        try coder.text(&group)
        try coder.signed(&nowMs)
    }
}

extension TransactionOffsetsAdded: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.text(&group)
        try coder.list(&items)
        try coder.signed(&nowMs)
    }
}

extension TransactionEnded: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&transactionalID)
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.boolean(&commits)
        try coder.list(&partitions)
        try coder.signed(&nextProducerID)
        try coder.integer(&nextEpoch)
        try coder.integer(&formerEpoch)
        try coder.signed(&nowMs)
    }
}

extension MarkersWritten: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.boolean(&commits)
        try coder.list(&partitions)
        try coder.signed(&nowMs)
    }
}

extension TransactionsExpired: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&idleSinceMs)
        try coder.signed(&nowMs)
    }
}

extension VolumeRegistered: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&volume)
        try coder.integer(&number)
        try coder.integer(&nodeID)
        try coder.signed(&nowMs)
    }
}

extension LogCommitted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&volume)
        try coder.unsigned(&lastLSN)
        try coder.value(&object)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
    }
}

extension ExtentsRewritten: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&key)
        try coder.signed(&sizeBytes)
        try coder.boolean(&holdsOffsets)
        try coder.signed(&committedMs)
        try coder.signed(&nowMs)
        try coder.list(&outcomes)
        try coder.list(&runs)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
    }
}

// MARK: - Parts of the snapshot

extension AbortedRange: LedgerCoded {
    static var blank: Self { Self(producerID: 0, firstOffset: 0, lastOffset: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.signed(&firstOffset)
        try coder.signed(&lastOffset)
    }
}

/// Where an open transaction of a producer began in a partition.
struct OpenedRange: LedgerCoded {
    var producerID: Int64 = 0
    var firstOffset: Int64 = 0
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.signed(&firstOffset)
    }
}

extension TransactionState: LedgerCoded {
    static var blank: Self { Self(producerID: 0, epoch: 0, timeoutMs: 0, lastUsedMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&producerID)
        try coder.integer(&epoch)
        try coder.signed(&formerProducerID)
        try coder.integer(&formerEpoch)
        try coder.integer(&timeoutMs)
        var number = UInt64(phase.rawValue)
        try coder.unsigned(&number)
        guard let phase = UInt8(exactly: number).flatMap({ Phase(rawValue: $0) }) else {
            throw .invalidTag(what: "transaction phase", tag: Int(truncatingIfNeeded: number))
        }
        self.phase = phase
        try coder.signed(&startedMs)
        try coder.signed(&lastUsedMs)
        var places = partitions.sorted()
        try coder.list(&places)
        partitions = Set(places)
        var pending = groups.sorted { $0.key < $1.key }.map { group, offsets in
            PendingGroup(group: group, offsets: offsets)
        }
        try coder.list(&pending)
        groups = Dictionary(pending.map { ($0.group, $0.offsets) }) { _, last in last }
    }
}

private struct PendingGroup: LedgerCoded {
    var group = ""
    var offsets: [TopicPartition: GroupOffset] = [:]
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&group)
        var pairs = offsets.sorted { $0.key < $1.key }.map { PlacedOffset(place: $0.key, offset: $0.value) }
        try coder.list(&pairs)
        offsets = Dictionary(pairs.map { ($0.place, $0.offset) }) { _, last in last }
    }
}

private struct PlacedOffset: LedgerCoded {
    var place: TopicPartition
    var offset: GroupOffset
    static var blank: Self { Self(place: .blank, offset: .blank) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&place)
        try coder.value(&offset)
    }
}

extension VolumeState: LedgerCoded {
    static var blank: Self { Self(number: 0, nodeID: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.integer(&number)
        try coder.integer(&nodeID)
        try coder.unsigned(&lastLSN)
        try coder.list(&lastAnswer)
    }
}
