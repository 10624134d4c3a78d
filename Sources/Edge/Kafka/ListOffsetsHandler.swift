import KafkaListener
import KafkaProtocol
import NIOCore
import NIOPosix
import WriteAheadLog

/// ListOffsets (rules L1 and L2): the ends of partitions from memory, times from the log, to the record.
struct ListOffsetsHandler {
    let services: EdgeServices

    private struct Asked: Hashable {
        let topic: String
        let partition: Int32
    }

    func handle(
        _ request: ListOffsetsRequest, _ header: RequestHeader, on connection: KafkaConnection
    ) -> EventLoopFuture<KafkaResponse?> {
        let version = header.apiVersion
        return services.pool.runIfActive(eventLoop: connection.eventLoop) {
            try KafkaResponse(answer(request, version: version), for: header)
        }
    }

    /// Blocks on reads where a time is asked.
    func answer(_ request: ListOffsetsRequest, version: Int16) -> ListOffsetsResponse {
        var counts: [Asked: Int] = [:]
        for topic in request.topics {
            for partition in topic.partitions {
                counts[Asked(topic: topic.name, partition: partition.index), default: 0] += 1
            }
        }
        var response = ListOffsetsResponse()
        response.topics = request.topics.map { asked in
            var topic = ListOffsetsResponse.Topic()
            topic.name = asked.name
            topic.partitions = asked.partitions.map { partition in
                let isTwice = counts[Asked(topic: asked.name, partition: partition.index), default: 1] > 1
                return isTwice
                    ? Self.refuse(partition, .invalidRequest) : answer(partition, topic: asked.name, version: version)
            }
            return topic
        }
        return response
    }

    private func answer(
        _ asked: ListOffsetsRequest.Partition, topic name: String, version: Int16
    ) -> ListOffsetsResponse.Partition {
        guard let topic = services.topics.topic(named: name), (0..<topic.partitionCount).contains(asked.index) else {
            return Self.refuse(asked, .unknownTopicOrPartition)
        }
        guard asked.currentLeaderEpoch <= ClusterView.leaderEpoch else {
            return Self.refuse(asked, .unknownLeaderEpoch)
        }
        guard let versionMin = Self.versionMin(asked.timestampMs), version >= versionMin else {
            return Self.refuse(asked, .unsupportedVersion)
        }
        var answer = ListOffsetsResponse.Partition()
        answer.index = asked.index
        answer.leaderEpoch = ClusterView.leaderEpoch
        let lane = services.lanes[topic.lane]
        let partition = TopicPartition(topic: name, partition: asked.index)
        do throws(WALError) {
            (answer.offset, answer.timestampMs) = try Self.find(asked.timestampMs, partition, in: lane)
        } catch .indexing {
            return Self.refuse(asked, .offsetNotAvailable)
        } catch {
            return Self.refuse(asked, .kafkaStorageError)
        }
        return answer
    }

    private static func find(
        _ timestampMs: Int64, _ partition: TopicPartition, in lane: Lane
    ) throws(WALError) -> (offset: Int64, timestampMs: Int64) {
        let offsets = lane.offsets(of: partition)
        let nothing: (offset: Int64, timestampMs: Int64) = (-1, -1)
        switch timestampMs {
        case ListOffsetsRequest.latestTimestamp: return (offsets.end, -1)
        case ListOffsetsRequest.earliestTimestamp, ListOffsetsRequest.earliestLocalTimestamp: return (offsets.start, -1)
        // Nothing is tiered: what was uploaded is read from the cloud.
        case ListOffsetsRequest.latestTieredTimestamp, ListOffsetsRequest.earliestPendingUploadTimestamp: return nothing
        case _ where offsets.start == offsets.end: return nothing
        case ListOffsetsRequest.maxTimestamp: return try lane.maxTimestamp(of: partition) ?? nothing
        default: return try lane.firstRecord(of: partition, timestampMs: timestampMs) ?? nothing
        }
    }

    /// From which version on a time that is no time may be asked; `nil` for one that does not exist.
    private static func versionMin(_ timestampMs: Int64) -> Int16? {
        switch timestampMs {
        case ListOffsetsRequest.maxTimestamp: 7
        case ListOffsetsRequest.earliestLocalTimestamp: 8
        case ListOffsetsRequest.latestTieredTimestamp: 9
        case ListOffsetsRequest.earliestPendingUploadTimestamp: 11
        default: timestampMs >= ListOffsetsRequest.earliestTimestamp ? 1 : nil
        }
    }

    private static func refuse(
        _ asked: ListOffsetsRequest.Partition, _ code: ErrorCode
    ) -> ListOffsetsResponse.Partition {
        var answer = ListOffsetsResponse.Partition()
        answer.index = asked.index
        answer.errorCode = code
        return answer
    }
}
