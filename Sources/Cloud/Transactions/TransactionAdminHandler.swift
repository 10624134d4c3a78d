import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// What administrators ask of producers and transactions, and WriteTxnMarkers, with which they end a hanging one.
struct TransactionAdminHandler: Sendable {
    let ledger: Ledger
    let world: CloudWorld

    func describe(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DescribeTransactionsRequest.self)
        var response = DescribeTransactionsResponse()
        response.transactions = asked.transactionalIDs.map { id in
            var answer = DescribeTransactionsResponse.Transaction()
            answer.transactionalID = id
            guard !id.isEmpty, let facts = ledger.view.transaction(id) else {
                answer.errorCode = id.isEmpty ? .invalidRequest : .transactionalIdNotFound
                return answer
            }
            answer.state = facts.phase.rawValue
            answer.timeoutMs = facts.timeoutMs
            answer.startTimeMs = facts.startedMs
            answer.producerID = facts.producerID
            answer.producerEpoch = facts.epoch
            answer.topics = topics(facts.partitions)
            return answer
        }
        return request.answer(response, on: loop)
    }

    private func topics(_ places: [TopicPartition]) -> [DescribeTransactionsResponse.Topic] {
        Dictionary(grouping: places, by: \.topicID).compactMap { id, places in
            ledger.view.topic(id: id).map {
                DescribeTransactionsResponse.Topic(name: $0.name, partitions: places.map(\.partition).sorted())
            }
        }.sorted { $0.name < $1.name }
    }

    func list(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(ListTransactionsRequest.self)
        let known = Set([
            "Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead",
        ])
        var response = ListTransactionsResponse()
        response.unknownStateFilters = asked.stateFilters.filter { !known.contains($0) }
        let pattern: IDPattern
        do {
            pattern = try IDPattern(asked.transactionalIDPattern)
        } catch {
            response.errorCode = .invalidRegularExpression
            return request.answer(response, on: loop)
        }
        let states = Set(asked.stateFilters)
        let producers = Set(asked.producerIDFilters)
        let nowMs = world.wallMs()
        response.transactions = ledger.view.transactions().filter { facts in
            (states.isEmpty || states.contains(facts.phase.rawValue))
                && (producers.isEmpty || producers.contains(facts.producerID))
                && (asked.durationMsFilter < 0
                    || facts.phase == .ongoing && nowMs - facts.startedMs > asked.durationMsFilter)
                && pattern.matches(facts.transactionalID)
        }.map { .init(transactionalID: $0.transactionalID, producerID: $0.producerID, state: $0.phase.rawValue) }
        return request.answer(response, on: loop)
    }

    func producers(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?>
    {
        let asked = try request.decode(DescribeProducersRequest.self)
        var response = DescribeProducersResponse()
        response.topics = asked.topics.map { topic in
            let id = ledger.view.topic(named: topic.name)?.id
            var answer = DescribeProducersResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitionIndexes.map { index in
                var partition = DescribeProducersResponse.Partition()
                partition.index = index
                guard let known = id.flatMap({ ledger.view.producers($0, index) }) else {
                    partition.errorCode = .unknownTopicOrPartition
                    return partition
                }
                partition.activeProducers = known.map { DescribeProducersResponse.Producer($0) }
                return partition
            }
            return answer
        }
        return request.answer(response, on: loop)
    }

    // MARK: Markers

    func writeMarkers(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(WriteTxnMarkersRequest.self)
        let results = asked.markers.map { write($0, loop) }
        return EventLoopFuture.whenAllSucceed(results, on: loop).map { markers in
            var response = WriteTxnMarkersResponse()
            response.markers = markers
            return response
        }.answer(request)
    }

    private func write(
        _ marker: WriteTxnMarkersRequest.Marker, _ loop: any EventLoop
    ) -> EventLoopFuture<WriteTxnMarkersResponse.Marker> {
        let places = marker.topics.flatMap { topic in
            let id = ledger.view.topic(named: topic.name)?.id ?? .zero
            return topic.partitionIndexes.map { TopicPartition(topicID: id, partition: $0) }
        }
        let command = WriteMarkers(
            producerID: max(0, marker.producerID), epoch: marker.producerEpoch, commits: marker.isCommit,
            partitions: places, nowMs: world.wallMs())
        return ledger.submit(.writeMarkers(command), on: loop).map { result in
            var codes: ArraySlice<ErrorCode>
            switch result {
            case .success(.errorCodes(let found)): codes = found[...]
            case .success: codes = []
            case .failure(let error): codes = places.map { _ in error.coordinatorCode }[...]
            }
            var answer = WriteTxnMarkersResponse.Marker()
            answer.producerID = marker.producerID
            answer.topics = marker.topics.map { topic in
                var shown = WriteTxnMarkersResponse.Topic()
                shown.name = topic.name
                shown.partitions = topic.partitionIndexes.map {
                    .init(index: $0, errorCode: codes.popFirst() ?? .unknownServerError)
                }
                return shown
            }
            return answer
        }
    }
}

extension DescribeProducersResponse.Producer {
    init(_ facts: ProducerFacts) {
        self.init()
        producerID = facts.producerID
        producerEpoch = Int32(facts.epoch)
        lastSequence = facts.lastSequence
        lastTimestampMs = facts.lastTimestampMs
        currentTransactionStartOffset = facts.transactionStart
    }
}

/// A pattern for transactional ids: the whole id must match.
struct IDPattern {
    private let regex: Regex<AnyRegexOutput>?

    init(_ pattern: String?) throws {
        regex = try pattern.flatMap { $0.isEmpty ? nil : $0 }.map { try Regex($0) }
    }

    func matches(_ id: String) -> Bool {
        guard let regex else { return true }
        return (try? regex.wholeMatch(in: id)) != nil
    }
}
