import DequeModule
import KafkaProtocol
import NIOCore

/// The body of a lane's writer thread: takes what waits, commits it as one group, publishes, answers. While a group is
/// being written, what arrives is staged for the next one.
struct LaneWriter {
    /// One call of `append` whose entries the core has and has not decided yet.
    private struct Asked {
        var count: Int
        var bytes: Int
        var completion: @Sendable ([AppendOutcome]) -> Void
    }

    private var core: LaneCore<LocalDisk>
    private let queue: WriterQueue
    private let published: PublishedLane
    private let indexer: LaneIndexer
    private var layoutVersion: Int
    private var spareAsked = false
    /// In the order in which the core decides them.
    private var asked = Deque<Asked>()
    /// When the last group was begun.
    private var lastNs: UInt64 = 0
    private static let pieceBytes = 1 << 20

    init(core: LaneCore<LocalDisk>, queue: WriterQueue, published: PublishedLane, indexer: LaneIndexer) {
        self.core = core
        self.queue = queue
        self.published = published
        self.indexer = indexer
        layoutVersion = core.layoutVersion
    }

    mutating func run() {
        while true {
            if core.isWriting {
                finishGroup()
                continue
            }
            let work = queue.take(lastNs: lastNs, stagedBytes: core.stagedBytes)
            lastNs = monotonicNow()
            perform(work.requests)
            if !core.isWriting { core.submit() }
            if work.isClosing { break }
        }
        _ = finishAll()
        core.seal()
        publish(withProducers: true)
    }

    /// Fills the next group while this one is written. If nothing more belongs into it, it is submitted before this
    /// one's answers go out; else what has arrived meanwhile joins it first, as it does when nothing was staged.
    private mutating func finishGroup() {
        // Piece by piece: the answers of a group that is durable must not wait for a whole other one.
        while core.isDiskBusy {
            let requests = queue.takeFitting(roomBytes: core.stagingRoomBytes, pieceBytes: Self.pieceBytes)
            if requests.isEmpty { break }
            perform(requests)
        }
        let outcomes = core.finish().outcomes
        let (staged, room) = (core.stagedBytes, core.stagingRoomBytes)
        if staged > 0, queue.isDue(lastNs: lastNs, stagedBytes: staged, roomBytes: room) {
            lastNs = monotonicNow()
            core.submit()
        }
        answer(outcomes)
    }

    /// Finishes and answers everything. Not nil when the disk refused something.
    private mutating func finishAll() -> AppendRejection? {
        var refusal: AppendRejection?
        while !core.isIdle {
            if !core.isWriting { core.submit() }
            let finished = core.finish()
            refusal = refusal ?? finished.refusal
            answer(finished.outcomes)
        }
        return refusal
    }

    /// Appends that follow each other are taken together; control frames keep their place among them.
    private mutating func perform(_ requests: [WriterQueue.Request]) {
        var start = 0
        while start < requests.count {
            guard case .append = requests[start] else {
                performControl(requests[start])
                start += 1
                continue
            }
            var end = start + 1
            while end < requests.count, case .append = requests[end] { end += 1 }
            perform(appends: requests[start..<end])
            start = end
        }
    }

    private mutating func perform(appends: ArraySlice<WriterQueue.Request>) {
        var rest: [LogEntry] = []
        var isRoom = true
        for case .append(let entries, let bytes, let completion) in appends {
            isRoom = isRoom && core.stage(entries)
            if !isRoom { rest += entries }
            asked.append(Asked(count: entries.count, bytes: bytes, completion: completion))
        }
        if isRoom { return }
        // They need another segment, several groups or a disk that is well again.
        let refusal = finishAll()
        if refusal == nil, core.stage(rest) { return }
        answer(core.commit(rest, behind: refusal))
    }

    private mutating func answer(_ outcomes: [AppendOutcome]) {
        publish(withProducers: false)
        var answered: [(completion: @Sendable ([AppendOutcome]) -> Void, range: Range<Int>)] = []
        var next = 0
        var bytes = 0
        while let first = asked.first, next + first.count <= outcomes.count {
            answered.append((first.completion, next..<next + first.count))
            next += first.count
            bytes += first.bytes
            asked.removeFirst()
        }
        precondition(next == outcomes.count, "\(outcomes.count) answers, \(next) expected")
        queue.finished(bytes: bytes)
        for (completion, range) in answered {
            completion(range.count == outcomes.count ? outcomes : Array(outcomes[range]))
        }
        published.notify(core.durableLSN)
    }

    private mutating func performControl(_ request: WriterQueue.Request) {
        switch request {
        case .append: preconditionFailure("appends are committed together")
        case .spare(let name):
            core.spares.append(name)
            core.counters.written.zeroes += UInt64(core.configuration.segmentSizeBytes)
            spareAsked = false
        case .expire(let nowNs, let wallMs):
            _ = finishAll()
            core.expire(nowNs: nowNs, wallMs: wallMs)
            publish(withProducers: false)
            published.notify(core.durableLSN)
        case .plan(let plan, let completion):
            _ = finishAll()
            let result = attempt { core throws(WALError) in try core.recordPlan(plan) }
            if case .success = result { indexer.note(plan, isUploaded: false) }
            completion(result)
        case .uploaded(let sequence, let lastLSN, let completion):
            _ = finishAll()
            let plan = core.uploadState.openPlans.first { $0.sequence == sequence }
            let now = monotonicNow()
            let result = attempt { core throws(WALError) in
                try core.recordUploaded(sequence: sequence, lastLSN: lastLSN, nowNs: now)
            }
            if case .success = result, let plan { indexer.note(plan, isUploaded: true) }
            completion(result)
        }
    }

    private mutating func attempt(
        _ body: (inout LaneCore<LocalDisk>) throws(WALError) -> Void
    ) -> Result<Void, WALError> {
        let result: Result<Void, WALError>
        do throws(WALError) {
            try body(&core)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        publish(withProducers: false)
        published.notify(core.durableLSN)
        return result
    }

    private mutating func publish(withProducers: Bool) {
        published.update(from: core)
        let changed = core.layoutVersion != layoutVersion
        layoutVersion = core.layoutVersion
        let facts = changed || withProducers ? core.facts(withProducers: true) : nil
        indexer.add(core.committed, durableLSN: core.durableLSN, facts: facts, wantsSpare: askForSpare())
    }

    /// A fresh segment takes long to zero, so it is made aside while the newest one fills.
    private mutating func askForSpare() -> Bool {
        let size = core.configuration.segmentSizeBytes
        guard !spareAsked, core.spares.isEmpty, core.configuration.spareSegmentsMax > 0, core.tailBytes > size / 2,
            core.diskBytes + 2 * size < core.configuration.quotaBytes
        else { return false }
        spareAsked = true
        return true
    }
}

extension LaneCore {
    func facts(withProducers: Bool) -> IndexFacts {
        IndexFacts(
            segments: segments.map {
                IndexFacts.Segment(
                    sequence: $0.sequence, salt: $0.salt, firstLSN: $0.firstLSN, sizeBytes: $0.sizeBytes)
            },
            firstLSN: segments.first?.firstLSN ?? state.nextLSN, durableLSN: durableLSN,
            producers: withProducers
                ? state.durable.producers.rows.map { key, row in
                    IndexFacts.Producer(
                        partition: key.partition, producerID: key.producerID, lastLSN: row.lastLSN,
                        sequences: Array(row.sequences.encoded().readableBytesView))
                } : nil)
    }
}
