import KafkaListener
import KafkaProtocol
import NIOCore
import WriteAheadLog

/// Produce: checks each batch, hands the good ones to their lanes, answers when the last lane has answered.
struct ProduceHandler {
    let services: EdgeServices

    func handle(
        _ request: ProduceRequest, _ header: RequestHeader, on connection: KafkaConnection
    ) -> EventLoopFuture<KafkaResponse?> {
        let lane = services.sources.lane(ofClient: header.clientID)
        let plan = ProducePlan.onLoop(request, version: header.apiVersion, services: services, sourceLane: lane)
        if let plan, connection.order.isFree { return submit(plan, request, header, on: connection) }
        // Batches of a producer go to their lanes in the order of its requests, also those that are checked sooner.
        let loop = connection.eventLoop
        let planned =
            plan.map { loop.makeSucceededFuture($0) }
            ?? BatchOpening.run(for: loop) { [services] in
                ProducePlan(request, version: header.apiVersion, services: services, sourceLane: lane)
            }
        let answer = loop.makePromise(of: KafkaResponse?.self)
        connection.order.take(after: planned) { result in
            switch result {
            case .success(let plan): submit(plan, request, header, on: connection).cascade(to: answer)
            case .failure(let error): answer.fail(error)
            }
        }
        return answer.futureResult
    }

    private func submit(
        _ plan: ProducePlan, _ request: ProduceRequest, _ header: RequestHeader, on connection: KafkaConnection
    ) -> EventLoopFuture<KafkaResponse?> {
        let pending = PendingProduce(
            plan: plan, acks: request.acks, header: header,
            promise: connection.eventLoop.makePromise(of: KafkaResponse?.self))
        guard !plan.parts.isEmpty else {
            pending.answer()
            return pending.promise.futureResult
        }
        let mailbox = EdgeConnection.of(connection, services).mailbox
        let bound = NIOLoopBound(pending, eventLoop: connection.eventLoop)
        for (index, part) in plan.parts.enumerated() {
            services.lanes[part.lane].append(part.entries, mailbox: mailbox) { outcomes in
                bound.value.decided(part: index, outcomes)
            }
        }
        return pending.promise.futureResult
    }
}

/// What one Produce request asks of which lane. Facts in, a plan out: no I/O.
struct ProducePlan: Sendable {
    /// Where in the response an entry's outcome belongs.
    struct Slot: Equatable, Sendable {
        let topic: Int
        let partition: Int
    }

    struct Part: Sendable {
        let lane: Int
        var entries: [LogEntry] = []
        var slots: [Slot] = []
    }

    /// Complete for what was refused, waiting for outcomes for the rest.
    private(set) var response = ProduceResponse()
    /// One for each lane that gets something.
    private(set) var parts: [Part] = []
    private(set) var hasRefusal = false
    /// Batches that would open to more than was allowed: everything else in the plan is worth nothing then.
    private(set) var isTooMuch = false

    /// Nil where opening the batches would hold the event loop up.
    static func onLoop(
        _ request: ProduceRequest, version: Int16, services: EdgeServices, sourceLane: Int?
    ) -> ProducePlan? {
        var compressedBytes = 0
        for topic in request.topics {
            for partition in topic.partitions { compressedBytes += BatchOpening.compressedBytes(partition.records) }
        }
        guard compressedBytes <= BatchOpening.compressedBytesMax else { return nil }
        let plan = ProducePlan(
            request, version: version, services: services, sourceLane: sourceLane,
            openedBytesMax: BatchOpening.loopBytesMax)
        return plan.isTooMuch ? nil : plan
    }

    /// - Parameter sourceLane: of this client, whatever the topic; nil: the topic decides.
    init(
        _ request: ProduceRequest, version: Int16, services: EdgeServices, sourceLane: Int?, openedBytesMax: Int = .max
    ) {
        let now = services.clock.read()
        var check = BatchCheck(batchBytesMax: services.configuration.batchBytesMax, openedBytesMax: openedBytesMax)
        let wholeRefusal = Self.refusal(of: request)
        response.topics.reserveCapacity(request.topics.count)
        for (topicIndex, asked) in request.topics.enumerated() {
            var topic = ProduceResponse.Topic()
            topic.name = asked.name
            topic.topicID = asked.topicID
            let known = Self.find(asked, version: version, in: services.topics)
            for (index, partition) in asked.partitions.enumerated() {
                var answer = ProduceResponse.Partition()
                answer.index = partition.index
                do throws(BatchRefusal) {
                    if let wholeRefusal { throw wholeRefusal }
                    let target = try Self.target(known, partition)
                    let admitted = try check.check(partition.records, produceVersion: version).get()
                    add(
                        LogEntry(
                            topic: target.name, partition: partition.index, batch: admitted.batch,
                            header: admitted.header, wallMs: now.wallMs, monotonicNs: now.monotonicNs,
                            clockQuality: now.quality),
                        lane: sourceLane ?? target.lane, slot: Slot(topic: topicIndex, partition: index))
                } catch {
                    hasRefusal = true
                    answer.refuse(error.code, error.message)
                    answer.recordErrors = error.recordErrors
                }
                topic.partitions.append(answer)
                isTooMuch = check.isTooMuch
                if isTooMuch { return }
            }
            response.topics.append(topic)
        }
    }

    private mutating func add(_ entry: LogEntry, lane: Int, slot: Slot) {
        let index = parts.firstIndex { $0.lane == lane } ?? parts.endIndex
        if index == parts.endIndex { parts.append(Part(lane: lane)) }
        parts[index].entries.append(entry)
        parts[index].slots.append(slot)
    }

    /// What refuses every batch of the request: P7 and T6.
    private static func refusal(of request: ProduceRequest) -> BatchRefusal? {
        guard (-1...1).contains(request.acks) else {
            return BatchRefusal(.invalidRequiredAcks, "acks \(request.acks) is not -1, 0 or 1")
        }
        if request.transactionalID != nil {
            return BatchRefusal(.transactionalIdAuthorizationFailed, EdgeCoordinator.noTransactions)
        }
        return nil
    }

    private static func find(
        _ asked: ProduceRequest.Topic, version: Int16, in topics: LocalTopics
    ) -> Result<LocalTopic, BatchRefusal> {
        if version >= 13 {
            guard let known = topics.topic(id: asked.topicID) else {
                return .failure(BatchRefusal(.unknownTopicId, "no topic \(asked.topicID)"))
            }
            return .success(known)
        }
        do {
            return .success(try topics.findOrCreate(asked.name))
        } catch {
            return .failure(BatchRefusal(error.code, "\(error)"))
        }
    }

    private static func target(
        _ known: Result<LocalTopic, BatchRefusal>, _ partition: ProduceRequest.Partition
    ) throws(BatchRefusal) -> LocalTopic {
        let topic = try known.get()
        guard (0..<topic.partitionCount).contains(partition.index) else {
            throw BatchRefusal(
                .unknownTopicOrPartition, "\(topic.name) has \(topic.partitionCount) partitions, no \(partition.index)")
        }
        return topic
    }
}

/// A produce that waits for its lanes. Lives on one event loop.
final class PendingProduce {
    let promise: EventLoopPromise<KafkaResponse?>
    private var response: ProduceResponse
    private let parts: [ProducePlan.Part]
    private let acks: Int16
    private let header: RequestHeader
    private var openParts: Int
    private var hasRefusal: Bool

    init(plan: ProducePlan, acks: Int16, header: RequestHeader, promise: EventLoopPromise<KafkaResponse?>) {
        self.promise = promise
        self.response = plan.response
        self.parts = plan.parts
        self.acks = acks
        self.header = header
        self.openParts = plan.parts.count
        self.hasRefusal = plan.hasRefusal
    }

    func decided(part: Int, _ outcomes: [AppendOutcome]) {
        for (slot, outcome) in zip(parts[part].slots, outcomes) {
            let verdict = AppendVerdict(outcome)
            if verdict.error == .none {
                response.topics[slot.topic].partitions[slot.partition].baseOffset = verdict.baseOffset
            } else {
                hasRefusal = true
                response.topics[slot.topic].partitions[slot.partition].refuse(verdict.error, verdict.message)
                response.throttleTimeMs = max(response.throttleTimeMs, verdict.throttleMs)
            }
        }
        openParts -= 1
        if openParts == 0 { answer() }
    }

    func answer() {
        do {
            if acks != 0 { return promise.succeed(try KafkaResponse(response, for: header)) }
            // A producer with acks=0 learns of an error by losing its connection, as from Kafka.
            if hasRefusal { throw ProduceRefused() }
            promise.succeed(nil)
        } catch {
            promise.fail(error)
        }
    }
}

/// A produce with acks=0 that could not be stored.
struct ProduceRefused: Error {}

extension ProduceResponse.Partition {
    fileprivate mutating func refuse(_ code: ErrorCode, _ message: String?) {
        errorCode = code
        errorMessage = message
        baseOffset = -1
    }
}
