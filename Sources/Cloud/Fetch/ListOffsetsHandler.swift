import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// ListOffsets and OffsetForLeaderEpoch.
struct ListOffsetsHandler: Sendable {
    let view: LedgerView
    let search: TimestampSearch
    let jobs: JobRunner
    /// A search opens batches, which may be many times larger inside: few at a time.
    let gate = AsyncGate(width: 4)

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(ListOffsetsRequest.self)
        let version = request.header.apiVersion
        let promise = loop.makePromise(of: ListOffsetsResponse.self)
        if asked.topics.allSatisfy({ $0.partitions.allSatisfy { !Self.needsRecords($0.timestampMs) } }) {
            promise.succeed(quickAnswer(asked, version))
        } else if !jobs.submit({ promise.succeed(await gate.pass { await answer(asked, version) }) }) {
            promise.succeed(quickAnswer(asked, version))
        }
        return promise.futureResult.answer(request)
    }

    func handleEpochs(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(OffsetForLeaderEpochRequest.self)
        var response = OffsetForLeaderEpochResponse()
        response.topics = asked.topics.map { topic in
            var answer = OffsetForLeaderEpochResponse.Topic()
            answer.name = topic.name
            answer.partitions = topic.partitions.map { epochEnd(topic.name, $0) }
            return answer
        }
        return request.answer(response, on: loop)
    }

    private func epochEnd(
        _ topic: String, _ asked: OffsetForLeaderEpochRequest.Partition
    ) -> OffsetForLeaderEpochResponse.Partition {
        var answer = OffsetForLeaderEpochResponse.Partition()
        answer.index = asked.index
        guard let facts = view.partition(topic: topic, asked.index) else {
            answer.errorCode = .unknownTopicOrPartition
            return answer
        }
        answer.errorCode = Self.epochError(asked.currentLeaderEpoch)
        guard answer.errorCode == .none, asked.leaderEpoch >= Kafka.leaderEpoch else { return answer }
        answer.leaderEpoch = Kafka.leaderEpoch
        answer.endOffset = facts.highWatermark
        return answer
    }

    private static func epochError(_ epoch: Int32) -> ErrorCode {
        if epoch < 0 || epoch == Kafka.leaderEpoch { return .none }
        return epoch > Kafka.leaderEpoch ? .unknownLeaderEpoch : .fencedLeaderEpoch
    }

    private static func needsRecords(_ timestampMs: Int64) -> Bool {
        timestampMs >= 0 || timestampMs == ListOffsetsRequest.maxTimestamp
    }

    /// From the ledger alone; what needs records gets an error that makes the client try again.
    private func quickAnswer(_ asked: ListOffsetsRequest, _ version: Int16) -> ListOffsetsResponse {
        var response = ListOffsetsResponse()
        for topic in asked.topics {
            var answer = ListOffsetsResponse.Topic()
            answer.name = topic.name
            for partition in topic.partitions {
                var found = start(topic, partition, version)
                if found.errorCode == .none {
                    if Self.needsRecords(partition.timestampMs) {
                        found.errorCode = .kafkaStorageError
                    } else {
                        fill(&found, topic.name, partition.timestampMs, isReadCommitted: asked.isolationLevel == 1)
                    }
                }
                answer.partitions.append(found)
            }
            response.topics.append(answer)
        }
        return response
    }

    private func answer(_ asked: ListOffsetsRequest, _ version: Int16) async -> ListOffsetsResponse {
        var response = ListOffsetsResponse()
        for topic in asked.topics {
            var answer = ListOffsetsResponse.Topic()
            answer.name = topic.name
            for partition in topic.partitions {
                var found = start(topic, partition, version)
                if found.errorCode == .none {
                    await look(
                        &found, topic.name, partition.timestampMs, isReadCommitted: asked.isolationLevel == 1)
                }
                answer.partitions.append(found)
            }
            response.topics.append(answer)
        }
        return response
    }

    private func start(
        _ topic: ListOffsetsRequest.Topic, _ asked: ListOffsetsRequest.Partition, _ version: Int16
    ) -> ListOffsetsResponse.Partition {
        var answer = ListOffsetsResponse.Partition()
        answer.index = asked.index
        if topic.partitions.lazy.filter({ $0.index == asked.index }).count > 1 {
            answer.errorCode = .invalidRequest
        } else if version < Self.firstVersion(of: asked.timestampMs) {
            answer.errorCode = .unsupportedVersion
        } else if view.partition(topic: topic.name, asked.index) == nil {
            answer.errorCode = .unknownTopicOrPartition
        } else {
            answer.errorCode = Self.epochError(asked.currentLeaderEpoch)
        }
        return answer
    }

    /// Source: `ListOffsetsRequest`, Kafka 4.3.
    private static func firstVersion(of timestampMs: Int64) -> Int16 {
        switch timestampMs {
        case ListOffsetsRequest.maxTimestamp: 7
        case ListOffsetsRequest.earliestLocalTimestamp: 8
        case ListOffsetsRequest.latestTieredTimestamp: 9
        case ListOffsetsRequest.earliestPendingUploadTimestamp: 11
        case ..<ListOffsetsRequest.earliestPendingUploadTimestamp: .max
        default: 1
        }
    }

    private func fill(
        _ answer: inout ListOffsetsResponse.Partition, _ topic: String, _ timestampMs: Int64, isReadCommitted: Bool
    ) {
        guard let facts = view.partition(topic: topic, answer.index) else {
            answer.errorCode = .unknownTopicOrPartition
            return
        }
        switch timestampMs {
        case ListOffsetsRequest.latestTimestamp:
            answer.offset = isReadCommitted ? facts.lastStableOffset : facts.highWatermark
        case ListOffsetsRequest.earliestTimestamp, ListOffsetsRequest.earliestLocalTimestamp:
            answer.offset = facts.logStart
        default: return
        }
        answer.leaderEpoch = Kafka.leaderEpoch
    }

    private func look(
        _ answer: inout ListOffsetsResponse.Partition, _ topic: String, _ timestampMs: Int64, isReadCommitted: Bool
    ) async {
        guard Self.needsRecords(timestampMs) else {
            return fill(&answer, topic, timestampMs, isReadCommitted: isReadCommitted)
        }
        guard let id = view.topic(named: topic)?.id else {
            answer.errorCode = .unknownTopicOrPartition
            return
        }
        do throws(ReadError) {
            let hit =
                timestampMs >= 0
                ? try await search.firstRecord(id, answer.index, atOrAfter: timestampMs)
                : try await search.largest(id, answer.index)
            let facts = view.partition(id, answer.index)
            let end = isReadCommitted ? facts?.lastStableOffset : facts?.highWatermark
            // What cannot be fetched yet counts as not there (rule L2).
            guard let hit, hit.offset < end ?? 0 else { return }
            answer.offset = hit.offset
            answer.timestampMs = hit.timestampMs
            answer.leaderEpoch = Kafka.leaderEpoch
        } catch { answer.errorCode = .kafkaStorageError }
    }
}
