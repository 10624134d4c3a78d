import KafkaProtocol
import Testing

@testable import Edge

@Suite struct LocalTopicsTests {
    static func topics(incarnation: String = "a", autoCreates: Bool = true, max: Int = 1000) throws -> LocalTopics {
        let router = try LaneRouter(routes: [LaneRoute(TopicPattern("raw*"), lane: "bulk")])
        return LocalTopics(
            router: router, incarnation: incarnation, autoCreates: autoCreates, defaultPartitions: 2, topicsMax: max)
    }

    @Test("an id depends on name and installation only, and is never a reserved one")
    func ids() throws {
        let first = try Self.topics().findOrCreate("x")
        #expect(try Self.topics().findOrCreate("x").id == first.id)
        #expect(try Self.topics(incarnation: "b").findOrCreate("x").id != first.id)
        #expect(try Self.topics().findOrCreate("y").id != first.id)
        #expect(first.id != .zero)
    }

    @Test("names follow Kafka's rules")
    func names() throws {
        let topics = try Self.topics()
        for name in ["", ".", "..", "a b", "a/b", "ä", String(repeating: "a", count: 250)] {
            #expect(throws: LocalTopics.Refusal.nameInvalid) { try topics.findOrCreate(name) }
        }
        for name in ["...", "a", "A.b_c-9", String(repeating: "a", count: 249)] {
            #expect(try topics.findOrCreate(name).name == name)
        }
    }

    @Test("clients can make as many topics as there may be, and none where they may not")
    func bounds() throws {
        let topics = try Self.topics(max: 2)
        _ = try topics.findOrCreate("a")
        _ = try topics.findOrCreate("b")
        #expect(throws: LocalTopics.Refusal.tooMany(limit: 2)) { try topics.findOrCreate("c") }
        #expect(try topics.findOrCreate("a").name == "a")
        try topics.configure(TopicSettings(name: "c", partitionCount: 3))
        #expect(topics.topic(named: "c")?.partitionCount == 3)
        let closed = try Self.topics(autoCreates: false)
        #expect(throws: LocalTopics.Refusal.unknown) { try closed.findOrCreate("a") }
    }

    @Test("recovered records decide lane and partitions, whatever the routes say now")
    func recovered() throws {
        let topics = try Self.topics()
        topics.recovered("raw.1", partition: 4, lane: 0)
        topics.recovered("raw.1", partition: 1, lane: 0)
        try topics.configure(TopicSettings(name: "raw.1", partitionCount: 3))
        let topic = try #require(topics.topic(named: "raw.1"))
        #expect(topic.lane == 0)
        #expect(topic.partitionCount == 5)
        #expect(topics.topic(id: topic.id) == topic)
        #expect(try topics.findOrCreate("raw.2").lane == 2)
        #expect(topics.all().map(\.name) == ["raw.1", "raw.2"])
    }
}
