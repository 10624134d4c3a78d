import WriteAheadLog

/// Which lane records go to: by their source where a route of sources matches, else by their topic. The first that matches decides.
public struct LaneRouter: Sendable, Equatable {
    /// Most urgent first: the order in which the uplink serves them.
    public let lanes: [LaneSettings]
    private let routes: [(pattern: NamePattern, lane: Int)]
    private let sources: [(pattern: NamePattern, lane: Int)]
    private let fallback: Int

    /// Each lane has two threads, files and buffers of its own.
    public static let lanesMax = 16

    /// - Parameter fallback: the lane of topics without a route.
    public init(
        lanes: [LaneSettings] = LaneSettings.defaults, routes: [LaneRoute] = [], sources: [SourceRoute] = [],
        fallback: String = "standard"
    ) throws(LaneRoutingError) {
        guard (1...LaneRouter.lanesMax).contains(lanes.count) else { throw .laneCountInvalid(lanes.count) }
        var indexes: [String: Int] = [:]
        for (index, lane) in lanes.enumerated() {
            try Self.check(lane)
            if indexes.updateValue(index, forKey: lane.name) != nil { throw .laneTwice(lane.name) }
        }
        guard let fallbackIndex = indexes[fallback] else { throw .laneUnknown(fallback, pattern: nil) }
        self.routes = try Self.compile(routes.map { ($0.pattern.pattern, $0.lane) }, indexes)
        self.sources = try Self.compile(sources.map { ($0.pattern.pattern, $0.lane) }, indexes)
        self.lanes = lanes
        self.fallback = fallbackIndex
    }

    /// Refuses a route that could never match.
    private static func compile(
        _ routes: [(pattern: NamePattern, lane: String)], _ indexes: [String: Int]
    ) throws(LaneRoutingError) -> [(pattern: NamePattern, lane: Int)] {
        var compiled: [(pattern: NamePattern, lane: Int)] = []
        for route in routes {
            guard let lane = indexes[route.lane] else {
                throw .laneUnknown(route.lane, pattern: route.pattern.description)
            }
            if let earlier = compiled.first(where: { $0.pattern.covers(route.pattern) }) {
                throw .routeUnreachable(route.pattern.description, behind: earlier.pattern.description)
            }
            compiled.append((route.pattern, lane))
        }
        return compiled
    }

    /// Whether any source has a lane of its own.
    public var hasSourceRoutes: Bool { !sources.isEmpty }

    /// Index into ``lanes``; nil: the topic decides.
    public func lane(forSource source: String) -> Int? { sources.first { $0.pattern.matches(source) }?.lane }

    /// Index into ``lanes``.
    public func lane(forTopic topic: String) -> Int {
        for route in routes where route.pattern.matches(topic) { return route.lane }
        return fallback
    }

    public static func == (left: LaneRouter, right: LaneRouter) -> Bool {
        left.lanes == right.lanes && left.fallback == right.fallback
            && left.routes.elementsEqual(right.routes) { $0 == $1 }
            && left.sources.elementsEqual(right.sources) { $0 == $1 }
    }

    private static func check(_ lane: LaneSettings) throws(LaneRoutingError) {
        guard LaneSettings.isName(lane.name) else { throw .laneNameInvalid(lane.name) }
        guard lane.commitWindow >= .zero, lane.uplinkInterval > .zero else { throw .timeInvalid(lane: lane.name) }
        guard lane.quotaAge == nil || lane.fullPolicy == .dropOldest else { throw .ageNeedsDropping(lane: lane.name) }
        guard lane.quotaBytes >= 2 * lane.segmentBytes else {
            throw .quotaTooSmall(lane: lane.name, quotaBytes: lane.quotaBytes, leastBytes: 2 * lane.segmentBytes)
        }
    }
}

/// One line of the routing table.
public struct LaneRoute: Sendable, Equatable {
    public let pattern: TopicPattern
    public let lane: String

    public init(_ pattern: TopicPattern, lane: String) {
        self.pattern = pattern
        self.lane = lane
    }
}

/// Topics by name, with `*` and `?` anywhere.
public struct TopicPattern: Sendable, Equatable, CustomStringConvertible {
    public let pattern: NamePattern

    /// Throws where no topic name could match, and for a `*` before another wildcard.
    public init(_ text: String) throws(LaneRoutingError) {
        guard let pattern = NamePattern(text), text.utf8.count <= TopicName.lengthMax,
            TopicName.hasOnlyLegalCharacters(String(decoding: pattern.literals, as: UTF8.self))
        else { throw .patternInvalid(text) }
        self.pattern = pattern
    }

    public var description: String { pattern.description }
}

/// Sources by what they are and their name, with `*` and `?` anywhere: `ntrip:MOUNT`, `tcp:ID`, `udp:ID`, `kafka:CLIENT-ID`.
public struct SourcePattern: Sendable, Equatable, CustomStringConvertible {
    public let pattern: NamePattern

    static let kinds = ["ntrip", "tcp", "udp", "kafka"]
    static let lengthMax = 256

    /// Throws for a kind that there is not, and for a `*` before another wildcard.
    public init(_ text: String) throws(LaneRoutingError) {
        let kind = text.prefix { $0 != ":" && $0 != "*" && $0 != "?" }
        let rest = text.dropFirst(kind.count)
        let isKnown = Self.kinds.contains { rest.hasPrefix(":") ? $0 == kind : !rest.isEmpty && $0.hasPrefix(kind) }
        guard isKnown, text.utf8.count <= Self.lengthMax, let pattern = NamePattern(text) else {
            throw .sourceInvalid(text)
        }
        self.pattern = pattern
    }

    public var description: String { pattern.description }
}

/// One line of the routing table by source.
public struct SourceRoute: Sendable, Equatable {
    public let pattern: SourcePattern
    public let lane: String

    public init(_ pattern: SourcePattern, lane: String) {
        self.pattern = pattern
        self.lane = lane
    }
}

/// What is wrong with a lane configuration; each case names the value to change.
public enum LaneRoutingError: Error, Equatable {
    case laneNameInvalid(String)
    case laneTwice(String)
    case laneCountInvalid(Int)
    /// A limit by age gives data up, which a lane that rejects never does.
    case ageNeedsDropping(lane: String)
    case laneUnknown(String, pattern: String?)
    case patternInvalid(String)
    case sourceInvalid(String)
    /// An earlier pattern takes everything that this one would match.
    case routeUnreachable(String, behind: String)
    case timeInvalid(lane: String)
    case quotaTooSmall(lane: String, quotaBytes: Int, leastBytes: Int)
}
