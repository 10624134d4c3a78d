import KafkaProtocol

/// Which requests the listener lets through, looked up for every request.
struct VersionTable: Sendable {
    let apis: [SupportedAPI]
    let features: [FinalizedFeature]
    private let byKey: [Int16: SupportedAPI]

    init(apis: [SupportedAPI], features: [FinalizedFeature]) {
        let own = SupportedAPI(ApiVersionsRequest.self, overlaps: true)
        let others = apis.filter { $0.key != .apiVersions }
        self.apis = (others + [own]).sorted { $0.key.rawValue < $1.key.rawValue }
        self.features = features
        self.byKey = Dictionary(self.apis.map { ($0.key.rawValue, $0) }) { first, _ in first }
    }

    /// What serves a request, or `nil` when nothing does. ApiVersions passes at every version: an unknown one has an answer of
    /// its own.
    func api(for header: RequestHeader) -> SupportedAPI? {
        guard let api = byKey[header.apiKey.rawValue] else { return nil }
        let isServed = (api.minVersion...api.maxVersion).contains(header.apiVersion)
        return isServed || header.apiKey == .apiVersions ? api : nil
    }
}
