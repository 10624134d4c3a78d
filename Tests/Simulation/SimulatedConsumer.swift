import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore

@testable import Cloud

/// Reads what cloud nodes show, as it comes, and remembers it: nothing of it may ever be taken back.
struct SimulatedConsumer {
    private(set) var seen: [Oracle.Place: [String]] = [:]

    /// Reads one piece of one partition, or nothing when the store fails. A node that another has taken over from may show
    /// less than was seen, but nothing else.
    mutating func read(from cloud: SimulatedCloud, isZombie: Bool, using random: inout SeededRandom) async throws {
        guard let topic = cloud.ledger.view.topics().randomElement(using: &random) else { return }
        let partition = Int32.random(in: 0..<max(1, topic.partitionCount), using: &random)
        _ = try await read(topic, partition, from: cloud, isZombie: isZombie)
    }

    /// Reads all there is.
    mutating func catchUp(with cloud: SimulatedCloud) async throws {
        for topic in cloud.ledger.view.topics() {
            for partition in 0..<topic.partitionCount {
                while try await read(topic, partition, from: cloud, isZombie: false) {}
                let highWatermark = cloud.ledger.view.partition(topic.id, partition)?.highWatermark ?? 0
                let place = Oracle.Place(topic: topic.name, partition: partition)
                guard Int64(seen[place]?.count ?? 0) == highWatermark else {
                    throw SimulationFailure("\(place): \(seen[place]?.count ?? 0) of \(highWatermark) can be read")
                }
            }
        }
    }

    /// Whether something was read.
    private mutating func read(
        _ topic: TopicFacts, _ partition: Int32, from cloud: SimulatedCloud, isZombie: Bool
    ) async throws -> Bool {
        let place = Oracle.Place(topic: topic.name, partition: partition)
        let position = Int64(seen[place]?.count ?? 0)
        guard let facts = cloud.ledger.view.partition(topic.id, partition) else { return false }
        guard facts.highWatermark >= position || isZombie else {
            throw SimulationFailure("\(place) went back from \(position) to \(facts.highWatermark)")
        }
        guard let extent = cloud.ledger.view.extents(topic.id, partition, from: position, maxBytes: 1 << 20).first
        else { return false }
        guard let piece = try? await cloud.reader.piece(extent, offset: position) else { return false }
        try take(piece, place, from: position)
        return true
    }

    private mutating func take(_ piece: Piece, _ place: Oracle.Place, from position: Int64) throws {
        for batch in piece.batches where batch.lastOffset >= position {
            guard let bytes = piece.bytes(of: batch) else { throw SimulationFailure("\(place): a piece without bytes") }
            var reader = try RecordBatchReader(bytes)
            guard reader.header.baseOffset == batch.baseOffset else {
                throw SimulationFailure("\(place): batch of \(batch.baseOffset) says \(reader.header.baseOffset)")
            }
            while let record = try reader.next() {
                let offset = batch.baseOffset + Int64(record.offsetDelta)
                if offset >= position { seen[place, default: []].append(Batches.text(of: record)) }
            }
        }
    }
}
