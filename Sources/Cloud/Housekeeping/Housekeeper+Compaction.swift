import KafkaProtocol
import Ledger
import NIOCore

extension Housekeeper {
    /// A partition that wants cleaning.
    private struct Candidate {
        var topic: TopicFacts
        var place: TopicPartition
        var policy: CleanupPolicy
        var dirtyRatio: Double
    }

    /// Passes over one partition in one round: more than one only where its keys did not fit into memory.
    private static let passesMax = 64

    /// The dirtiest first, as Kafka has it.
    func compactAll() async {
        for candidate in candidates().sorted(by: { $0.dirtyRatio > $1.dirtyRatio }) {
            for _ in 0..<Self.passesMax {
                if Task.isCancelled { return }
                guard let plan = plan(candidate.place, candidate.policy),
                    plan.isDue(candidate.policy, configuration, nowMs: world.wallMs())
                else { break }
                do {
                    try await compact(candidate, plan)
                    succeeded(candidate.place)
                    count { $0.compactions += 1 }
                } catch {
                    failed(candidate.place, topic: candidate.topic.name, error)
                    break
                }
            }
        }
    }

    private func candidates() -> [Candidate] {
        var found: [Candidate] = []
        for topic in view.topics() {
            let policy = CleanupPolicy(topic)
            guard policy.compacts else { continue }
            for index in 0..<topic.partitionCount {
                let place = TopicPartition(topicID: topic.id, partition: index)
                guard !isResting(place), let plan = plan(place, policy),
                    plan.isDue(policy, configuration, nowMs: world.wallMs())
                else { continue }
                found.append(Candidate(topic: topic, place: place, policy: policy, dirtyRatio: plan.dirtyRatio))
            }
        }
        return found
    }

    private func plan(_ place: TopicPartition, _ policy: CleanupPolicy) -> CompactionPlan? {
        guard let facts = view.partition(place.topicID, place.partition) else { return nil }
        return CompactionPlan(
            extents: extents(place, from: facts.logStart), lastStableOffset: facts.lastStableOffset,
            lagMsMin: policy.lagMsMin, nowMs: world.wallMs())
    }

    // MARK: One pass

    /// Two passes as in Kafka's cleaner: the last offset of every key of the dirty part, then everything up to its end is written anew.
    /// In the order of offsets and no further than the first rewrite that fails: what lies before a cleaned
    /// extent has always been cleaned of the same keys, or a tombstone could go while an older value stays.
    private func compact(_ candidate: Candidate, _ plan: CompactionPlan) async throws(HousekeepingError) {
        let place = candidate.place
        // After the last stable offset of the plan was read: all that ended below it is told.
        let aborted = AbortedRanges(view.abortedRanges(place.topicID, place.partition))
        var map = OffsetMap(keysMax: configuration.keysMax, seed: (world.random(), world.random()))
        let end = try await fill(&map, plan, aborted)
        var cleaner = BatchCleaner(
            map: map, aborted: aborted, producers: producers(place),
            deleteRetentionMs: candidate.policy.deleteRetentionMs, nowMs: world.wallMs())
        map = OffsetMap(keysMax: 0, seed: (0, 0))
        var group = CleanedGroup(place, candidate.topic.name)
        for extent in plan.extents[..<end] {
            if !group.hasRoom(for: extent, bytesMax: configuration.compactedBytes) {
                try await write(group)
                group = CleanedGroup(place, candidate.topic.name)
            }
            group.draft.extents.append(extent)
            try await source.forEachBatch(of: extent) { (batch, header) throws(HousekeepingError) in
                do throws(RecordBatchError) {
                    let verdict = try cleaner.judge(batch, header, isCleaned: extent.holdsOffsets)
                    group.add(batch, header, verdict)
                    group.forget(cleaner.takeOver())
                } catch { throw .unreadable(offset: header.baseOffset, error) }
            }
        }
        group.keepLast()
        try await write(group)
        let removed = cleaner.recordsRemoved
        count { $0.recordsRemoved += UInt64(removed) }
    }

    private func producers(_ place: TopicPartition) -> [Int64: BatchCleaner.Producer] {
        let facts = view.producers(place.topicID, place.partition) ?? []
        return Dictionary(
            facts.map { ($0.producerID, BatchCleaner.Producer(epoch: $0.epoch, lastSequence: $0.lastSequence)) }
        ) { first, _ in first }
    }

    /// Where in the plan's extents the map ends: at least one dirty extent is in it, whatever it takes.
    private func fill(
        _ map: inout OffsetMap, _ plan: CompactionPlan, _ aborted: AbortedRanges
    ) async throws(HousekeepingError) -> Int {
        for index in plan.firstDirty..<plan.extents.count {
            var isFull = false
            let mustFit = index == plan.firstDirty
            try await source.forEachBatch(of: plan.extents[index]) { (batch, header) throws(HousekeepingError) in
                guard !isFull, !header.isControl, header.recordCount > 0 else { return }
                if header.isTransactional, aborted.contains(header.producerID, header.baseOffset) { return }
                do throws(RecordBatchError) {
                    var reader = try RecordBatchReader(stored: batch)
                    while let record = try reader.next() {
                        guard let key = record.key else { continue }
                        let offset = header.baseOffset + Int64(record.offsetDelta)
                        guard map.note(key, at: offset, grows: mustFit) else {
                            isFull = true
                            return
                        }
                    }
                } catch { throw .unreadable(offset: header.baseOffset, error) }
            }
            if isFull { return index }
        }
        return plan.extents.count
    }

    private func write(_ group: CleanedGroup) async throws(HousekeepingError) {
        guard group.isWorthWriting else { return }
        var group = group
        if group.draft.batches.isEmpty { group.keepLast() }
        let report = try await rewriter.write([group.draft], holdsOffsets: true)
        guard report.isReplaced == [true] else { throw .changed }
        count {
            $0.extentsReplaced += UInt64(group.draft.extents.count)
            $0.bytesWritten += UInt64(report.sizeBytes)
        }
    }
}

/// Extents that become one, and what is left of their batches.
struct CleanedGroup {
    var draft: RunDraft
    private var isChanged = false
    /// The batch that was seen last, if it was dropped.
    private var lastDropped: RecordBatchHeader?

    init(_ place: TopicPartition, _ topic: String) {
        draft = RunDraft(place: place, topic: topic)
    }

    func hasRoom(for extent: Extent, bytesMax: Int) -> Bool {
        draft.extents.isEmpty || draft.bytes + Int(extent.lengthBytes) <= bytesMax
    }

    /// An extent that is clean and stays as it is need not be written again.
    var isWorthWriting: Bool {
        guard draft.forgotten.isEmpty else { return true }
        guard draft.extents.count == 1 else { return !draft.extents.isEmpty }
        return isChanged || draft.extents[0].source != .objectWithOffsets
    }

    mutating func add(_ batch: ByteBuffer, _ header: RecordBatchHeader, _ verdict: BatchCleaner.Verdict) {
        switch verdict {
        case .keep:
            lastDropped = nil
            draft.add(batch, header)
        case .replace(let other):
            isChanged = true
            lastDropped = nil
            guard let changed = try? RecordBatchHeader(reading: other, at: other.readerIndex) else { return }
            draft.add(other, changed)
        case .drop:
            isChanged = true
            lastDropped = header
        }
    }

    /// Those beyond the limit of the ledger are for the next pass.
    mutating func forget(_ transactions: [AbortedTransaction]) {
        draft.forgotten += transactions.prefix(LedgerLimits.forgottenPerRunMax - draft.forgotten.count)
    }

    /// K1: the last batch of a round, and of an extent that would have none, stays without its records.
    mutating func keepLast() {
        guard let header = lastDropped else { return }
        lastDropped = nil
        let empty = RecordBatch.empty(like: header)
        guard let kept = try? RecordBatchHeader(reading: empty, at: empty.readerIndex) else { return }
        draft.add(empty, kept)
    }
}
