import KafkaProtocol
import NIOCore

/// The body of a lane's writer thread: takes what waits, commits it as one group, publishes, answers.
struct LaneWriter {
    private var core: LaneCore<LocalDisk>
    private let queue: WriterQueue
    private let published: PublishedLane
    private let indexer: LaneIndexer
    private var layoutVersion: Int
    private var spareAsked = false

    init(core: LaneCore<LocalDisk>, queue: WriterQueue, published: PublishedLane, indexer: LaneIndexer) {
        self.core = core
        self.queue = queue
        self.published = published
        self.indexer = indexer
        layoutVersion = core.layoutVersion
    }

    mutating func run() {
        var lastNs: UInt64 = 0
        while true {
            let work = queue.take(lastNs: lastNs)
            lastNs = monotonicNow()
            perform(work.requests)
            if work.isClosing { break }
        }
        core.seal()
        publish(withProducers: true)
    }

    /// Appends that follow each other become one commit; control frames keep their place among them.
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
            commit(requests[start..<end])
            start = end
        }
    }

    private mutating func commit(_ requests: ArraySlice<WriterQueue.Request>) {
        var entries: [LogEntry] = []
        var bytes = 0
        for case .append(let some, let size, _) in requests {
            entries.append(contentsOf: some)
            bytes += size
        }
        let outcomes = core.commit(entries)
        publish(withProducers: false)
        queue.finished(bytes: bytes)
        var next = 0
        for case .append(let some, _, let completion) in requests {
            completion(requests.count == 1 ? outcomes : Array(outcomes[next..<next + some.count]))
            next += some.count
        }
        published.notify(core.durableLSN)
    }

    private mutating func performControl(_ request: WriterQueue.Request) {
        switch request {
        case .append: preconditionFailure("appends are committed together")
        case .spare(let name):
            core.spares.append(name)
            spareAsked = false
        case .plan(let plan, let completion):
            let result = attempt { core throws(WALError) in try core.recordPlan(plan) }
            if case .success = result { indexer.note(plan, isUploaded: false) }
            completion(result)
        case .uploaded(let sequence, let lastLSN, let completion):
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
                ? state.producers.rows.map { key, row in
                    IndexFacts.Producer(
                        partition: key.partition, producerID: key.producerID, lastLSN: row.lastLSN,
                        sequences: Array(row.sequences.encoded().readableBytesView))
                } : nil)
    }
}
