import KafkaProtocol

extension LedgerState {
    func decide(_ adoption: SiteAdoption) throws(LedgerRefusal) -> LedgerDecision {
        try check(adoption)
        let lane = sites.lane(adoption.site, adoption.incarnation, adoption.lane) ?? LaneState()
        if adoption.sequence < lane.nextSequence {
            let number = objects.numberByKey[adoption.key]
            let answer = number.flatMap { objects.answers.answer(object: $0) }
            return LedgerDecision(answer: .adoption(.alreadyAdopted(runs: answer)))
        }
        guard adoption.sequence == lane.nextSequence else {
            return LedgerDecision(answer: .adoption(.sequenceGap(expected: lane.nextSequence)))
        }
        try checkObject(key: adoption.key, sizeBytes: adoption.sizeBytes, runCount: adoption.runs.count)
        guard objects.numberByKey[adoption.key] == nil else { throw .invalidText(field: "key of another object") }
        try checkGrants(adoption)
        guard adoption.firstLSN > lane.lastLSN || lane.nextSequence == 1 else {
            throw .overlappingLSN(firstLSN: adoption.firstLSN, expected: lane.lastLSN &+ 1)
        }
        try check(gaps: adoption.gaps, of: adoption)
        return try place(adoption)
    }

    private func check(_ adoption: SiteAdoption) throws(LedgerRefusal) {
        try Check.time(adoption.nowMs)
        try Check.text("site", adoption.site)
        try Check.text("incarnation", adoption.incarnation)
        try Check.text("lane", adoption.lane)
        guard adoption.sequence >= 1, adoption.sequence < UInt64(Int64.max) else {
            throw .invalid(field: "sequence", value: Int64(clamping: adoption.sequence), limit: 1)
        }
        guard adoption.firstLSN <= adoption.lastLSN, adoption.lastLSN < UInt64(Int64.max) else {
            throw .invalid(field: "lastLSN", value: Int64(clamping: adoption.lastLSN), limit: Int64.max)
        }
        try checkMayWrite(adoption.site, adoption.incarnation)
        let incarnation = sites.all[adoption.site]?.incarnations[adoption.incarnation]
        if incarnation?.lanes[adoption.lane] == nil {
            let count = (incarnation?.lanes.count ?? 0) + 1
            try Check.count("lanes", count, max: LedgerLimits.lanesPerIncarnationMax)
        }
    }

    private func place(_ adoption: SiteAdoption) throws(LedgerRefusal) -> LedgerDecision {
        var topicPlan = SiteTopicPlan(state: self, adoption: adoption)
        var planner = RunPlanner(state: self, nowMs: adoption.nowMs, runCount: adoption.runs.count)
        for run in adoption.runs {
            try RunPlanner.check(
                position: run.position, lengthBytes: run.lengthBytes, recordCount: run.recordCount,
                objectSizeBytes: adoption.sizeBytes)
            switch topicPlan.resolve(run) {
            case .success(let id): planner.place(RunCommit(run, topicID: id), exists: true)
            case .failure(let code): planner.reject(code.code)
            }
        }
        let record = SiteObjectAdopted(
            object: PlacedObject(
                key: adoption.key, sizeBytes: adoption.sizeBytes, nowMs: adoption.nowMs, outcomes: planner.outcomes,
                committed: planner.committed),
            site: adoption.site, incarnation: adoption.incarnation, lane: adoption.lane, sequence: adoption.sequence,
            firstLSN: adoption.firstLSN, lastLSN: adoption.lastLSN)
        var records = topicPlan.records + [.siteObjectAdopted(record)]
        if !adoption.gaps.isEmpty {
            records.append(.siteGapsNoted(place(gaps: adoption.gaps, of: adoption, outcomes: planner.outcomes)))
        }
        return LedgerDecision(
            records: records,
            answer: .adoption(.adopted(runs: planner.outcomes)))
    }

    func decideSite(_ site: String, _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        try Check.text("site", site)
        let isNew = sites.all[site] == nil
        try Check.count("sites", sites.all.count + (isNew ? 1 : 0), max: LedgerLimits.sitesMax)
        return LedgerDecision(records: [.siteSeen(SiteSeen(site: site, nowMs: nowMs))], answer: .done)
    }

    func decide(_ command: SetSiteState) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        guard let site = sites.all[command.site] else { throw .unknownSite(command.site) }
        if let incarnation = command.fencedIncarnation {
            try Check.text("incarnation", incarnation)
            let count = site.incarnations.count + (site.incarnations[incarnation] == nil ? 1 : 0)
            try Check.count("incarnations", count, max: LedgerLimits.incarnationsPerSiteMax)
        }
        let record = SiteStateSet(
            site: command.site, isSuspended: command.suspended, fencedIncarnation: command.fencedIncarnation ?? "",
            nowMs: command.nowMs)
        return LedgerDecision(records: [.siteStateSet(record)], answer: .done)
    }
}

/// Topics and partitions that a site object needs and that are not there yet.
private struct SiteTopicPlan {
    struct Rejection: Error { var code: ErrorCode }

    private var topics: [String: Result<KafkaUUID, Rejection>] = [:]
    private var counts: [KafkaUUID: (former: Int32, needed: Int32)] = [:]
    private var created: [NewTopic] = []
    private let state: LedgerState
    private let nowMs: Int64
    private let candidates: [String: NewTopic]

    init(state: LedgerState, adoption: SiteAdoption) {
        self.state = state
        nowMs = adoption.nowMs
        candidates = Dictionary(adoption.topicsToCreate.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    }

    mutating func resolve(_ run: SiteRun) -> Result<KafkaUUID, Rejection> {
        let topic = topics[run.topic] ?? find(run.topic)
        topics[run.topic] = topic
        guard case .success(let id) = topic else { return topic }
        guard run.partition >= 0, run.partition < LedgerLimits.partitionsPerTopicMax else {
            return .failure(Rejection(code: .unknownTopicOrPartition))
        }
        let needed = counts[id]?.needed ?? 0
        counts[id]?.needed = max(needed, run.partition + 1)
        return topic
    }

    private mutating func find(_ name: String) -> Result<KafkaUUID, Rejection> {
        if let topic = state.topics.find(.name(name)) {
            let count = Int32(topic.partitions.count)
            counts[topic.id] = (count, count)
            return .success(topic.id)
        }
        guard let candidate = candidates[name] else { return .failure(Rejection(code: .unknownTopicOrPartition)) }
        do throws(LedgerRefusal) {
            try state.check(new: candidate)
        } catch { return .failure(Rejection(code: error.errorCode)) }
        let folded = TopicTable.fold(name)
        let collides = created.contains { $0.id == candidate.id || TopicTable.fold($0.name) == folded }
        guard !collides else { return .failure(Rejection(code: .invalidTopicException)) }
        created.append(candidate)
        counts[candidate.id] = (candidate.partitionCount, candidate.partitionCount)
        return .success(candidate.id)
    }

    /// Created topics in the order of their first runs, each with as many partitions as needed, then grown ones.
    var records: [LedgerRecord] {
        let creations = created.map { topic in
            var topic = topic
            topic.partitionCount = counts[topic.id]?.needed ?? topic.partitionCount
            return LedgerRecord.topicCreated(TopicCreated(topic: topic, nowMs: nowMs))
        }
        let createdIDs = Set(created.map(\.id))
        let growths = counts.filter { !createdIDs.contains($0.key) && $0.value.needed > $0.value.former }
            .sorted { $0.key.precedes($1.key) }
            .map { id, count in
                LedgerRecord.partitionsGrown(
                    PartitionsGrown(
                        id: id, formerCount: count.former, partitionCount: count.needed, nowMs: nowMs))
            }
        return creations + growths
    }
}

extension RunCommit {
    init(_ run: SiteRun, topicID: KafkaUUID) {
        self.init(
            topicID: topicID, partition: run.partition, position: run.position, lengthBytes: run.lengthBytes,
            recordCount: run.recordCount, minTimestampMs: run.minTimestampMs, maxTimestampMs: run.maxTimestampMs)
    }
}
