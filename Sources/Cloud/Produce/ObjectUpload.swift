import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject

/// One sealed object: its bytes, and what the ledger must be told of it.
struct ObjectUpload: Sendable {
    let key: String
    let body: ObjectBody
    let commit: ObjectCommit

    /// Lays the entries out. Runs are in the order of the entries, one for each, so that each is accepted or refused alone.
    init(
        entries: [ProduceEntry], nodeID: Int32, nodeEpoch: Int64, sequence: UInt64, nowMs: Int64
    ) throws(ObjectFormatError) {
        let node = String(nodeID)
        let epoch = UInt64(max(0, nodeEpoch))
        let header = ObjectHeader.cloud(nodeID: node, epoch: epoch, sequence: sequence, createdMs: nowMs)
        var writer = try ObjectWriter(header: header)
        for entry in entries { try writer.append(entry.batch, topic: entry.topic, partition: entry.partition) }
        var body = ObjectBody()
        let footer = writer.finishInPieces { body.append($0) }
        key = ObjectKeys.cloud(node: node, epoch: epoch, sequence: sequence)
        self.body = body
        commit = ObjectCommit(
            key: key, sizeBytes: Int64(body.sizeBytes), nodeID: nodeID, nodeEpoch: nodeEpoch,
            runs: Self.runs(of: entries, in: footer), nowMs: nowMs)
    }

    /// The batches of a partition lie back to back in its run, in the order in which they were appended.
    private static func runs(of entries: [ProduceEntry], in footer: ObjectFooter) -> [RunCommit] {
        struct Place: Hashable {
            var topic: String
            var partition: Int32
        }
        var positions: [Place: Int] = [:]
        for run in footer.runs { positions[Place(topic: run.topic, partition: run.partition)] = run.position }
        return entries.map { entry in
            let place = Place(topic: entry.topic, partition: entry.partition)
            let position = positions[place] ?? 0
            positions[place] = position + entry.batch.readableBytes
            return entry.run(position: Int64(position))
        }
    }
}
