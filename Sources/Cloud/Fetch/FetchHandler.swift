import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// Fetch: no sessions (every answer says session 0, as KIP-227 allows), topic ids from version 13.
struct FetchHandler: Sendable {
    let engine: FetchEngine
    let view: LedgerView

    func handle(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let fetch = try request.decode(FetchRequest.self)
        // Epochs 0 and -1 ask for everything: an old session that they name is over (rule F5).
        if fetch.sessionID != 0, fetch.sessionEpoch > 0 {
            var response = FetchResponse()
            response.errorCode = .fetchSessionIdNotFound
            return request.answer(response, on: connection.eventLoop)
        }
        let items = fetch.topics.flatMap { self.items(of: $0, version: request.header.apiVersion) }
        return FetchSession(engine: engine, request: request, fetch: fetch, items: items, connection: connection)
            .start()
    }

    private func items(of topic: FetchRequest.Topic, version: Int16) -> [FetchItem] {
        let byID = version >= 13
        let facts = byID ? view.topic(id: topic.topicID) : view.topic(named: topic.name)
        return topic.partitions.map { partition in
            FetchItem(
                topicName: topic.name, topicID: facts?.id ?? topic.topicID, index: partition.index,
                offset: partition.fetchOffset, maxBytes: Int(max(0, partition.maxBytes)),
                leaderEpoch: partition.currentLeaderEpoch,
                topicError: facts == nil ? (byID ? .unknownTopicId : .unknownTopicOrPartition) : nil)
        }
    }
}
