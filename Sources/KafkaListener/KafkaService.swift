public import KafkaProtocol
public import NIOCore

/// What answers the requests of a ``KafkaListener``: the gateway, the cloud broker, or the null broker of a benchmark.
public protocol KafkaService: Sendable {
    /// The requests that `handle` understands, one element for each key. ApiVersions (18) is answered by the listener from
    /// this list and need not be in it.
    var apis: [SupportedAPI] { get }

    /// Finalized features that ApiVersions answers, for example `transaction.version` 2; see KIP-584.
    var features: [FinalizedFeature] { get }

    /// Answers one request whose key and version are in ``apis``.
    ///
    /// - Called on the connection's event loop, for one connection in the order the requests arrived. The next request of
    ///   the connection may be handed over before this one is answered when both allow it (``SupportedAPI/overlaps``);
    ///   responses always leave in request order.
    /// - Returns `nil` inside the future where the protocol wants no response (Produce with acks=0). A failed future
    ///   closes the connection: that is for requests that could not be parsed, all other errors are error codes.
    /// - After the connection has gone nothing more of it is handed over. A request that waits, or that makes a large
    ///   response, ends itself then (``KafkaConnection/whenClosed(_:)``); what it answers is dropped.
    func handle(_ request: KafkaRequest, on connection: KafkaConnection) -> EventLoopFuture<KafkaResponse?>
}

extension KafkaService {
    public var features: [FinalizedFeature] { [] }
}

/// One request kind that a service answers and the versions it really parses.
public struct SupportedAPI: Sendable, Equatable {
    public let key: APIKey
    public let minVersion: Int16
    public let maxVersion: Int16
    /// Whether the next request may be handed to the service while this one is unanswered. A broker of Kafka works on one
    /// request of a connection at a time; only Produce gains from more, so only Produce overlaps by default.
    public let overlaps: Bool
    /// Whether a shutdown waits for the answer. Not for requests that may wait long for something to happen and that the
    /// client repeats elsewhere without harm.
    public var isAwaitedAtShutdown: Bool { key != .fetch && key != .joinGroup && key != .syncGroup }

    public init(_ key: APIKey, _ versions: ClosedRange<Int16>, overlaps: Bool? = nil) {
        self.key = key
        self.minVersion = versions.lowerBound
        self.maxVersion = versions.upperBound
        self.overlaps = overlaps ?? (key == .produce)
    }

    /// The stable versions that a message description knows, cut at `maxVersion` where the newest one is not served.
    public init<Message: RequestMessage>(_ type: Message.Type, maxVersion: Int16 = .max, overlaps: Bool? = nil) {
        let newest = max(min(Message.newestStableVersion, maxVersion), Message.versions.lowerBound)
        self.init(Message.apiKey, Message.versions.lowerBound...newest, overlaps: overlaps)
    }

    /// The lowest version that ApiVersions shows. Produce shows 0 although 3 is the lowest that is parsed, as Kafka 4
    /// does (KAFKA-18659): older librdkafka switches compression off where the range does not include 0.
    public var advertisedMinVersion: Int16 { key == .produce ? 0 : minVersion }
}

/// A cluster-wide feature level as ApiVersions reports it.
public struct FinalizedFeature: Sendable, Equatable {
    public let name: String
    /// The versions this node could do.
    public let supported: ClosedRange<Int16>
    /// The level in force; 0 means off and is not reported.
    public let level: Int16

    public init(name: String, supported: ClosedRange<Int16>, level: Int16) {
        self.name = name
        self.supported = supported
        self.level = level
    }
}
