public import KafkaProtocol
import Synchronization

/// A topic that this gateway accepts records for.
public struct LocalTopic: Sendable, Equatable {
    public let name: String
    /// The same after every restart of the same installation; another gateway gives the same name another id.
    public let id: KafkaUUID
    public let partitionCount: Int32
    /// Index of its own lane. A topic stays in the lane that holds its records, whatever the routes say later: its offsets
    /// count there, and readers on the site see what is there. Sources with a lane of their own put records of it elsewhere.
    public let lane: Int
}

/// A topic as the configuration asks for it.
public struct TopicSettings: Sendable, Equatable {
    public var name: String
    public var partitionCount: Int32

    public init(name: String, partitionCount: Int32 = 1) {
        self.name = name
        self.partitionCount = partitionCount
    }
}

/// The topics of a gateway: configured ones, those that the lanes hold records of, and those that clients made.
///
/// Nothing is stored here. A topic that a client made comes back after a restart when it has a record, with the same id.
public final class LocalTopics: Sendable {
    /// Why a topic is not there.
    public enum Refusal: Error, Equatable {
        case nameInvalid
        /// Not there, and clients may not make topics.
        case unknown
        /// There are as many topics as there may be.
        case tooMany(limit: Int)
    }

    private struct State {
        var byName: [String: LocalTopic] = [:]
        var byID: [KafkaUUID: LocalTopic] = [:]
        /// The lanes that hold records of a topic since before the start.
        var holders: [String: Set<Int>] = [:]
    }

    public static let partitionsMax: Int32 = 1024
    private let router: LaneRouter
    private let incarnation: String
    private let autoCreates: Bool
    private let defaultPartitions: Int32
    private let topicsMax: Int
    private let state = Mutex(State())

    /// - Parameters:
    ///   - incarnation: of this installation; makes the ids its own.
    ///   - topicsMax: bounds what clients may make. Configured and recovered topics are always there.
    public init(
        router: LaneRouter, incarnation: String, autoCreates: Bool = true, defaultPartitions: Int32 = 1,
        topicsMax: Int = 1000
    ) {
        self.router = router
        self.incarnation = incarnation
        self.autoCreates = autoCreates
        self.defaultPartitions = min(max(1, defaultPartitions), Self.partitionsMax)
        self.topicsMax = topicsMax
    }

    /// A topic of the configuration. More partitions than before are added, fewer are ignored.
    public func configure(_ settings: TopicSettings) throws(Refusal) {
        guard TopicName.isValid(settings.name) else { throw .nameInvalid }
        put(settings.name, partitions: min(settings.partitionCount, Self.partitionsMax), lane: nil)
    }

    /// Lane `lane` holds records of this partition. Of several lanes the one that its routes name is the topic's own, else the
    /// most urgent.
    public func recovered(_ name: String, partition: Int32, lane: Int) {
        let holders = state.withLock { state in
            state.holders[name, default: []].insert(lane)
            return state.holders[name, default: []]
        }
        let routed = router.lane(forTopic: name)
        put(
            name, partitions: partition.addingReportingOverflow(1).partialValue,
            lane: holders.contains(routed) ? routed : holders.min())
    }

    public func topic(named name: String) -> LocalTopic? { state.withLock { $0.byName[name] } }

    public func topic(id: KafkaUUID) -> LocalTopic? { state.withLock { $0.byID[id] } }

    public var count: Int { state.withLock { $0.byName.count } }

    /// In the order of their names.
    public func all() -> [LocalTopic] {
        state.withLock { Array($0.byName.values) }.sorted { $0.name < $1.name }
    }

    /// The topic of this name; makes it where that is allowed.
    public func findOrCreate(_ name: String) throws(Refusal) -> LocalTopic {
        try state.withLock { state throws(Refusal) in
            if let known = state.byName[name] { return known }
            guard TopicName.isValid(name) else { throw .nameInvalid }
            guard autoCreates else { throw .unknown }
            guard state.byName.count < topicsMax else { throw .tooMany(limit: topicsMax) }
            return store(
                name, partitions: defaultPartitions, lane: router.lane(forTopic: name), in: &state)
        }
    }

    private func put(_ name: String, partitions: Int32, lane: Int?) {
        state.withLock { state in
            let known = state.byName[name]
            let count = max(known?.partitionCount ?? defaultPartitions, partitions)
            let lane = lane ?? known?.lane ?? router.lane(forTopic: name)
            _ = store(name, partitions: count, lane: lane, in: &state)
        }
    }

    private func store(_ name: String, partitions: Int32, lane: Int, in state: inout State) -> LocalTopic {
        let topic = LocalTopic(name: name, id: id(of: name), partitionCount: partitions, lane: lane)
        state.byName[name] = topic
        state.byID[topic.id] = topic
        return topic
    }

    /// A UUID of version 8 (RFC 9562: made by the vendor's own rule), so it is never one of Kafka's reserved ones.
    private func id(of name: String) -> KafkaUUID {
        let (high, low) = StableHash.fnv1a128("\(incarnation)/\(name)".utf8)
        return KafkaUUID(high: high & ~0xf000 | 0x8000, low: low & ~(0b11 << 62) | (0b10 << 62))
    }
}
