import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject

/// What takes the place of some extents of one partition.
struct RunDraft: Sendable {
    var place: TopicPartition
    var topic: String
    /// As they were read.
    var extents: [Extent]
    var batches: [ByteBuffer] = []
    var bytes = 0
    var maxTimestampMs = Int64.min
    /// See ``RewrittenRun/forgotten``.
    var forgotten: [AbortedTransaction] = []

    init(place: TopicPartition, topic: String, extents: [Extent] = []) {
        self.place = place
        self.topic = topic
        self.extents = extents
    }

    mutating func add(_ batch: ByteBuffer, _ header: RecordBatchHeader) {
        batches.append(batch)
        bytes += batch.readableBytes
        // Whoever looks for records by time need not come for a batch without any.
        if header.recordCount > 0 { maxTimestampMs = max(maxTimestampMs, header.maxTimestamp) }
    }

    /// A lower bound, and what a run without records says of itself.
    var minTimestampMs: Int64 { extents.map(\.minTimestampMs).min() ?? -1 }
    var committedMs: Int64 { extents.map(\.committedMs).max() ?? 0 }
}

/// Writes drafts as one object and puts it in the place of their extents. A stop at any point leaves the extents as they were, or
/// an object that nothing names, which is swept.
struct ObjectRewriter: Sendable {
    let store: any ObjectStore
    let ledger: Ledger
    let sequences: ObjectSequences
    let nodeID: Int32
    let nodeEpoch: Int64
    let world: CloudWorld
    let abandoned: @Sendable (String) -> Void

    struct Report {
        var sizeBytes: Int
        /// One per draft: whether its extents were replaced.
        var isReplaced: [Bool]
    }

    private static let sizeBytesMax = 2 << 30

    func write(_ drafts: [RunDraft], holdsOffsets: Bool) async throws(HousekeepingError) -> Report {
        let fingerprints = try drafts.map { (draft) throws(HousekeepingError) in try fingerprint(draft) }
        let nowMs = world.wallMs()
        let sequence = sequences.next()
        let key = ObjectKeys.cloud(node: String(nodeID), epoch: UInt64(max(0, nodeEpoch)), sequence: sequence)
        let (body, runs): (ByteBuffer, [RewrittenRun])
        do {
            (body, runs) = try layOut(drafts, fingerprints, holdsOffsets, sequence, nowMs)
        } catch { throw .write(key: key, "\(error)") }
        let uploader = ObjectUploader(store: store, ledger: ledger, world: world, putFailed: {}, commitFailed: {})
        if let failure = await uploader.put(key: key, body: ObjectBody(body)) {
            abandoned(key)
            throw Task.isCancelled ? .cancelled : .write(key: key, "\(failure)")
        }
        let rewrite = ExtentRewrite(
            key: key, sizeBytes: Int64(body.readableBytes), nodeID: nodeID, nodeEpoch: nodeEpoch,
            holdsOffsets: holdsOffsets, committedMs: drafts.map(\.committedMs).max() ?? nowMs, runs: runs,
            nowMs: nowMs)
        switch await uploader.commit(.rewriteExtents(rewrite)) {
        case .success(let outcomes):
            let isReplaced = outcomes.map { outcome in
                if case .committed = outcome { true } else { false }
            }
            return Report(sizeBytes: body.readableBytes, isReplaced: isReplaced)
        case .failure(let code):
            abandoned(key)
            throw Task.isCancelled ? .cancelled : .write(key: key, "not committed: \(code)")
        }
    }

    func isUnchanged(_ draft: RunDraft) -> Bool { (try? fingerprint(draft)) != nil }

    /// Of the extents that were read, and no others.
    private func fingerprint(_ draft: RunDraft) throws(HousekeepingError) -> UInt64 {
        guard let first = draft.extents.first, let last = draft.extents.last,
            let range = ledger.view.extentRange(
                draft.place.topicID, draft.place.partition, from: first.baseOffset, through: last.lastOffset),
            range.extents == draft.extents
        else { throw .changed }
        return range.fingerprint
    }

    private func layOut(
        _ drafts: [RunDraft], _ fingerprints: [UInt64], _ holdsOffsets: Bool, _ sequence: UInt64, _ nowMs: Int64
    ) throws -> (ByteBuffer, [RewrittenRun]) {
        let (node, epoch) = (String(nodeID), UInt64(max(0, nodeEpoch)))
        let header: ObjectHeader =
            holdsOffsets
            ? .cloudWithOffsets(nodeID: node, epoch: epoch, sequence: sequence, createdMs: nowMs)
            : .cloud(nodeID: node, epoch: epoch, sequence: sequence, createdMs: nowMs)
        var writer = try ObjectWriter(header: header, sizeBytesMax: Self.sizeBytesMax)
        for draft in drafts {
            for batch in draft.batches {
                try writer.append(batch, topic: draft.topic, partition: draft.place.partition)
            }
        }
        let (body, footer) = writer.finish()
        // Drafts of one partition follow each other in its run.
        var positions: [Place: Int] = [:]
        for run in footer.runs { positions[Place(topic: run.topic, partition: run.partition)] = run.position }
        var runs: [RewrittenRun] = []
        for (draft, fingerprint) in zip(drafts, fingerprints) {
            let place = Place(topic: draft.topic, partition: draft.place.partition)
            let position = positions[place] ?? 0
            positions[place] = position + draft.bytes
            try verify(draft, body, position, holdsOffsets)
            runs.append(Self.run(draft, fingerprint, position))
        }
        return (body, runs)
    }

    private struct Place: Hashable {
        var topic: String
        var partition: Int32
    }

    /// The last look before what is there is replaced: whole batches with right checksums, within the offsets of the extents.
    private func verify(_ draft: RunDraft, _ body: ByteBuffer, _ position: Int, _ holdsOffsets: Bool) throws {
        guard let bytes = body.getSlice(at: body.readerIndex + position, length: draft.bytes),
            let first = draft.extents.first?.baseOffset, let last = draft.extents.last?.lastOffset
        else { throw Flaw.outside }
        let headers = try holdsOffsets ? RecordBatch.validateStored(bytes) : RecordBatch.validate(bytes)
        guard !headers.isEmpty else { throw Flaw.empty }
        if holdsOffsets {
            var next = first
            for header in headers {
                guard header.baseOffset >= next, header.lastOffset <= last else { throw Flaw.offsets }
                next = header.lastOffset + 1
            }
        } else {
            let count = headers.reduce(Int64(0)) { $0 + Int64($1.recordCount) }
            guard count == last - first + 1 else { throw Flaw.offsets }
        }
    }

    private enum Flaw: Error {
        case outside, empty, offsets
    }

    private static func run(_ draft: RunDraft, _ fingerprint: UInt64, _ position: Int) -> RewrittenRun {
        let minMs = draft.minTimestampMs
        return RewrittenRun(
            topicID: draft.place.topicID, partition: draft.place.partition,
            baseOffset: draft.extents[0].baseOffset, lastOffset: draft.extents[draft.extents.count - 1].lastOffset,
            fingerprint: fingerprint, position: Int64(position), lengthBytes: Int64(draft.bytes),
            minTimestampMs: min(minMs, draft.maxTimestampMs == .min ? minMs : draft.maxTimestampMs),
            maxTimestampMs: draft.maxTimestampMs == .min ? minMs : draft.maxTimestampMs, forgotten: draft.forgotten)
    }
}
