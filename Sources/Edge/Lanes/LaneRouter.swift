import WriteAheadLog

/// Which lane the records of a topic go to. The first route that matches decides.
public struct LaneRouter: Sendable, Equatable {
    /// Most urgent first: the order in which the uplink serves them.
    public let lanes: [LaneSettings]
    private let routes: [(pattern: TopicPattern, lane: Int)]
    private let fallback: Int

    /// Each lane has two threads, files and buffers of its own.
    public static let lanesMax = 16

    /// - Parameter fallback: the lane of topics without a route.
    public init(
        lanes: [LaneSettings] = LaneSettings.defaults, routes: [LaneRoute] = [], fallback: String = "standard"
    ) throws(LaneRoutingError) {
        guard (1...LaneRouter.lanesMax).contains(lanes.count) else { throw .laneCountInvalid(lanes.count) }
        var indexes: [String: Int] = [:]
        for (index, lane) in lanes.enumerated() {
            try Self.check(lane)
            if indexes.updateValue(index, forKey: lane.name) != nil { throw .laneTwice(lane.name) }
        }
        guard let fallbackIndex = indexes[fallback] else { throw .laneUnknown(fallback, pattern: nil) }
        var compiled: [(pattern: TopicPattern, lane: Int)] = []
        for route in routes {
            guard let lane = indexes[route.lane] else {
                throw .laneUnknown(route.lane, pattern: route.pattern.description)
            }
            if let earlier = compiled.first(where: { $0.pattern.covers(route.pattern) }) {
                throw .routeUnreachable(route.pattern.description, behind: earlier.pattern.description)
            }
            compiled.append((route.pattern, lane))
        }
        self.lanes = lanes
        self.routes = compiled
        self.fallback = fallbackIndex
    }

    /// Index into ``lanes``.
    public func lane(forTopic topic: String) -> Int {
        for route in routes where route.pattern.matches(topic) { return route.lane }
        return fallback
    }

    public static func == (left: LaneRouter, right: LaneRouter) -> Bool {
        left.lanes == right.lanes && left.fallback == right.fallback
            && left.routes.elementsEqual(right.routes) { $0 == $1 }
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

/// `name` (exactly), `name*` (begins with) or `*` (all).
public enum TopicPattern: Sendable, Equatable, CustomStringConvertible {
    case exact(String)
    case prefix(String)
    case all

    /// Throws where `*` is not the last character, or where no topic name could match.
    public init(_ text: String) throws(LaneRoutingError) {
        if text == "*" {
            self = .all
            return
        }
        let stem = text.hasSuffix("*") ? String(text.dropLast()) : text
        guard TopicName.hasOnlyLegalCharacters(stem), (1...TopicName.lengthMax).contains(stem.utf8.count) else {
            throw .patternInvalid(text)
        }
        self = text.hasSuffix("*") ? .prefix(stem) : .exact(stem)
    }

    public func matches(_ topic: String) -> Bool {
        switch self {
        case .exact(let name): topic == name
        case .prefix(let stem): topic.utf8.starts(with: stem.utf8)
        case .all: true
        }
    }

    public var description: String {
        switch self {
        case .exact(let name): name
        case .prefix(let stem): stem + "*"
        case .all: "*"
        }
    }

    /// Whether every topic that `other` matches is matched by this one too.
    func covers(_ other: TopicPattern) -> Bool {
        switch (self, other) {
        case (.all, _): true
        case (_, .all): false
        case (.exact(let name), .exact(let other)): name == other
        case (.exact, .prefix): false
        case (.prefix(let stem), .exact(let other)), (.prefix(let stem), .prefix(let other)):
            other.utf8.starts(with: stem.utf8)
        }
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
    /// An earlier pattern takes everything that this one would match.
    case routeUnreachable(String, behind: String)
    case timeInvalid(lane: String)
    case quotaTooSmall(lane: String, quotaBytes: Int, leastBytes: Int)
}
