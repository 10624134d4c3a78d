import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// DeleteRecords: moves the log start of partitions forward (rule L5).
struct DeleteRecordsHandler: Sendable {
    let ledger: Ledger
    let world: CloudWorld

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DeleteRecordsRequest.self)
        var response = DeleteRecordsResponse()
        var items: [AdvanceLogStart.Item] = []
        var slots: [(topic: Int, partition: Int)] = []
        for (topicIndex, topic) in asked.topics.enumerated() {
            let facts = ledger.view.topic(named: topic.name)
            var answer = DeleteRecordsResponse.Topic()
            answer.name = topic.name
            for (index, partition) in topic.partitions.enumerated() {
                switch item(partition, of: facts) {
                case .success(let item):
                    items.append(item)
                    slots.append((topicIndex, index))
                    answer.partitions.append(.init(index: partition.index, lowWatermark: -1, errorCode: .none))
                case .failure(let flaw):
                    answer.partitions.append(.init(index: partition.index, lowWatermark: -1, errorCode: flaw.code))
                }
            }
            response.topics.append(answer)
        }
        guard !items.isEmpty else { return request.answer(response, on: loop) }
        let command = AdvanceLogStart(items: items, nowMs: world.wallMs())
        return ledger.submit(.advanceLogStart(command), on: loop).map { [response, slots] result in
            var response = response
            for (index, slot) in slots.enumerated() {
                var partition = response.topics[slot.topic].partitions[slot.partition]
                switch result {
                case .success(.logStarts(let outcomes)) where index < outcomes.count:
                    switch outcomes[index] {
                    case .logStart(let offset): partition.lowWatermark = offset
                    case .rejected(let code): partition.errorCode = code
                    }
                case .success: partition.errorCode = .unknownServerError
                case .failure(let error): partition.errorCode = error.errorCode
                }
                response.topics[slot.topic].partitions[slot.partition] = partition
            }
            return response
        }.answer(request)
    }

    private struct Flaw: Error { var code: ErrorCode }

    private func item(
        _ partition: DeleteRecordsRequest.Partition, of topic: TopicFacts?
    ) -> Result<AdvanceLogStart.Item, Flaw> {
        guard let topic, let facts = ledger.view.partition(topic.id, partition.index) else {
            return .failure(Flaw(code: .unknownTopicOrPartition))
        }
        // What compaction alone looks after has no beginning to move.
        guard CleanupPolicy(topic).deletes else { return .failure(Flaw(code: .policyViolation)) }
        guard partition.offset >= -1, partition.offset <= facts.highWatermark else {
            return .failure(Flaw(code: .offsetOutOfRange))
        }
        let offset = partition.offset == -1 ? facts.highWatermark : partition.offset
        return .success(AdvanceLogStart.Item(topicID: topic.id, partition: partition.index, newLogStart: offset))
    }
}
