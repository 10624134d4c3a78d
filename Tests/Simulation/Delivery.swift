import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject

/// Everything the ledger shows at the end, read from the store itself without any cache or fault.
struct Delivery {
    struct Item {
        /// `producer:value`
        var text: String
        var object: Source
    }
    /// Where a record stood in the store.
    struct Source: Hashable {
        var incarnation: String
        var lane: Int
        /// The logs that made the object.
        var branches: Set<Int>
    }

    private(set) var partitions: [Oracle.Place: [Item]] = [:]
    /// Records whose times were moved or given up.
    private(set) var times: [String: Int] = [:]
    private let authors: Authors
    private var sources: [String: Source] = [:]

    init(_ view: LedgerView, _ store: any ObjectStore, _ authors: Authors) async throws {
        self.authors = authors
        for topic in view.topics() {
            for partition in 0..<topic.partitionCount {
                let place = Oracle.Place(topic: topic.name, partition: partition)
                partitions[place] = try await values(of: topic.id, place, view, store)
            }
        }
    }

    /// Names under which objects were adopted.
    var incarnations: Set<String> { Set(sources.values.map(\.incarnation)) }

    private mutating func values(
        of topicID: KafkaUUID, _ place: Oracle.Place, _ view: LedgerView, _ store: any ObjectStore
    ) async throws -> [Item] {
        guard let facts = view.partition(topicID, place.partition) else { return [] }
        guard facts.logStart == 0 else { throw SimulationFailure("\(place) begins at \(facts.logStart)") }
        var values: [Item] = []
        while Int64(values.count) < facts.highWatermark {
            let extents = view.extents(topicID, place.partition, from: Int64(values.count), maxBytes: 1 << 20)
            guard !extents.isEmpty else { throw SimulationFailure("\(place): no extent begins at \(values.count)") }
            for extent in extents {
                guard extent.baseOffset == Int64(values.count) else {
                    throw SimulationFailure("\(place): an extent begins at \(extent.baseOffset), not \(values.count)")
                }
                let range = Int(extent.position)..<Int(extent.position + extent.lengthBytes)
                let source = try await source(extent.objectKey, store)
                let bytes = try await store.get(extent.objectKey, range: range)
                values += try Batches.records(in: bytes).map { record in
                    try SimulatedTime.check(record, &times)
                    return Item(text: Batches.text(of: record), object: source)
                }
                guard Int64(values.count) == extent.lastOffset + 1 else {
                    throw SimulationFailure("\(place): \(values.count) records up to offset \(extent.lastOffset)")
                }
            }
        }
        return values
    }

    private mutating func source(_ key: String, _ store: any ObjectStore) async throws -> Source {
        if let known = sources[key] { return known }
        guard let name = SiteObjectKey(parsing: key), let lane = SimulatedSite.laneNames.firstIndex(of: name.lane)
        else { throw SimulationFailure("\(key) is no object of the site") }
        let branches = authors.branches(of: key, try await store.get(key, range: nil))
        guard !branches.isEmpty else { throw SimulationFailure("\(key): nobody has put what is there") }
        let source = Source(incarnation: name.incarnation, lane: lane, branches: branches)
        sources[key] = source
        return source
    }
}

/// Records of a run of batches.
enum Batches {
    static func records(in bytes: ByteBuffer) throws -> [Record] {
        var bytes = bytes
        var records: [Record] = []
        while bytes.readableBytes > 0 {
            let header = try RecordBatchHeader(reading: bytes, at: bytes.readerIndex)
            guard let batch = bytes.readSlice(length: header.totalSizeBytes) else {
                throw SimulationFailure("a batch is cut")
            }
            _ = try RecordBatch.validateOne(batch)
            var reader = try RecordBatchReader(batch)
            while let record = try reader.next() { records.append(record) }
        }
        return records
    }

    static func texts(in bytes: ByteBuffer) throws -> [String] { try records(in: bytes).map(text) }

    /// `producer:value`, without the padding.
    static func text(of record: Record) -> String {
        let text = String(buffer: record.value ?? ByteBuffer())
        return text.lastIndex(of: ":").map { String(text[..<$0]) } ?? text
    }
}
