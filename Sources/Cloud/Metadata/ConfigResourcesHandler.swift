import KafkaListener
import KafkaProtocol
import Ledger
import NIOCore

/// ListConfigResources: topics and this node. Nobody has settings for groups or client metrics here.
struct ConfigResourcesHandler: Sendable {
    let view: LedgerView
    let advertised: Advertised

    /// Source: Kafka 4.3, `ConfigResource.Type`.
    private enum Kind: Int8, CaseIterable {
        case topic = 2
        case broker = 4
        case brokerLogger = 8
        case clientMetrics = 16
        case group = 32
    }

    func handle(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(ListConfigResourcesRequest.self)
        var response = ListConfigResourcesResponse()
        guard let kinds = Self.kinds(asked.resourceTypes, request.header.apiVersion) else {
            response.errorCode = .unsupportedVersion
            return request.answer(response, on: loop)
        }
        for kind in Kind.allCases where kinds.contains(kind) {
            response.resources += names(of: kind).map { .init(name: $0, type: kind.rawValue) }
        }
        return request.answer(response, on: loop)
    }

    /// Nil where a type is asked for that does not exist. Version 0 knows client metrics only.
    private static func kinds(_ asked: [Int8], _ version: Int16) -> Set<Kind>? {
        guard version > 0 else { return [.clientMetrics] }
        guard !asked.isEmpty else { return Set(Kind.allCases) }
        let known = asked.compactMap { Kind(rawValue: $0) }
        return known.count == asked.count ? Set(known) : nil
    }

    private func names(of kind: Kind) -> [String] {
        switch kind {
        case .topic: view.topics().map(\.name)
        case .broker, .brokerLogger: [String(advertised.nodeID)]
        case .clientMetrics, .group: []
        }
    }
}
