import KafkaProtocol
import Ledger
import Testing

@testable import Cloud

@Suite("Altered options of topics")
struct ConfigAlterationTests {
    private typealias Step = ConfigAlteration.Step
    private let alteration = ConfigAlteration(configs: TopicConfigs(TopicDefaults()))

    private func flaw(_ steps: [ConfigAlteration.Step]) -> ErrorCode? {
        do {
            _ = try alteration.apply(steps, to: [:])
            return nil
        } catch { return error.code }
    }

    @Test("C4: set, delete, append and subtract; what is not named stays")
    func operations() throws {
        let present = ["retention.ms": "5", "max.message.bytes": "9"]
        let next = try alteration.apply(
            [
                Step(name: "retention.ms", operation: .delete), Step(name: "segment.ms", operation: .set, value: "7"),
                Step(name: "leader.replication.throttled.replicas", operation: .append, value: "a,b"),
            ], to: present)
        #expect(
            next == [
                "max.message.bytes": "9", "segment.ms": "7", "leader.replication.throttled.replicas": "a,b",
            ])
        let again = try alteration.apply(
            [Step(name: "leader.replication.throttled.replicas", operation: .append, value: "b,c")], to: next)
        #expect(again["leader.replication.throttled.replicas"] == "a,b,c")
        let less = try alteration.apply(
            [Step(name: "leader.replication.throttled.replicas", operation: .subtract, value: "a,c")], to: again)
        #expect(less["leader.replication.throttled.replicas"] == "b")
    }

    @Test("C4: lists only grow and shrink, keys come once, values are there, names and values are known")
    func flaws() {
        #expect(flaw([Step(name: "retention.ms", operation: .append, value: "1")]) == .invalidConfig)
        #expect(flaw([Step(name: "retention.ms", operation: .set)]) == .invalidRequest)
        #expect(flaw([Step(name: "retention.ms", operation: .set, value: "soon")]) == .invalidConfig)
        #expect(flaw([Step(name: "nonsense", operation: .set, value: "1")]) == .invalidConfig)
        #expect(flaw([Step(name: "segment.ms", operation: nil, value: "1")]) == .invalidRequest)
        let twice = Step(name: "segment.ms", operation: .set, value: "1")
        #expect(flaw([twice, twice]) == .invalidRequest)
    }

    @Test("C4: the older request replaces the whole set")
    func replace() throws {
        #expect(try alteration.replace(with: [("segment.ms", "7")]) == ["segment.ms": "7"])
        #expect(throws: ConfigAlteration.Flaw.self) { try alteration.replace(with: [("segment.ms", nil)]) }
    }

    @Test("topics change through the service, one alteration after the other, or only in a check")
    func service() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", configs: ["retention.ms": "5"])
            func ask(_ name: String, _ value: String, type: Int8 = 2, topic: String = "t", only: Bool = false)
                async throws -> ErrorCode?
            {
                var request = IncrementalAlterConfigsRequest()
                var resource = IncrementalAlterConfigsRequest.Resource()
                resource.type = type
                resource.name = topic
                resource.configs = [.init(name: name, operation: 0, value: value)]
                request.resources = [resource]
                request.validatesOnly = only
                return try await world.ask(request).results.first?.errorCode
            }
            async let first = ask("segment.ms", "7")
            async let second = ask("max.message.bytes", "2000")
            #expect(try await [first, second] == [ErrorCode.none, ErrorCode.none])
            let configs = world.ledger.view.topic(named: "t")?.configs
            #expect(configs == ["retention.ms": "5", "segment.ms": "7", "max.message.bytes": "2000"])
            #expect(try await ask("segment.ms", "9", only: true) == ErrorCode.none)
            #expect(world.ledger.view.topic(named: "t")?.configs["segment.ms"] == "7")
            #expect(try await ask("segment.ms", "9", topic: "none") == .unknownTopicOrPartition)
            #expect(try await ask("segment.ms", "9", type: 4) == .invalidRequest)
            let code = try await world.produce(Batches.make([String(repeating: "x", count: 3_000)])).errorCode
            #expect(code == .messageTooLarge)
        }
    }
}
