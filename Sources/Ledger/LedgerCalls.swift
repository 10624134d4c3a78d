public import KafkaProtocol

/// `submit` with the answer already unwrapped.
extension Ledger {
    public func createTopic(_ command: CreateTopic) async throws(LedgerError) -> TopicFacts {
        try await submit(.createTopic(command)).asTopic()
    }

    public func deleteTopic(_ topic: TopicReference, nowMs: Int64) async throws(LedgerError) -> TopicFacts {
        try await submit(.deleteTopic(DeleteTopic(topic: topic, nowMs: nowMs))).asTopic()
    }

    public func createPartitions(_ command: CreatePartitions) async throws(LedgerError) -> TopicFacts {
        try await submit(.createPartitions(command)).asTopic()
    }

    public func setTopicConfigs(_ command: SetTopicConfigs) async throws(LedgerError) -> TopicFacts {
        try await submit(.setTopicConfigs(command)).asTopic()
    }

    /// One outcome per run.
    public func commitObject(_ commit: ObjectCommit) async throws(LedgerError) -> [RunOutcome] {
        guard case .runs(let outcomes) = try await submit(.commitObject(commit)) else { throw .unexpectedAnswer }
        return outcomes
    }

    public func adoptSiteObject(_ adoption: SiteAdoption) async throws(LedgerError) -> AdoptionOutcome {
        guard case .adoption(let outcome) = try await submit(.adoptSiteObject(adoption)) else {
            throw .unexpectedAnswer
        }
        return outcome
    }

    public func allocateProducerIDs(count: Int) async throws(LedgerError) -> Range<Int64> {
        guard case .producerIDs(let range) = try await submit(.allocateProducerID(count: count)) else {
            throw .unexpectedAnswer
        }
        return range
    }

    /// One code per item.
    public func commitGroupOffsets(_ command: CommitGroupOffsets) async throws(LedgerError) -> [ErrorCode] {
        guard case .errorCodes(let codes) = try await submit(.commitGroupOffsets(command)) else {
            throw .unexpectedAnswer
        }
        return codes
    }

    /// One outcome per item.
    public func advanceLogStart(_ command: AdvanceLogStart) async throws(LedgerError) -> [LogStartOutcome] {
        guard case .logStarts(let outcomes) = try await submit(.advanceLogStart(command)) else {
            throw .unexpectedAnswer
        }
        return outcomes
    }

    public func markObjectsDeleting(_ keys: [String], nowMs: Int64) async throws(LedgerError) -> ObjectMarks {
        try await submit(.markObjectsDeleting(keys: keys, nowMs: nowMs)).asMarks()
    }

    public func forgetObjects(_ keys: [String], nowMs: Int64) async throws(LedgerError) -> ObjectMarks {
        try await submit(.forgetObjects(keys: keys, nowMs: nowMs)).asMarks()
    }

    public func registerNode(_ nodeID: Int32, nowMs: Int64) async throws(LedgerError) -> Int64 {
        guard case .nodeEpoch(let epoch) = try await submit(.registerNode(nodeID: nodeID, nowMs: nowMs)) else {
            throw .unexpectedAnswer
        }
        return epoch
    }
}

extension Ledger {
    public func registerVolume(_ command: RegisterVolume) async throws(LedgerError) -> UInt64 {
        guard case .volume(let lastLSN) = try await submit(.registerVolume(command)) else { throw .unexpectedAnswer }
        return lastLSN
    }

    /// One outcome per run.
    public func rewriteExtents(_ rewrite: ExtentRewrite) async throws(LedgerError) -> [RunOutcome] {
        guard case .runs(let outcomes) = try await submit(.rewriteExtents(rewrite)) else { throw .unexpectedAnswer }
        return outcomes
    }
}

extension Ledger {
    public func setSiteRegistration(_ command: SetSiteRegistration) async throws(LedgerError) {
        guard case .done = try await submit(.setSiteRegistration(command)) else { throw .unexpectedAnswer }
    }

    public func noteSiteBoot(_ command: NoteSiteBoot) async throws(LedgerError) -> BootOutcome {
        guard case .boot(let outcome) = try await submit(.noteSiteBoot(command)) else { throw .unexpectedAnswer }
        return outcome
    }
}

extension LedgerError {
    /// The state machine answered a command with another command's answer: an error of this module, not of the caller.
    static var unexpectedAnswer: LedgerError { .unavailable("the ledger answered with another command's answer") }
}

extension LedgerAnswer {
    fileprivate func asTopic() throws(LedgerError) -> TopicFacts {
        guard case .topic(let facts) = self else { throw .unexpectedAnswer }
        return facts
    }

    fileprivate func asMarks() throws(LedgerError) -> ObjectMarks {
        guard case .objects(let marks) = self else { throw .unexpectedAnswer }
        return marks
    }
}
