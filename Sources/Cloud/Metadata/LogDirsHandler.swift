import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// DescribeLogDirs: what partitions take in the object store and in the log of this node, as one directory (rule C5).
struct LogDirsHandler: Sendable {
    let view: LedgerView
    /// There is no directory; clients want an absolute path.
    static let directory = "/cairn"

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DescribeLogDirsRequest.self)
        var result = DescribeLogDirsResponse.Result()
        result.logDirectory = Self.directory
        result.topics = topics(asked.topics)
        var response = DescribeLogDirsResponse()
        response.results = [result]
        return request.answer(response, on: loop)
    }

    /// What is not there is left out, as Kafka does: a node tells of what it has.
    private func topics(_ asked: [DescribeLogDirsRequest.Topic]?) -> [DescribeLogDirsResponse.Topic] {
        guard let asked else {
            return view.topics().map { facts in topic(facts) { _ in true } }
        }
        let wanted = Dictionary(asked.map { ($0.name, Set($0.partitions)) }) { $0.union($1) }
        return wanted.sorted { $0.key < $1.key }.compactMap { name, indexes in
            guard let facts = view.topic(named: name) else { return nil }
            let found = topic(facts) { indexes.contains($0) }
            return found.partitions.isEmpty ? nil : found
        }
    }

    private func topic(_ facts: TopicFacts, _ isWanted: (Int32) -> Bool) -> DescribeLogDirsResponse.Topic {
        var topic = DescribeLogDirsResponse.Topic()
        topic.name = facts.name
        topic.partitions = view.partitionSizes(facts.id).enumerated().compactMap { index, sizeBytes in
            guard isWanted(Int32(index)) else { return nil }
            return DescribeLogDirsResponse.Partition(index: Int32(index), sizeBytes: sizeBytes)
        }
        return topic
    }
}
