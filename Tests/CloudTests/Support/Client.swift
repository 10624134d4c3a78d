import KafkaProtocol
import Ledger
import NIOCore

@testable import Cloud

/// Short forms of what the tests ask for.
extension BrokerWorld {
    func createTopic(_ name: String, partitions: Int32 = 1, configs: [String: String] = [:]) async throws {
        var request = CreateTopicsRequest()
        var topic = CreateTopicsRequest.Topic()
        topic.name = name
        topic.partitionCount = partitions
        topic.replicationFactor = 1
        topic.configs = configs.map { .init(name: $0.key, value: $0.value) }
        request.topics = [topic]
        let answer = try await ask(request)
        if answer.topics.first?.errorCode != ErrorCode.none {
            throw answer.topics.first?.errorCode ?? .unknownServerError
        }
    }

    func produceRequest(
        _ batches: [(partition: Int32, batch: ByteBuffer)], topic: String = "t", acks: Int16 = -1,
        timeoutMs: Int32 = 30_000
    ) -> ProduceRequest {
        var request = ProduceRequest()
        request.acks = acks
        request.timeoutMs = timeoutMs
        var one = ProduceRequest.Topic()
        one.name = topic
        one.topicID = ledger.view.topic(named: topic)?.id ?? .zero
        one.partitions = batches.map { .init(index: $0.partition, records: $0.batch) }
        request.topics = [one]
        return request
    }

    @discardableResult
    func produce(
        _ batch: ByteBuffer, topic: String = "t", partition: Int32 = 0, version: Int16 = 12, acks: Int16 = -1
    ) async throws -> ProduceResponse.Partition {
        let request = produceRequest([(partition, batch)], topic: topic, acks: acks)
        let response = try await ask(request, version: version)
        guard let answer = response.topics.first?.partitions.first else { throw NoAnswer() }
        return answer
    }

    func fetchRequest(
        _ wanted: [(partition: Int32, offset: Int64)], topic: String = "t", maxWaitMs: Int32 = 0, minBytes: Int32 = 1,
        maxBytes: Int32 = .max, partitionMaxBytes: Int32 = 1 << 20, epoch: Int32 = -1
    ) -> FetchRequest {
        var request = FetchRequest()
        request.maxWaitMs = maxWaitMs
        request.minBytes = minBytes
        request.maxBytes = maxBytes
        var one = FetchRequest.Topic()
        one.name = topic
        one.topicID = ledger.view.topic(named: topic)?.id ?? .zero
        one.partitions = wanted.map { place in
            var partition = FetchRequest.Partition()
            partition.index = place.partition
            partition.fetchOffset = place.offset
            partition.maxBytes = partitionMaxBytes
            partition.currentLeaderEpoch = epoch
            return partition
        }
        request.topics = [one]
        return request
    }

    func fetch(
        _ offset: Int64, topic: String = "t", partition: Int32 = 0, maxWaitMs: Int32 = 0,
        partitionMaxBytes: Int32 = 1 << 20, version: Int16 = 12
    ) async throws -> FetchResponse.Partition {
        let request = fetchRequest(
            [(partition, offset)], topic: topic, maxWaitMs: maxWaitMs, partitionMaxBytes: partitionMaxBytes)
        let response = try await ask(request, version: version)
        guard let answer = response.topics.first?.partitions.first else { throw NoAnswer() }
        return answer
    }

    /// Everything from `offset` on, record by record.
    func readAll(
        topic: String = "t", partition: Int32 = 0, from start: Int64 = 0, partitionMaxBytes: Int32 = 1 << 20
    ) async throws -> [(offset: Int64, value: String)] {
        var found: [(offset: Int64, value: String)] = []
        var offset = start
        while true {
            let answer = try await fetch(
                offset, topic: topic, partition: partition, partitionMaxBytes: partitionMaxBytes)
            if answer.errorCode != .none { throw answer.errorCode }
            let records = try Batches.records(answer.records)
            for record in records where record.offset >= offset { found.append(record) }
            guard let last = records.last?.offset else { return found }
            offset = last + 1
        }
    }

    func highWatermark(_ topic: String = "t", _ partition: Int32 = 0) -> Int64 {
        ledger.view.partition(topic: topic, partition)?.highWatermark ?? -1
    }
}

/// Making and opening record batches.
enum Batches {
    static func make(
        _ values: [String], firstTimestampMs: Int64 = 1_000, stepMs: Int64 = 1,
        producer: (id: Int64, sequence: Int32)? = nil,
        epoch: Int16 = 0, isTransactional: Bool = false, zstd: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            compression: zstd ? .zstd(level: 1) : .none, producerID: producer?.id ?? -1,
            producerEpoch: producer == nil ? -1 : epoch, baseSequence: producer?.sequence ?? -1,
            isTransactional: isTransactional)
        for (index, value) in values.enumerated() {
            builder.append(timestampMs: firstTimestampMs + Int64(index) * stepMs, value: ByteBuffer(string: value))
        }
        return builder.finish()
    }

    /// Offsets and values of batches back to back; throws if one is not whole and right.
    static func records(_ bytes: ByteBuffer?) throws -> [(offset: Int64, value: String)] {
        guard let bytes, bytes.readableBytes > 0 else { return [] }
        var found: [(offset: Int64, value: String)] = []
        var position = bytes.readerIndex
        for header in try RecordBatch.validate(bytes) {
            guard let batch = bytes.getSlice(at: position, length: header.totalSizeBytes) else { continue }
            var reader = try RecordBatchReader(batch)
            for record in try reader.readAll() {
                found.append(
                    (header.baseOffset + Int64(record.offsetDelta), String(buffer: record.value ?? ByteBuffer())))
            }
            position += header.totalSizeBytes
        }
        return found
    }
}
