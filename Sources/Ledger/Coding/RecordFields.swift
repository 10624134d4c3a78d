import KafkaProtocol

// The fields of records, in the order of docs/ledger-format.md.

extension TopicCreated: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&topic)
        try coder.signed(&nowMs)
        try checkPartitionCount(topic.partitionCount, atLeast: 0)
    }
}

extension TopicDeleted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&id)
        try coder.integer(&partitionCount)
        try coder.signed(&nowMs)
        try checkPartitionCount(partitionCount, atLeast: 0)
    }
}

extension PartitionsGrown: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&id)
        try coder.integer(&formerCount)
        try coder.integer(&partitionCount)
        try coder.signed(&nowMs)
        try checkPartitionCount(formerCount, atLeast: 0)
        try checkPartitionCount(partitionCount, atLeast: formerCount)
    }
}

/// A count that no ledger has ever allowed is not read: it would be memory.
private func checkPartitionCount(_ count: Int32, atLeast: Int32) throws(LedgerFormatError) {
    guard count >= atLeast, count <= 1_000_000 else { throw .invalidValue(what: "partition count") }
}

extension TopicConfigsSet: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.topicID(&id)
        try coder.configs(&configs)
        try coder.signed(&nowMs)
    }
}

extension PlacedObject: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&key)
        try coder.signed(&sizeBytes)
        try coder.signed(&nowMs)
        try coder.list(&outcomes)
        try coder.list(&committed)
        let placed = outcomes.reduce(0) { count, outcome in
            if case .committed = outcome { count + 1 } else { count }
        }
        guard placed == committed.count else { throw .invalidValue(what: "count of committed runs") }
    }
}

extension ObjectCommitted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&object)
        try coder.integer(&nodeID)
        try coder.signed(&nodeEpoch)
    }
}

extension SiteObjectAdopted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.value(&object)
        try coder.text(&site)
        try coder.text(&incarnation)
        try coder.text(&lane)
        try coder.unsigned(&sequence)
        try coder.unsigned(&firstLSN)
        try coder.unsigned(&lastLSN)
    }
}

extension ProducerIDsAllocated: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&first)
        try coder.signed(&count)
    }
}

extension GroupOffsetsCommitted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&group)
        try coder.list(&items)
        try coder.signed(&nowMs)
    }
}

extension GroupDeleted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&group)
    }
}

extension GroupOffsetsDeleted: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&group)
        try coder.list(&partitions)
    }
}

extension LogStartsAdvanced: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.list(&items)
        try coder.signed(&nowMs)
    }
}

extension ObjectsMarked: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.texts(&keys)
        try coder.signed(&nowMs)
    }
}

extension ObjectsForgotten: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.texts(&keys)
        try coder.signed(&nowMs)
    }
}

extension ProducersExpired: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&idleSinceMs)
        try coder.signed(&nowMs)
    }
}

extension NodeRegistered: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.integer(&nodeID)
        try coder.signed(&epoch)
        try coder.signed(&nowMs)
    }
}

extension SiteSeen: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.signed(&nowMs)
    }
}

extension SiteStateSet: LedgerCoded {
    static var blank: Self { Self() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.text(&site)
        try coder.boolean(&isSuspended)
        try coder.text(&fencedIncarnation)
        try coder.signed(&nowMs)
    }
}
