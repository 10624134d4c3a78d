import KafkaProtocol

extension LedgerState {
    func decide(_ command: RegisterVolume) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(command.nowMs)
        guard command.volume != .zero else { throw .invalidText(field: "volume") }
        let present = volumes.all[command.volume]
        let number = present?.number ?? UInt16(truncatingIfNeeded: volumes.all.count)
        try Check.count("volumes", volumes.all.count + (present == nil ? 1 : 0), max: PackedExtent.volumesMax)
        let answer = LedgerAnswer.volume(lastLSN: present?.lastLSN ?? 0)
        if present?.nodeID == command.nodeID { return LedgerDecision(answer: answer) }
        let record = VolumeRegistered(
            volume: command.volume, number: number, nodeID: command.nodeID, nowMs: command.nowMs)
        return LedgerDecision(records: [.volumeRegistered(record)], answer: answer)
    }

    func checkNode(_ nodeID: Int32, _ epoch: Int64) throws(LedgerRefusal) {
        guard let node = nodes[nodeID], epoch < node.epoch else { return }
        throw .nodeFenced(nodeID: nodeID, epoch: epoch, currentEpoch: node.epoch)
    }

    func decide(_ commit: LogCommit) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(commit.nowMs)
        try checkNode(commit.nodeID, commit.nodeEpoch)
        guard let volume = volumes.all[commit.volume] else { throw .invalidText(field: "volume") }
        guard volume.nodeID == commit.nodeID else {
            throw .nodeFenced(nodeID: commit.nodeID, epoch: commit.nodeEpoch, currentEpoch: commit.nodeEpoch)
        }
        try Check.count("runs", commit.runs.count, max: LedgerLimits.runsPerObjectMax)
        guard let last = commit.runs.last else { return LedgerDecision(answer: .runs([])) }
        if UInt64(bitPattern: last.position) == volume.lastLSN, volume.lastAnswer.count == commit.runs.count {
            return LedgerDecision(answer: .runs(volume.lastAnswer))
        }
        var former = volume.lastLSN
        var planner = RunPlanner(state: self, nowMs: commit.nowMs, runCount: commit.runs.count)
        for run in commit.runs {
            guard run.position > 0, UInt64(run.position) > former else {
                throw .overlappingLSN(firstLSN: UInt64(max(0, run.position)), expected: former &+ 1)
            }
            former = UInt64(run.position)
            try Check.range("LSN", run.position, 1...Int64(PackedExtent.lsnMax))
            try Check.range("run length", run.lengthBytes, 1...Int64(UInt32.max))
            try Check.range("record count", run.recordCount, 1...Int64(UInt32.max))
            try checkStamps(of: run)
            planner.place(run, exists: topics.exists(run.topicID, run.partition))
        }
        let object = PlacedObject(nowMs: commit.nowMs, outcomes: planner.outcomes, committed: planner.committed)
        let record = LogCommitted(
            volume: commit.volume, lastLSN: former, object: object, nodeID: commit.nodeID,
            nodeEpoch: commit.nodeEpoch)
        return LedgerDecision(records: [.logCommitted(record)], answer: .runs(planner.outcomes))
    }

    // MARK: Rewriting

    func decide(_ rewrite: ExtentRewrite) throws(LedgerRefusal) -> LedgerDecision {
        try Check.time(rewrite.nowMs)
        try Check.time(rewrite.committedMs)
        try checkObject(key: rewrite.key, sizeBytes: rewrite.sizeBytes, runCount: rewrite.runs.count)
        if let answer = try storedAnswer(rewrite.key) { return LedgerDecision(answer: .runs(answer)) }
        try checkNode(rewrite.nodeID, rewrite.nodeEpoch)
        var through: [TopicPartition: Int64] = [:]
        var taken: [RewrittenRun] = []
        var outcomes: [RunOutcome] = []
        for run in rewrite.runs {
            try RunPlanner.check(
                position: run.position, lengthBytes: run.lengthBytes, recordCount: 1,
                objectSizeBytes: rewrite.sizeBytes)
            try Check.count("forgotten transactions", run.forgotten.count, max: LedgerLimits.forgottenPerRunMax)
            let place = TopicPartition(topicID: run.topicID, partition: run.partition)
            guard let partition = topics.partition(run.topicID, run.partition) else {
                outcomes.append(.rejected(.unknownTopicOrPartition))
                continue
            }
            guard run.baseOffset > through[place] ?? -1,
                let range = partition.extentRange(from: run.baseOffset, through: run.lastOffset),
                partition.extents.fingerprint(range) == run.fingerprint
            else {
                outcomes.append(.rejected(.offsetOutOfRange))
                continue
            }
            through[place] = run.lastOffset
            taken.append(partition.knowing(run))
            outcomes.append(.committed(baseOffset: run.baseOffset, logStart: partition.logStart))
        }
        let record = ExtentsRewritten(
            key: rewrite.key, sizeBytes: rewrite.sizeBytes, holdsOffsets: rewrite.holdsOffsets,
            committedMs: rewrite.committedMs, nowMs: rewrite.nowMs, outcomes: outcomes, runs: taken,
            nodeID: rewrite.nodeID, nodeEpoch: rewrite.nodeEpoch)
        return LedgerDecision(records: [.extentsRewritten(record)], answer: .runs(outcomes))
    }
}

extension PartitionState {
    /// The run with those of its forgotten transactions that are known and end in its offsets: who rewrites a part of a log may say
    /// nothing of what ends elsewhere.
    func knowing(_ run: RewrittenRun) -> RewrittenRun {
        guard !run.forgotten.isEmpty else { return run }
        let asked = Dictionary(run.forgotten.map { ($0.firstOffset, $0.producerID) }) { first, _ in first }
        var known = run
        known.forgotten = aborted.filter {
            asked[$0.firstOffset] == $0.producerID && $0.lastOffset >= run.baseOffset && $0.lastOffset <= run.lastOffset
        }.map { AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset) }
        return known
    }

    mutating func forget(_ transactions: [AbortedTransaction]) {
        guard !transactions.isEmpty else { return }
        let gone = Dictionary(transactions.map { ($0.firstOffset, $0.producerID) }) { first, _ in first }
        aborted.removeAll { gone[$0.firstOffset] == $0.producerID }
    }

    /// The extents that begin with `first` and end with `last`, if there are such.
    func extentRange(from first: Int64, through last: Int64) -> Range<Int>? {
        guard first <= last, last < highWatermark, let begin = extents.index(holding: first),
            let end = extents.index(holding: last), begin <= end, extents[begin].baseOffset == first,
            lastOffset(ofExtent: end) == last
        else { return nil }
        return begin..<end + 1
    }
}

// MARK: - Effects

extension LedgerState {
    mutating func apply(_ record: VolumeRegistered) {
        var state = volumes.all[record.volume] ?? VolumeState(number: record.number, nodeID: record.nodeID)
        state.nodeID = record.nodeID
        volumes.set(record.volume, state)
    }

    mutating func apply(_ record: LogCommitted) {
        guard let volume = volumes.all[record.volume] else { return }
        for (run, baseOffset) in record.object.placements {
            let extent = PackedExtent(
                baseOffset: baseOffset,
                object: PackedExtent.log(volume: volume.number, lsn: UInt64(max(0, run.position))),
                minTimestampMs: run.minTimestampMs, maxTimestampMs: run.maxTimestampMs, position: 0,
                lengthBytes: UInt32(clamping: run.lengthBytes))
            joinTransaction(run, nowMs: record.object.nowMs)
            topics.update(run.topicID, run.partition) { partition in
                _ = partition.append(extent, recordCount: run.recordCount)
                partition.note(run, baseOffset: baseOffset, nowMs: record.object.nowMs)
            }
        }
        volumes.all[record.volume]?.lastLSN = record.lastLSN
        volumes.all[record.volume]?.lastAnswer = record.object.outcomes
        see(record.nodeID, epoch: record.nodeEpoch, nowMs: record.object.nowMs)
    }

    mutating func apply(_ record: ExtentsRewritten) {
        let entry = ObjectEntry(
            key: record.key, sizeBytes: record.sizeBytes, committedMs: record.committedMs, extentCount: 0,
            isQuarantined: false, holdsOffsets: record.holdsOffsets)
        let number = objects.insert(entry, answer: record.outcomes, nowMs: record.nowMs)
        for run in record.runs {
            let extent = PackedExtent(
                baseOffset: run.baseOffset, object: number, minTimestampMs: run.minTimestampMs,
                maxTimestampMs: run.maxTimestampMs, position: UInt32(clamping: run.position),
                lengthBytes: UInt32(clamping: run.lengthBytes))
            var dropped: [PackedExtent] = []
            topics.update(run.topicID, run.partition) { partition in
                guard let range = partition.extentRange(from: run.baseOffset, through: run.lastOffset) else { return }
                dropped = range.map { partition.extents[$0] }
                partition.extents.replace(range, with: [extent])
                for former in dropped { partition.sizeBytes -= Int64(former.lengthBytes) }
                partition.sizeBytes &+= Int64(extent.lengthBytes)
                partition.forget(run.forgotten)
            }
            guard !dropped.isEmpty else { continue }
            objects.addExtent(to: number)
            for former in dropped { objects.dropExtent(of: former.object, nowMs: record.nowMs) }
        }
        see(record.nodeID, epoch: record.nodeEpoch, nowMs: record.nowMs)
    }

    /// A node has committed under `epoch`: older ones are fenced.
    mutating func see(_ nodeID: Int32, epoch: Int64, nowMs: Int64) {
        guard epoch >= nodes[nodeID]?.epoch ?? .min else { return }
        nodes[nodeID] = NodeState(epoch: epoch, lastSeenMs: nowMs)
    }
}
