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

    @Test("wildcards stand anywhere; ? is one character")
    func wildcards() throws {
        func pattern(_ text: String) throws -> NamePattern { try #require(NamePattern(text)) }
        for (text, name, isMatch) in [
            ("*.raw", "gnss.raw", true), ("*.raw", "gnss.raw.1", false), ("gnss.*.raw", "gnss.a.b.raw", true),
            ("a?c", "abc", true), ("a?c", "ac", false), ("a?*", "a", false), ("a?*", "ab", true), ("?", "ä", true),
            ("*aab*", "aaaab", true), ("a*a*a", "aa", false), ("a*a*a", "aaa", true), ("*", "", true),
            ("kafka:*-7", "kafka:app-7-7", true), ("x", "x", true), ("x", "xy", false),
        ] {
            #expect(try pattern(text).matches(name) == isMatch, "\(text) \(name)")
        }
        for (one, other, isCovered) in [
            ("*", "a?*", true), ("a?*", "a*", false), ("a*", "a?*", true), ("a?b", "a*b", false), ("*b*", "ab?", true),
            ("a?b", "axb", true), ("a*z", "a*b*z", true), ("a*b*z", "a*z", false), ("?*", "a", true),
        ] {
            #expect(try pattern(one).covers(try pattern(other)) == isCovered, "\(one) \(other)")
        }
    }

    @Test("sources go before topics, and only kinds that there are can be named")
    func sources() throws {
        let router = try LaneRouter(
            routes: Self.routes([("gnss.*", "bulk")]),
            sources: [
                SourceRoute(try SourcePattern("ntrip:BASE?"), lane: "critical"),
                SourceRoute(try SourcePattern("kafka:*alarm*"), lane: "critical"),
                SourceRoute(try SourcePattern("*:test"), lane: "standard"),
            ])
        let lanes = ["ntrip:BASE1", "ntrip:BASE12", "kafka:site-alarm-2", "udp:test", "tcp:BASE1"].map {
            router.lane(forSource: $0)
        }
        #expect(lanes == [0, nil, 0, 1, nil])
        let cache = SourceLanes(router)
        for _ in 0..<2 {
            #expect(cache.lane(of: "ntrip:BASE1") == 0 && cache.lane(of: "tcp:BASE1") == nil)
            #expect(cache.lane(ofClient: "alarms") == 0 && cache.lane(ofClient: nil) == nil)
        }
        for name in 0..<5000 { _ = cache.lane(ofClient: "\(name)") }
        #expect(cache.lane(ofClient: "alarms") == 0)
        for text in ["", "BASE1", "mqtt:*", "ntrip", "kafka:**", "ntripx:*"] {
            #expect(throws: LaneRoutingError.sourceInvalid(text)) { try SourcePattern(text) }
        }
    }

    @Test("a topic that several lanes hold keeps the lane that its routes name, else the most urgent")
    func holders() throws {
        let topics = LocalTopics(router: try LaneRouter(), incarnation: "x")
        for lane in [2, 1, 0] { topics.recovered("a", partition: 0, lane: lane) }
        for lane in [0, 2] { topics.recovered("b", partition: 1, lane: lane) }
        #expect(topics.topic(named: "a")?.lane == 1 && topics.topic(named: "b")?.lane == 0)
        #expect(topics.topic(named: "b")?.partitionCount == 2)
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

    @Test("patterns that match no topic are refused", arguments: ["", "**", "*?", "a*?b", "a b", "ä", "a/*"])
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
