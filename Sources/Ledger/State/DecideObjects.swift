import KafkaProtocol

extension LedgerState {
    func decide(_ commit: ObjectCommit) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(commit.nowMs)
        try checkObject(key: commit.key, sizeBytes: commit.sizeBytes, runCount: commit.runs.count)
        if let answer = try storedAnswer(commit.key) { return LedgerDecision(answer: .runs(answer)) }
        try checkNode(commit.nodeID, commit.nodeEpoch)
        var planner = RunPlanner(state: self, nowMs: commit.nowMs, runCount: commit.runs.count)
        for run in commit.runs {
            try check(run, objectSizeBytes: commit.sizeBytes)
            planner.place(run, exists: topics.exists(run.topicID, run.partition))
        }
        let object = PlacedObject(
            key: commit.key, sizeBytes: commit.sizeBytes, nowMs: commit.nowMs, outcomes: planner.outcomes,
            committed: planner.committed)
        let record = ObjectCommitted(object: object, nodeID: commit.nodeID, nodeEpoch: commit.nodeEpoch)
        return LedgerDecision(records: [.objectCommitted(record)], answer: .runs(planner.outcomes))
    }

    func checkObject(key: String, sizeBytes: Int64, runCount: Int) throws(LedgerRefusal) {
        try Check.text("key", key)
        try Check.range("object size", sizeBytes, 1...LedgerLimits.objectSizeBytesMax)
        try Check.count("runs", runCount, max: LedgerLimits.runsPerObjectMax)
        if objects.isTombstoned(key) { throw .tombstoned(key: key) }
    }

    func storedAnswer(_ key: String) throws(LedgerRefusal) -> [RunOutcome]? {
        guard let number = objects.numberByKey[key] else { return nil }
        guard let answer = objects.answers.answer(object: number) else { throw .answerForgotten(key: key) }
        return answer
    }

    private func check(_ run: RunCommit, objectSizeBytes: Int64) throws(LedgerRefusal) {
        try RunPlanner.check(
            position: run.position, lengthBytes: run.lengthBytes, recordCount: run.recordCount,
            objectSizeBytes: objectSizeBytes)
        try checkStamps(of: run)
    }

    func checkStamps(of run: RunCommit) throws(LedgerRefusal) {
        try Check.count("stamps", run.stamps.count, max: LedgerLimits.stampsPerRunMax)
        for stamp in run.stamps {
            try Check.range("producer id", stamp.producerID, 0...PackedExtent.producerIDMax)
            try Check.range("sequence", Int64(stamp.firstSequence), 0...Int64(Int32.max))
            try Check.range("sequence", Int64(stamp.lastSequence), 0...Int64(Int32.max))
            try Check.range("relative offset", stamp.relativeOffset, 0...(run.recordCount - 1))
        }
        guard run.transaction == .none || run.stamps.count == 1 else {
            throw .invalid(field: "stamps of a transactional run", value: Int64(run.stamps.count), limit: 1)
        }
    }

    func decideMark(_ keys: [String], _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        try Check.count("keys", keys.count, max: LedgerLimits.keysPerCommandMax)
        var marks = ObjectMarks()
        var fresh: [String] = []
        for key in keys {
            try Check.text("key", key)
            if objects.isTombstoned(key) {
                marks.marked.append(key)
            } else if let number = objects.numberByKey[key], objects.all[number]?.extentCount != 0 {
                marks.refused.append(key)
            } else {
                marks.marked.append(key)
                fresh.append(key)
            }
        }
        try Check.count("tombstones", objects.tombstones.count + fresh.count, max: LedgerLimits.tombstonesMax)
        let record = ObjectsMarked(keys: fresh, nowMs: nowMs)
        return LedgerDecision(records: fresh.isEmpty ? [] : [.objectsMarked(record)], answer: .objects(marks))
    }

    func decideForget(_ keys: [String], _ nowMs: Int64) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(nowMs)
        try Check.count("keys", keys.count, max: LedgerLimits.keysPerCommandMax)
        var marks = ObjectMarks()
        var fresh: [String] = []
        for key in keys {
            if let tombstone = objects.tombstones[key] {
                marks.marked.append(key)
                if !tombstone.isForgotten { fresh.append(key) }
            } else {
                marks.refused.append(key)
            }
        }
        let record = ObjectsForgotten(keys: fresh, nowMs: nowMs)
        return LedgerDecision(records: fresh.isEmpty ? [] : [.objectsForgotten(record)], answer: .objects(marks))
    }
}
