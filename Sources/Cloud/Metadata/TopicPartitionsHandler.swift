import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// DescribeTopicPartitions: topics a page at a time.
struct TopicPartitionsHandler: Sendable {
    let view: LedgerView
    let advertised: Advertised

    /// What may be done to a topic where nobody is refused anything: READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE,
    /// DESCRIBE_CONFIGS and ALTER_CONFIGS, one bit each. Source: Kafka 4.3, `AclEntry.supportedOperations(TOPIC)`.
    private static let allowedOperations: Int32 = 0b1101_1111_1000

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DescribeTopicPartitionsRequest.self)
        var response = DescribeTopicPartitionsResponse()
        if let cursor = asked.cursor, cursor.partitionIndex < 0 {
            response.topics = asked.topics.map { Self.missing($0.name, .invalidRequest) }
            return request.answer(response, on: loop)
        }
        let page = TopicPage(
            names: asked.topics.isEmpty ? nil : asked.topics.map(\.name), all: view.topics(),
            from: asked.cursor.map { .init(topic: $0.topicName, partition: $0.partitionIndex) },
            limit: asked.responsePartitionLimit)
        response.topics = page.entries.map { entry in
            if let facts = entry.facts { return topic(facts, entry.partitions) }
            let isValid = TopicName.isValid(entry.name)
            return Self.missing(entry.name, isValid ? .unknownTopicOrPartition : .invalidTopicException)
        }
        response.nextCursor = page.next.map {
            TopicPartitionCursor(topicName: $0.topic, partitionIndex: $0.partition)
        }
        return request.answer(response, on: loop)
    }

    private static func missing(_ name: String, _ code: ErrorCode) -> DescribeTopicPartitionsResponse.Topic {
        var topic = DescribeTopicPartitionsResponse.Topic()
        topic.name = name
        topic.errorCode = code
        return topic
    }

    private func topic(_ facts: TopicFacts, _ indexes: Range<Int32>) -> DescribeTopicPartitionsResponse.Topic {
        var topic = DescribeTopicPartitionsResponse.Topic()
        topic.name = facts.name
        topic.topicID = facts.id
        topic.isInternal = facts.name.hasPrefix("__")
        topic.topicAuthorizedOperations = Self.allowedOperations
        topic.partitions = indexes.map { index in
            var partition = DescribeTopicPartitionsResponse.Partition()
            partition.index = index
            partition.leaderID = advertised.nodeID
            partition.leaderEpoch = Kafka.leaderEpoch
            partition.replicaNodes = [advertised.nodeID]
            partition.isrNodes = [advertised.nodeID]
            // Empty, not null: Java clients read them without looking.
            partition.eligibleLeaderReplicas = []
            partition.lastKnownELR = []
            return partition
        }
        return topic
    }
}
