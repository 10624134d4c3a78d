import Testing

@testable import Edge

@Suite struct LaneRouterTests {
    static func routes(_ pairs: [(String, String)]) throws -> [LaneRoute] {
        try pairs.map { LaneRoute(try TopicPattern($0.0), lane: $0.1) }
    }

    @Test("the first route that matches decides, and the fallback takes the rest")
    func order() throws {
        let router = try LaneRouter(
            routes: Self.routes([
                ("rtcm.base", "critical"), ("rtcm.raw.*", "bulk"), ("rtcm.*", "critical"), ("photo*", "bulk"),
            ]))
        let lanes = ["rtcm.base", "rtcm.raw.7", "rtcm.7", "rtcm", "photo", "photos.1", "RTCM.7"].map {
            router.lanes[router.lane(forTopic: $0)].name
        }
        #expect(lanes == ["critical", "bulk", "critical", "standard", "bulk", "bulk", "standard"])
    }

    @Test("the default lanes are those of the architecture")
    func defaults() throws {
        let router = try LaneRouter()
        #expect(router.lanes.map(\.name) == ["critical", "standard", "bulk"])
        #expect(router.lanes.map(\.commitWindow) == [.milliseconds(1), .milliseconds(10), .milliseconds(50)])
        #expect(router.lanes.map(\.uplinkInterval) == [.seconds(1), .seconds(5), .seconds(30)])
        #expect(router.lane(forTopic: "anything") == 1)
    }

    @Test(
        "a route that could never match is refused with the one that hides it",
        arguments: [("*", "a"), ("a*", "ab*"), ("a*", "ab"), ("a", "a"), ("*", "*"), ("a*", "a*")])
    func unreachable(earlier: String, later: String) throws {
        let routes = try Self.routes([(earlier, "bulk"), (later, "critical")])
        #expect(throws: LaneRoutingError.routeUnreachable(later, behind: earlier)) { try LaneRouter(routes: routes) }
    }

    @Test("patterns that match no topic are refused", arguments: ["", "a*b", "**", "a b", "ä", "a/*", "*a"])
    func badPatterns(text: String) {
        #expect(throws: LaneRoutingError.patternInvalid(text)) { try TopicPattern(text) }
    }

    @Test("a lane that cannot work is refused by name")
    func badLanes() throws {
        func lane(_ name: String, quota: Int = 1 << 30, window: Duration = .zero, interval: Duration = .seconds(1))
            -> LaneSettings
        {
            LaneSettings(name: name, commitWindow: window, uplinkInterval: interval, quotaBytes: quota)
        }
        #expect(throws: LaneRoutingError.laneTwice("a")) {
            try LaneRouter(lanes: [lane("a"), lane("a")], fallback: "a")
        }
        #expect(throws: LaneRoutingError.laneUnknown("b", pattern: nil)) {
            try LaneRouter(lanes: [lane("a")], fallback: "b")
        }
        #expect(throws: LaneRoutingError.laneUnknown("b", pattern: "x*")) {
            try LaneRouter(lanes: [lane("a")], routes: Self.routes([("x*", "b")]), fallback: "a")
        }
        #expect(throws: LaneRoutingError.laneNameInvalid("../a")) {
            try LaneRouter(lanes: [lane("../a")], fallback: "../a")
        }
        #expect(throws: LaneRoutingError.timeInvalid(lane: "a")) {
            try LaneRouter(lanes: [lane("a", interval: .zero)], fallback: "a")
        }
        #expect(throws: LaneRoutingError.quotaTooSmall(lane: "a", quotaBytes: 5, leastBytes: 128 << 20)) {
            try LaneRouter(lanes: [lane("a", quota: 5)], fallback: "a")
        }
    }
}
