import KafkaProtocol
import NIOCore

/// Reads all partitions of one topic in turn over one connection, without a group. What `cairn tail` runs on.
struct TopicReader {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// One record with where it stood.
    struct Item: Sendable {
        let partition: Int32
        let offset: Int64
        let record: Record
    }

    private static let metadataVersion: Int16 = 7
    private static let listOffsetsVersion: Int16 = 5
    private static let fetchVersion: Int16 = 11

    private let client: KafkaClient
    private let topic: String
    private var positions: [Int32: Int64]

    /// - Throws: ``Failure`` when the topic is not there within `patience` looks.
    init(client: KafkaClient, topic: String, fromBeginning: Bool) async throws {
        self.client = client
        self.topic = topic
        let partitions = try await Self.partitions(of: topic, client)
        positions = try await Self.offsets(
            partitions, of: topic,
            fromBeginning ? ListOffsetsRequest.earliestTimestamp : ListOffsetsRequest.latestTimestamp,
            client)
    }

    /// Records that came since the last call; waits up to `maxWaitMs` for the first.
    mutating func next(maxWaitMs: Int32 = 500) async throws -> [Item] {
        var request = FetchRequest()
        request.maxWaitMs = maxWaitMs
        request.minBytes = 1
        request.maxBytes = 8 << 20
        var wanted = FetchRequest.Topic()
        wanted.name = topic
        wanted.partitions = positions.sorted { $0.key < $1.key }.map { index, offset in
            var partition = FetchRequest.Partition()
            partition.index = index
            partition.fetchOffset = offset
            partition.maxBytes = 1 << 20
            return partition
        }
        request.topics = [wanted]
        let response = try await client.send(request, version: Self.fetchVersion)
        var items: [Item] = []
        for partition in response.topics.flatMap(\.partitions) { items += try take(partition) }
        return items
    }

    private mutating func take(_ partition: FetchResponse.Partition) throws -> [Item] {
        guard partition.errorCode == .none else {
            guard partition.errorCode == .offsetOutOfRange else {
                throw Failure(description: "\(topic)-\(partition.index): \(partition.errorCode)")
            }
            positions[partition.index] = partition.logStartOffset
            return []
        }
        guard var records = partition.records else { return [] }
        var items: [Item] = []
        while records.readableBytes > 0 {
            let header = try RecordBatchHeader(reading: records, at: records.readerIndex)
            guard let batch = records.readSlice(length: header.totalSizeBytes) else { break }
            _ = try RecordBatch.validateOne(batch)
            items += try decode(batch, header, partition: partition.index)
            positions[partition.index] = header.baseOffset + Int64(header.lastOffsetDelta) + 1
        }
        return items
    }

    /// Records from the position on; a batch with a codec we do not read comes as one item that says so.
    private func decode(_ batch: ByteBuffer, _ header: RecordBatchHeader, partition: Int32) throws -> [Item] {
        guard header.compression == .none || header.compression == .zstd else {
            let text = ByteBuffer(string: "\(header.recordCount) records compressed with \(header.compression)")
            let stand = Record(timestampMs: header.maxTimestamp, offsetDelta: 0, key: nil, value: text, headers: [])
            return [Item(partition: partition, offset: header.baseOffset, record: stand)]
        }
        let position = positions[partition] ?? 0
        let records = try Self.records(of: batch)
        return records.compactMap { record in
            let offset = header.baseOffset + Int64(record.offsetDelta)
            return offset >= position ? Item(partition: partition, offset: offset, record: record) : nil
        }
    }

    private static func records(of batch: ByteBuffer) throws(RecordBatchError) -> [Record] {
        var reader = try RecordBatchReader(batch)
        return try reader.readAll()
    }

    private static func partitions(of topic: String, _ client: KafkaClient) async throws -> [Int32] {
        var request = MetadataRequest()
        request.topics = [MetadataRequest.Topic(name: topic)]
        request.allowsAutoTopicCreation = false
        let response = try await client.send(request, version: metadataVersion)
        guard let found = response.topics.first, found.errorCode == .none, !found.partitions.isEmpty else {
            let code = response.topics.first?.errorCode ?? .unknownTopicOrPartition
            throw Failure(description: "topic \(topic): \(code) at \(client.address)")
        }
        return found.partitions.map(\.index)
    }

    private static func offsets(
        _ partitions: [Int32], of topic: String, _ timestamp: Int64, _ client: KafkaClient
    ) async throws -> [Int32: Int64] {
        var request = ListOffsetsRequest()
        var wanted = ListOffsetsRequest.Topic()
        wanted.name = topic
        wanted.partitions = partitions.map { index in
            var partition = ListOffsetsRequest.Partition()
            partition.index = index
            partition.timestampMs = timestamp
            return partition
        }
        request.topics = [wanted]
        let response = try await client.send(request, version: listOffsetsVersion)
        var positions: [Int32: Int64] = [:]
        for partition in response.topics.flatMap(\.partitions) {
            guard partition.errorCode == .none else {
                throw Failure(description: "offsets of \(topic)-\(partition.index): \(partition.errorCode)")
            }
            positions[partition.index] = partition.offset
        }
        return positions
    }
}
