import KafkaProtocol

// Validation. Each function looks at the state and says what the command comes to, or refuses it.

extension LedgerState {
    func decide(_ command: LedgerCommand) throws(LedgerRefusal) -> LedgerDecision {
        switch command {
        case .createTopic(let command): try decide(command)
        case .deleteTopic(let command): try decide(command)
        case .createPartitions(let command): try decide(command)
        case .setTopicConfigs(let command): try decide(command)
        case .commitObject(let command): try decide(command)
        case .adoptSiteObject(let command): try decide(command)
        case .allocateProducerID(let count): try decideProducerIDs(count: count)
        case .commitGroupOffsets(let command): try decide(command)
        case .deleteGroup(let group): try decideDeleteGroup(group)
        case .deleteGroupOffsets(let group, let partitions): try decideDeleteOffsets(group, partitions)
        case .advanceLogStart(let command): try decide(command)
        case .markObjectsDeleting(let keys, let nowMs): try decideMark(keys, nowMs)
        case .forgetObjects(let keys, let nowMs): try decideForget(keys, nowMs)
        case .expireProducers(let idleSinceMs, let nowMs): try decideExpire(idleSinceMs, nowMs)
        case .registerNode(let nodeID, let nowMs): try decideNode(nodeID, nowMs)
        case .registerSite(let site, let nowMs): try decideSite(site, nowMs)
        case .setSiteState(let command): try decide(command)
        case .initTransaction(let command): try decide(command)
        case .addToTransaction(let command): try decide(command)
        case .commitTransactionOffsets(let command): try decide(command)
        case .endTransaction(let command): try decide(command)
        case .abortOverdueTransaction(let command): try decide(command)
        case .writeMarkers(let command): try decide(command)
        case .expireTransactions(let idleSinceMs, let nowMs): try decideExpireTransactions(idleSinceMs, nowMs)
        case .registerVolume(let command): try decide(command)
        case .commitLog(let command): try decide(command)
        case .rewriteExtents(let command): try decide(command)
        case .setSiteRegistration(let command): try decide(command)
        case .noteSiteBoot(let command): try decide(command)
        }
    }
}

/// Checks of single values, shared by all decisions.
enum Check {
    static func range(
        _ field: String, _ value: Int64, _ range: ClosedRange<Int64>
    ) throws(LedgerRefusal) {
        guard range.contains(value) else {
            throw .invalid(
                field: field, value: value, limit: value < range.lowerBound ? range.lowerBound : range.upperBound)
        }
    }

    static func time(_ nowMs: Int64) throws(LedgerRefusal) {
        try range("nowMs", nowMs, 0...Int64.max)
    }

    static func text(
        _ field: String, _ value: String, bytesMax: Int = LedgerLimits.keyBytesMax
    ) throws(LedgerRefusal) {
        guard !value.isEmpty else { throw .invalidText(field: field) }
        try range(field, Int64(value.utf8.count), 1...Int64(bytesMax))
    }

    static func count(_ field: String, _ count: Int, max: Int) throws(LedgerRefusal) {
        try range(field, Int64(count), 0...Int64(max))
    }

    static func configs(_ configs: [String: String]) throws(LedgerRefusal) {
        try count("configs", configs.count, max: LedgerLimits.configsPerTopicMax)
        for (key, value) in configs {
            try text("config key", key)
            try count("config value", value.utf8.count, max: LedgerLimits.textBytesMax)
        }
    }
}
