import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject

/// An object made of batches that only a volume's log holds, and what the ledger must be told of it.
///
/// Of each partition the batches come in the order of their offsets; markers of transactions between them come along, so
/// that whole stretches become one extent. Where something else lies between, a new run begins.
struct LogObject: Sendable {
    let key: String
    let body: ObjectBody
    let rewrite: ExtentRewrite

    /// Nil when nothing of `items` is in a log any more.
    init?(
        items: [UploadQueue.Item], volume: KafkaUUID, view: LedgerView, nodeID: Int32, nodeEpoch: Int64,
        sequence: UInt64, nowMs: Int64, batch: (UInt64) throws -> ByteBuffer
    ) throws {
        let stretches = Self.stretches(items, volume, view)
        guard !stretches.isEmpty else { return nil }
        let node = String(nodeID)
        let epoch = UInt64(max(0, nodeEpoch))
        var writer = try ObjectWriter(
            header: .cloud(nodeID: node, epoch: epoch, sequence: sequence, createdMs: nowMs))
        var runs: [RewrittenRun] = []
        // Runs of a partition follow each other in the object, in the order in which they are appended.
        var lengths: [Int] = []
        for stretch in stretches {
            var length = 0
            for extent in stretch.range.extents {
                let bytes = try Self.bytes(of: extent, batch)
                try writer.append(bytes, topic: stretch.topic, partition: stretch.place.partition)
                length += bytes.readableBytes
            }
            lengths.append(length)
            runs.append(stretch.run(lengthBytes: length))
        }
        var body = ObjectBody()
        let footer = writer.finishInPieces { body.append($0) }
        var positions = Dictionary(
            footer.runs.map { (Place(topic: $0.topic, partition: $0.partition), $0.position) }
        ) { first, _ in first }
        for index in runs.indices {
            let place = Place(topic: stretches[index].topic, partition: stretches[index].place.partition)
            let position = positions[place] ?? 0
            positions[place] = position + lengths[index]
            runs[index].position = Int64(position)
        }
        key = ObjectKeys.cloud(node: node, epoch: epoch, sequence: sequence)
        self.body = body
        rewrite = ExtentRewrite(
            key: key, sizeBytes: Int64(body.sizeBytes), nodeID: nodeID, nodeEpoch: nodeEpoch, holdsOffsets: false,
            committedMs: nowMs, runs: runs, nowMs: nowMs)
    }

    private struct Place: Hashable {
        var topic: String
        var partition: Int32
    }

    private static func bytes(of extent: Extent, _ batch: (UInt64) throws -> ByteBuffer) throws -> ByteBuffer {
        switch extent.source {
        case .log(_, let lsn): try batch(lsn)
        case .marker(let marker): marker.batch(timestampMs: extent.maxTimestampMs)
        case .object, .objectWithOffsets: preconditionFailure("a stretch of logs holds \(extent)")
        }
    }

    // MARK: What lies where

    /// Extents of one partition next to each other, all of them batches of the log or markers.
    private struct Stretch {
        var place: TopicPartition
        var topic: String
        var range: ExtentRange

        func run(lengthBytes: Int) -> RewrittenRun {
            let extents = range.extents
            return RewrittenRun(
                topicID: place.topicID, partition: place.partition, baseOffset: extents[0].baseOffset,
                lastOffset: extents[extents.count - 1].lastOffset, fingerprint: range.fingerprint, position: 0,
                lengthBytes: Int64(lengthBytes), minTimestampMs: extents.map(\.minTimestampMs).min() ?? 0,
                maxTimestampMs: extents.map(\.maxTimestampMs).max() ?? 0)
        }
    }

    private static func stretches(
        _ items: [UploadQueue.Item], _ volume: KafkaUUID, _ view: LedgerView
    ) -> [Stretch] {
        var byPlace: [TopicPartition: [UploadQueue.Item]] = [:]
        for item in items { byPlace[item.place, default: []].append(item) }
        return byPlace.keys.sorted().flatMap { place -> [Stretch] in
            guard let topic = view.topic(id: place.topicID)?.name else { return [] }
            let mine = (byPlace[place] ?? []).sorted { $0.baseOffset < $1.baseOffset }
            return stretches(of: mine, place, volume, view).map { Stretch(place: place, topic: topic, range: $0) }
        }
    }

    private static func stretches(
        of items: [UploadQueue.Item], _ place: TopicPartition, _ volume: KafkaUUID, _ view: LedgerView
    ) -> [ExtentRange] {
        guard let first = items.first, let last = items.last else { return [] }
        let lsns = Set(items.map(\.lsn))
        func isMine(_ extent: Extent) -> Bool {
            guard case .log(volume, let lsn) = extent.source else { return false }
            return lsns.contains(lsn)
        }
        func range(_ from: Int64, _ through: Int64) -> ExtentRange? {
            view.extentRange(place.topicID, place.partition, from: from, through: through)
        }
        if let whole = range(first.baseOffset, last.lastOffset), whole.extents.allSatisfy({ $0.isMarker || isMine($0) })
        {
            return [whole]
        }
        // Something else lies between, or the log start has moved: one by one.
        return items.compactMap { item in
            range(item.baseOffset, item.lastOffset).flatMap { $0.extents.allSatisfy(isMine) ? $0 : nil }
        }
    }
}

extension Extent {
    var isMarker: Bool {
        if case .marker = source { return true }
        return false
    }
}
