import KafkaProtocol
import Ledger
import NIOCore

@testable import Cloud

/// Records with keys: a value of nil is a tombstone.
typealias Keyed = (key: String, value: String?)

/// A record as a consumer sees it.
struct SeenRecord: Equatable {
    var offset: Int64
    var key: String?
    var value: String?
}

extension Batches {
    static func keyed(
        _ records: [Keyed], codec: RecordBatchBuilder.Codec = .none, timestampMs: Int64 = 1_000,
        producer: (id: Int64, epoch: Int16, sequence: Int32)? = nil, isTransactional: Bool = false
    ) -> ByteBuffer {
        var builder = RecordBatchBuilder(
            compression: codec, producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.sequence ?? -1, isTransactional: isTransactional)
        for record in records {
            builder.append(
                timestampMs: timestampMs, key: ByteBuffer(string: record.key),
                value: record.value.map { ByteBuffer(string: $0) })
        }
        return builder.finish()
    }

    /// Stored batches back to back, as consumers get them.
    static func stored(_ bytes: ByteBuffer?) throws -> [(header: RecordBatchHeader, batch: ByteBuffer)] {
        guard let bytes, bytes.readableBytes > 0 else { return [] }
        var position = bytes.readerIndex
        return try RecordBatch.validateStored(bytes).map { header in
            defer { position += header.totalSizeBytes }
            return (header, bytes.getSlice(at: position, length: header.totalSizeBytes) ?? ByteBuffer())
        }
    }
}

/// What a consumer reads: all batches, and of them the records that its isolation level shows.
struct Consumed {
    var headers: [RecordBatchHeader] = []
    var bytes = ByteBuffer()
    var records: [SeenRecord] = []

    /// Key by key, as an application would fold them.
    var latest: [String: String] {
        var latest: [String: String] = [:]
        for record in records { if let key = record.key { latest[key] = record.value } }
        return latest
    }
}

extension BrokerWorld {
    /// Everything from `start` on, the way a Kafka client of this isolation level takes it.
    func consume(
        topic: String = "t", partition: Int32 = 0, from start: Int64? = nil, isReadCommitted: Bool = false
    ) async throws -> Consumed {
        var consumed = Consumed()
        var offset = start ?? ledger.view.partition(topic: topic, partition)?.logStart ?? 0
        while true {
            var request = fetchRequest([(partition, offset)], topic: topic, partitionMaxBytes: 1 << 16)
            request.isolationLevel = isReadCommitted ? 1 : 0
            let answer = try await ask(request, version: 12)
            guard let found = answer.topics.first?.partitions.first else { throw NoAnswer() }
            if found.errorCode != .none { throw found.errorCode }
            let batches = try Batches.stored(found.records)
            guard let last = batches.last else { return consumed }
            var aborting = (found.abortedTransactions ?? []).sorted { $0.firstOffset < $1.firstOffset }
            var abortedIDs: Set<Int64> = []
            for (header, batch) in batches {
                while let first = aborting.first, first.firstOffset <= header.lastOffset {
                    abortedIDs.insert(first.producerID)
                    aborting.removeFirst()
                }
                consumed.headers.append(header)
                consumed.bytes.writeImmutableBuffer(batch)
                if header.isControl {
                    if try EndTransactionMarker(reading: batch)?.isCommit == false {
                        abortedIDs.remove(header.producerID)
                    }
                    continue
                }
                if header.isTransactional, abortedIDs.contains(header.producerID) { continue }
                var reader = try RecordBatchReader(stored: batch)
                while let record = try reader.next() {
                    let at = header.baseOffset + Int64(record.offsetDelta)
                    guard at >= offset else { continue }
                    consumed.records.append(
                        SeenRecord(
                            offset: at, key: record.key.map { String(buffer: $0) },
                            value: record.value.map { String(buffer: $0) }))
                }
            }
            offset = last.header.lastOffset + 1
        }
    }

    func sources(_ topic: String = "t", _ partition: Int32 = 0) -> [Extent.Source] {
        extents(topic, partition).map(\.source)
    }

    func extents(_ topic: String = "t", _ partition: Int32 = 0) -> [Extent] {
        guard let facts = ledger.view.partition(topic: topic, partition), let id = ledger.view.topic(named: topic)?.id
        else { return [] }
        return ledger.view.extents(id, partition, from: facts.logStart, maxBytes: .max, maxCount: .max)
    }

    static func eager(_ change: (inout CloudConfiguration) -> Void = { _ in }) -> CloudConfiguration {
        settings { configuration in
            configuration.housekeeping.bytesPerSecond = 0
            configuration.housekeeping.dirtyBytesMin = 0
            configuration.housekeeping.restAfterFailure = .nanoseconds(0)
            configuration.retention.grace = .nanoseconds(0)
            change(&configuration)
        }
    }
}

/// A transactional or idempotent producer through the service.
struct TestProducer {
    let world: BrokerWorld
    let transactionalID: String?
    private(set) var id: Int64 = -1
    private(set) var epoch: Int16 = -1
    /// Of the next record, by partition.
    private(set) var sequences: [Int32: Int32] = [:]

    init(_ world: BrokerWorld, transactionalID: String? = nil) async throws {
        self.world = world
        self.transactionalID = transactionalID
        var request = InitProducerIDRequest()
        request.transactionalID = transactionalID
        request.transactionTimeoutMs = 900_000
        let answer = try await world.ask(request, version: 4)
        id = answer.producerID
        epoch = answer.producerEpoch
    }

    @discardableResult
    mutating func send(
        _ records: [Keyed], topic: String = "t", partition: Int32 = 0, codec: RecordBatchBuilder.Codec = .none
    ) async throws -> ErrorCode {
        if let transactionalID {
            var add = AddPartitionsToTxnRequest()
            add.transactionalID = transactionalID
            add.producerID = id
            add.producerEpoch = epoch
            add.topics = [.init(name: topic, partitions: [partition])]
            _ = try await world.ask(add, version: 3)
        }
        let batch = Batches.keyed(
            records, codec: codec, timestampMs: world.wall.ms, producer: (id, epoch, sequences[partition] ?? 0),
            isTransactional: transactionalID != nil)
        var request = world.produceRequest([(partition, batch)], topic: topic)
        request.transactionalID = transactionalID
        let code = try await world.ask(request, version: 9).topics.first?.partitions.first?.errorCode
        if code == ErrorCode.none { sequences[partition, default: 0] += Int32(records.count) }
        return code ?? .unknownServerError
    }

    func end(commits: Bool) async throws {
        var request = EndTxnRequest()
        request.transactionalID = transactionalID ?? ""
        request.producerID = id
        request.producerEpoch = epoch
        request.isCommit = commits
        let code = try await world.ask(request, version: 3).errorCode
        if code != .none { throw code }
    }
}
