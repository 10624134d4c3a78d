import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Produce: checks every batch at its header and checksum, and hands the good ones to the batcher.
///
/// Source: Kafka 4.3, `ProduceRequest.validateRecords`, `UnifiedLog`, `LogValidator`.
struct ProduceHandler: Sendable {
    let view: LedgerView
    let batcher: ProduceBatcher
    let configuration: CloudConfiguration

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let produce = try request.decode(ProduceRequest.self)
        let call = ProduceCall(produce, version: request.header.apiVersion)
        let entries = check(produce, call)
        if produce.acks == 0 { return sendWithoutAnswer(call, entries, produce, loop) }
        guard !entries.isEmpty else { return request.answer(call.response, on: loop) }
        let promise = loop.makePromise(of: ProduceResponse.self)
        batcher.submit(
            Submission(entries: entries, deadline: deadline(produce, loop), loop: loop, admitted: nil) { outcomes in
                promise.succeed(call.response(outcomes))
            })
        return promise.futureResult.answer(request)
    }

    /// No answer, but no endless memory either: the request counts until its batches have room. Kafka closes the
    /// connection where something is wrong, because there is no other way to say it.
    private func sendWithoutAnswer(
        _ call: ProduceCall, _ entries: [ProduceEntry], _ produce: ProduceRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        guard call.hasNoError else { return loop.makeFailedFuture(ProduceFlaw.unanswerable) }
        guard !entries.isEmpty else { return loop.makeSucceededFuture(nil) }
        let promise = loop.makePromise(of: KafkaResponse?.self)
        let once = OnceFlag()
        batcher.submit(
            Submission(
                entries: entries, deadline: deadline(produce, loop), loop: loop,
                admitted: { if once.take() { promise.succeed(nil) } },
                completed: { _ in if once.take() { promise.succeed(nil) } }))
        return promise.futureResult
    }

    private func deadline(_ produce: ProduceRequest, _ loop: any EventLoop) -> NIODeadline {
        let asked = TimeAmount.milliseconds(Int64(max(0, produce.timeoutMs)))
        return loop.now + min(max(asked, configuration.produce.timeoutMin), configuration.produce.timeoutMax)
    }

    // MARK: Checks

    private func check(_ produce: ProduceRequest, _ call: ProduceCall) -> [ProduceEntry] {
        var entries: [ProduceEntry] = []
        for (topicIndex, topic) in produce.topics.enumerated() {
            let found = call.version >= 13 ? view.topic(id: topic.topicID) : view.topic(named: topic.name)
            var seen: Set<Int32> = []
            for (index, partition) in topic.partitions.enumerated() {
                let slot = ProduceCall.Slot(topic: topicIndex, partition: index)
                do throws(ProduceFlaw) {
                    guard (-1...1).contains(produce.acks) else { throw .code(.invalidRequiredAcks) }
                    if produce.transactionalID != nil { throw .transactions }
                    guard let found, partition.index >= 0, partition.index < found.partitionCount else {
                        throw .code(found == nil && call.version >= 13 ? .unknownTopicId : .unknownTopicOrPartition)
                    }
                    guard seen.insert(partition.index).inserted else { throw .code(.invalidRequest) }
                    entries.append(try entry(partition, of: found, version: call.version))
                    call.slots.append(slot)
                } catch { call.refuse(slot, error) }
            }
        }
        return entries
    }

    private func entry(
        _ partition: ProduceRequest.Partition, of topic: TopicFacts, version: Int16
    ) throws(ProduceFlaw) -> ProduceEntry {
        guard let batch = partition.records, batch.readableBytes > 0 else {
            throw .message(.invalidRecord, "a produce request must hold exactly one record batch per partition")
        }
        let limit = topic.configs["max.message.bytes"].flatMap { Int($0) } ?? configuration.topics.batchBytesMax
        guard batch.readableBytes <= limit else {
            throw .message(.messageTooLarge, "a batch of \(batch.readableBytes) bytes, at most \(limit)")
        }
        let header: RecordBatchHeader
        do {
            header = try RecordBatch.validateOne(batch)
            try RecordBatch.validateRecords(of: batch)
        } catch { throw ProduceFlaw(error) }
        if let flaw = ProduceFlaw.find(in: header, version: version) { throw flaw }
        return ProduceEntry(
            topicID: topic.id, topic: topic.name, partition: partition.index, batch: batch, header: header)
    }
}

/// Why a batch is refused.
enum ProduceFlaw: Error, Equatable {
    case code(ErrorCode)
    case message(ErrorCode, String)
    case transactions
    /// acks=0 leaves no way to say it.
    case unanswerable

    init(_ error: RecordBatchError) {
        switch error {
        case .checksumMismatch: self = .message(.corruptMessage, "\(error)")
        case .compressionUnknown, .unsupportedCompression: self = .message(.unsupportedCompressionType, "\(error)")
        case .timestampsInvalid: self = .message(.invalidTimestamp, "\(error)")
        case .truncated, .lengthInvalid: self = .message(.corruptMessage, "\(error)")
        case .magicUnsupported, .countInvalid, .trailingBytes, .decompressionFailed, .decompressedTooLarge,
            .recordMalformed:
            self = .message(.invalidRecord, "\(error)")
        }
    }

    static func find(in header: RecordBatchHeader, version: Int16) -> ProduceFlaw? {
        if header.baseOffset != 0 { return .message(.invalidRecord, "base offset \(header.baseOffset), must be 0") }
        if header.isControl { return .message(.invalidRecord, "clients may not write control batches") }
        if header.usesLogAppendTime { return .message(.invalidTimestamp, "clients may not set the append time") }
        if header.isTransactional { return .transactions }
        if header.producerID >= 0, header.baseSequence < 0 || header.producerEpoch < 0 {
            return .message(.invalidRecord, "producer \(header.producerID) without sequence or epoch")
        }
        if header.compression == .zstd, version < 7 { return .code(.unsupportedCompressionType) }
        return nil
    }

    var code: ErrorCode {
        switch self {
        case .code(let code), .message(let code, _): code
        case .transactions: .transactionalIdAuthorizationFailed
        case .unanswerable: .unknownServerError
        }
    }

    var text: String? {
        switch self {
        case .code, .unanswerable: nil
        case .message(_, let text): text
        case .transactions: "transactions are not supported"
        }
    }
}

/// One request under way: the response as far as it is known, and which part of it each batch will fill.
/// `@unchecked Sendable`: touched only on the event loop of its connection.
final class ProduceCall: @unchecked Sendable {
    struct Slot {
        var topic: Int
        var partition: Int
    }

    let version: Int16
    private(set) var response = ProduceResponse()
    private(set) var hasNoError = true
    var slots: [Slot] = []

    init(_ request: ProduceRequest, version: Int16) {
        self.version = version
        response.topics = request.topics.map { topic in
            var answer = ProduceResponse.Topic()
            answer.name = topic.name
            answer.topicID = topic.topicID
            answer.partitions = topic.partitions.map {
                var partition = ProduceResponse.Partition()
                partition.index = $0.index
                partition.baseOffset = -1
                return partition
            }
            return answer
        }
    }

    func refuse(_ slot: Slot, _ flaw: ProduceFlaw) {
        hasNoError = false
        response.topics[slot.topic].partitions[slot.partition].errorCode = flaw.code
        response.topics[slot.topic].partitions[slot.partition].errorMessage = flaw.text
    }

    func response(_ outcomes: [EntryOutcome]) -> ProduceResponse {
        for (slot, outcome) in zip(slots, outcomes) {
            var partition = response.topics[slot.topic].partitions[slot.partition]
            switch outcome {
            case .committed(let baseOffset, let logStart):
                partition.baseOffset = baseOffset
                partition.logStartOffset = logStart
            case .duplicate(let baseOffset): partition.baseOffset = baseOffset
            case .rejected(let code): partition.errorCode = code
            }
            response.topics[slot.topic].partitions[slot.partition] = partition
        }
        return response
    }
}
