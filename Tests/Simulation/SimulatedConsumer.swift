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
                if offset >= position { seen[place, default: []].append(record.text) }
            }
        }
    }
}

/// Everything the ledger shows at the end, read from the store itself without any cache or fault.
struct Delivery {
    private(set) var partitions: [Oracle.Place: [String]] = [:]
    /// Records whose times were moved or given up.
    private(set) var times: [String: Int] = [:]

    init(_ view: LedgerView, _ store: any ObjectStore) async throws {
        for topic in view.topics() {
            for partition in 0..<topic.partitionCount {
                let place = Oracle.Place(topic: topic.name, partition: partition)
                partitions[place] = try await values(of: topic.id, place, view, store)
            }
        }
    }

    private mutating func values(
        of topicID: KafkaUUID, _ place: Oracle.Place, _ view: LedgerView, _ store: any ObjectStore
    ) async throws -> [String] {
        guard let facts = view.partition(topicID, place.partition) else { return [] }
        guard facts.logStart == 0 else { throw SimulationFailure("\(place) begins at \(facts.logStart)") }
        var values: [String] = []
        while Int64(values.count) < facts.highWatermark {
            let extents = view.extents(topicID, place.partition, from: Int64(values.count), maxBytes: 1 << 20)
            guard !extents.isEmpty else { throw SimulationFailure("\(place): no extent begins at \(values.count)") }
            for extent in extents {
                guard extent.baseOffset == Int64(values.count) else {
                    throw SimulationFailure("\(place): an extent begins at \(extent.baseOffset), not \(values.count)")
                }
                let range = Int(extent.position)..<Int(extent.position + extent.lengthBytes)
                values += try records(in: try await store.get(extent.objectKey, range: range), extent.objectKey)
                guard Int64(values.count) == extent.lastOffset + 1 else {
                    throw SimulationFailure("\(place): \(values.count) records up to offset \(extent.lastOffset)")
                }
            }
        }
        return values
    }

    private mutating func records(in bytes: ByteBuffer, _ key: String) throws -> [String] {
        var bytes = bytes
        var values: [String] = []
        while bytes.readableBytes > 0 {
            let header = try RecordBatchHeader(reading: bytes, at: bytes.readerIndex)
            guard let batch = bytes.readSlice(length: header.totalSizeBytes) else {
                throw SimulationFailure("\(key): a batch is cut")
            }
            _ = try RecordBatch.validateOne(batch)
            var reader = try RecordBatchReader(batch)
            while let record = try reader.next() {
                try SimulatedTime.check(record, &times)
                values.append(record.text)
            }
        }
        return values
    }
}

extension Record {
    /// `producer:value`, without the padding.
    fileprivate var text: String {
        let text = String(buffer: value ?? ByteBuffer())
        return text.lastIndex(of: ":").map { String(text[..<$0]) } ?? text
    }
}
