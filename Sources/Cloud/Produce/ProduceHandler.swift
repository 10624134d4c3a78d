import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Produce: checks every batch, and hands the good ones to the object batcher or to the node's own log, as their topics ask.
///
/// Source: Kafka 4.3, `ProduceRequest.validateRecords`, `UnifiedLog`, `LogValidator`, `ReplicaManager`.
struct ProduceHandler: Sendable {
    let view: LedgerView
    let batcher: ProduceBatcher
    let volume: Volume?
    let advertised: Advertised
    let configuration: CloudConfiguration
    let world: CloudWorld

    func handle(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let produce = try request.decode(ProduceRequest.self)
        let loop = connection.eventLoop
        let call = checkOnLoop(produce, request.header)
        if let call, connection.order.isFree { return submit(call, produce, request, loop) }
        // Batches of a producer are submitted in the order of its requests, also those that are checked sooner.
        let checked =
            call.map { loop.makeSucceededFuture($0) }
            ?? BatchOpening.run(for: loop) { checkAll(produce, request.header) }
        let answer = loop.makePromise(of: KafkaResponse?.self)
        connection.order.take(after: checked) { result in
            switch result {
            case .success(let call): submit(call, produce, request, loop).cascade(to: answer)
            case .failure(let error): answer.fail(error)
            }
        }
        return answer.futureResult
    }

    private func submit(
        _ call: ProduceCall, _ produce: ProduceRequest, _ request: KafkaRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        if produce.acks == 0 { return sendWithoutAnswer(call, produce, loop) }
        guard !call.parts.isEmpty else { return request.answer(call.response, on: loop) }
        let promise = loop.makePromise(of: ProduceResponse.self)
        let deadline = deadline(produce, loop)
        for part in call.parts {
            send(part, deadline, loop, admitted: nil) { outcomes in
                guard call.fill(part.slots, outcomes) else { return }
                call.nameLeaders(advertised)
                promise.succeed(call.response)
            }
        }
        return promise.futureResult.answer(request)
    }

    private func send(
        _ part: ProduceCall.Part, _ deadline: NIODeadline, _ loop: any EventLoop, admitted: (@Sendable () -> Void)?,
        completed: @escaping @Sendable ([EntryOutcome]) -> Void
    ) {
        let submission = Submission(
            entries: part.entries, deadline: deadline, loop: loop, admitted: admitted, completed: completed)
        switch part.ack {
        case .object: batcher.submit(submission)
        case .wal:
            if let volume { return volume.submit(submission) }
            completed(part.entries.map { _ in .rejected(.kafkaStorageError) })
        }
    }

    /// No answer, but no endless memory either: the request counts until its batches have room. Kafka closes the
    /// connection where something is wrong, because there is no other way to say it.
    private func sendWithoutAnswer(
        _ call: ProduceCall, _ produce: ProduceRequest, _ loop: any EventLoop
    ) -> EventLoopFuture<KafkaResponse?> {
        guard call.hasNoError else { return loop.makeFailedFuture(ProduceFlaw.unanswerable) }
        guard !call.parts.isEmpty else { return loop.makeSucceededFuture(nil) }
        let admissions = call.parts.map { part in
            let promise = loop.makePromise(of: Void.self)
            let once = OnceFlag()
            send(part, deadline(produce, loop), loop, admitted: { if once.take() { promise.succeed() } }) { _ in
                if once.take() { promise.succeed() }
            }
            return promise.futureResult
        }
        return EventLoopFuture.andAllSucceed(admissions, on: loop).map { nil }
    }

    private func deadline(_ produce: ProduceRequest, _ loop: any EventLoop) -> NIODeadline {
        let asked = TimeAmount.milliseconds(Int64(max(0, produce.timeoutMs)))
        return loop.now + min(max(asked, configuration.produce.timeoutMin), configuration.produce.timeoutMax)
    }

    // MARK: Checks

    /// Nil where opening the batches would hold the event loop up.
    private func checkOnLoop(_ produce: ProduceRequest, _ header: RequestHeader) -> ProduceCall? {
        var compressedBytes = 0
        for topic in produce.topics {
            for partition in topic.partitions { compressedBytes += BatchOpening.compressedBytes(partition.records) }
        }
        guard compressedBytes <= BatchOpening.compressedBytesMax else { return nil }
        var opening = Opening(leftBytes: BatchOpening.loopBytesMax)
        let call = ProduceCall(produce, version: header.apiVersion)
        check(produce, call, clientID: header.clientID, &opening)
        return opening.isTooMuch ? nil : call
    }

    private func checkAll(_ produce: ProduceRequest, _ header: RequestHeader) -> ProduceCall {
        var opening = Opening(leftBytes: .max)
        let call = ProduceCall(produce, version: header.apiVersion)
        check(produce, call, clientID: header.clientID, &opening)
        return call
    }

    /// What may still be opened of a request.
    private struct Opening {
        var leftBytes: Int
        var isTooMuch = false
    }

    private func check(
        _ produce: ProduceRequest, _ call: ProduceCall, clientID: String?, _ opening: inout Opening
    ) {
        let nowMs = world.wallMs()
        for (topicIndex, topic) in produce.topics.enumerated() {
            let found = call.version >= 13 ? view.topic(id: topic.topicID) : view.topic(named: topic.name)
            let rules = found.map { TopicRules($0, configuration) }
            var seen: Set<Int32> = []
            for (index, partition) in topic.partitions.enumerated() {
                let slot = ProduceCall.Slot(topic: topicIndex, partition: index)
                do throws(ProduceFlaw) {
                    guard (-1...1).contains(produce.acks) else { throw .code(.invalidRequiredAcks) }
                    guard let found, let rules, partition.index >= 0, partition.index < found.partitionCount else {
                        throw .code(found == nil && call.version >= 13 ? .unknownTopicId : .unknownTopicOrPartition)
                    }
                    guard !TopicName.isInternal(found.name) || clientID == "__admin_client" else {
                        throw .code(.invalidTopicException)
                    }
                    guard topic.partitions.count == 1 || seen.insert(partition.index).inserted else {
                        throw .code(.invalidRequest)
                    }
                    let entry = try entry(
                        partition, of: found, rules.produce(version: call.version, nowMs: nowMs), produce, &opening)
                    call.add(entry, slot, rules.ack)
                } catch { call.refuse(slot, error) }
                if opening.isTooMuch { return }
            }
        }
    }

    private func entry(
        _ partition: ProduceRequest.Partition, of topic: TopicFacts, _ wanted: ProduceRules, _ produce: ProduceRequest,
        _ opening: inout Opening
    ) throws(ProduceFlaw) -> ProduceEntry {
        var rules = wanted
        rules.decompressedBytesMax = min(rules.decompressedBytesMax, opening.leftBytes)
        let version = rules.produceVersion
        let admitted: AdmittedBatch
        guard opening.leftBytes == .max || !BatchOpening.compressesMuch(partition.records, rules) else {
            opening.isTooMuch = true
            throw .code(.unknownServerError)
        }
        switch RecordBatch.admit(partition.records, rules: rules) {
        case .success(let batch): admitted = batch
        case .failure(let refusal):
            opening.isTooMuch =
                refusal.code == .messageTooLarge && rules.decompressedBytesMax < wanted.decompressedBytesMax
            throw .refused(refusal)
        }
        if BatchOpening.compressedBytes(partition.records) > 0 { opening.leftBytes -= admitted.openedBytes }
        let header = admitted.header
        var entry = ProduceEntry(
            topicID: topic.id, topic: topic.name, partition: partition.index, batch: admitted.batch, header: header)
        if header.usesLogAppendTime { entry.logAppendTimeMs = header.maxTimestamp }
        if header.isTransactional {
            guard produce.transactionalID != nil else { throw .code(.transactionalIdAuthorizationFailed) }
            entry.transaction = version >= 12 ? .adds : version >= 11 ? .addedOrAbortable : .added
        }
        return entry
    }
}

/// Why a batch is refused.
enum ProduceFlaw: Error, Equatable {
    case code(ErrorCode)
    case refused(BatchRefusal)
    /// acks=0 leaves no way to say it.
    case unanswerable

    var code: ErrorCode {
        switch self {
        case .code(let code): code
        case .refused(let refusal): refusal.code
        case .unanswerable: .unknownServerError
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

    /// The batches that go the same way, and where their outcomes belong.
    struct Part {
        var ack: AckMode
        var entries: [ProduceEntry] = []
        var slots: [Slot] = []
    }

    let version: Int16
    private(set) var response = ProduceResponse()
    private(set) var hasNoError = true
    private(set) var parts: [Part] = []
    private var filled = 0

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

    func add(_ entry: ProduceEntry, _ slot: Slot, _ ack: AckMode) {
        let place = parts.firstIndex { $0.ack == ack } ?? parts.count
        if place == parts.count { parts.append(Part(ack: ack)) }
        parts[place].entries.append(entry)
        parts[place].slots.append(slot)
        response.topics[slot.topic].partitions[slot.partition].logAppendTimeMs = entry.logAppendTimeMs
    }

    func refuse(_ slot: Slot, _ flaw: ProduceFlaw) {
        hasNoError = false
        response.topics[slot.topic].partitions[slot.partition].errorCode = flaw.code
        guard case .refused(let refusal) = flaw else { return }
        response.topics[slot.topic].partitions[slot.partition].errorMessage = refusal.message
        response.topics[slot.topic].partitions[slot.partition].recordErrors = refusal.recordErrors
    }

    /// True when no part is missing any more.
    func fill(_ slots: [Slot], _ outcomes: [EntryOutcome]) -> Bool {
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
        filled += 1
        return filled == parts.count
    }

    /// Rule P8: beside NOT_LEADER_OR_FOLLOWER stands who leads, as Metadata names it, so that a client need not ask.
    func nameLeaders(_ advertised: Advertised) {
        var isNamed = false
        for topic in response.topics.indices {
            for index in response.topics[topic].partitions.indices
            where response.topics[topic].partitions[index].errorCode == .notLeaderOrFollower {
                response.topics[topic].partitions[index].currentLeader = LeaderIDAndEpoch(
                    leaderID: advertised.nodeID, leaderEpoch: Kafka.leaderEpoch)
                isNamed = true
            }
        }
        if isNamed { response.nodeEndpoints = [advertised.node] }
    }
}
