import Synchronization

/// Which lane a source's records go to, whatever their topic. Remembers what it has found, so that the question costs one
/// look-up and no allocation.
final class SourceLanes: Sendable {
    private struct Known {
        var sources: [String: Int] = [:]
        var clients: [String: Int] = [:]
    }

    private let router: LaneRouter
    private let known = Mutex(Known())

    /// Whoever connects may name itself: beyond so many names all are looked up anew.
    private static let namesMax = 4096
    /// The topic decides.
    private static let none = -1

    init(_ router: LaneRouter) { self.router = router }

    /// Of a terminal: `ntrip:MOUNT`, `tcp:ID`, `udp:ID`. Nil: the topic decides.
    func lane(of source: String) -> Int? { find(source, in: \.sources) { source } }

    /// Of a Kafka client, by its client id.
    func lane(ofClient id: String?) -> Int? { find(id ?? "", in: \.clients) { "kafka:" + (id ?? "") } }

    private func find(
        _ name: String, in table: WritableKeyPath<Known, [String: Int]>, _ source: () -> String
    ) -> Int? {
        guard router.hasSourceRoutes else { return nil }
        let lane = known.withLock { known in
            if let lane = known[keyPath: table][name] { return lane }
            let lane = router.lane(forSource: source()) ?? Self.none
            if known[keyPath: table].count >= Self.namesMax { known[keyPath: table].removeAll(keepingCapacity: true) }
            known[keyPath: table][name] = lane
            return lane
        }
        return lane == Self.none ? nil : lane
    }
}
