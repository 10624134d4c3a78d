import KafkaListener
import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore
import Testing
import WriteAheadLog

@testable import Edge

@Suite struct EdgeGatewayTests {
    @Test("intake stops first and Kafka after it, each once")
    func order() async throws {
        let gateway = try GatewayUnderTest().gateway
        let log = NIOLockedValueBox<[String]>([])
        let intakes = ["a", "b"].map { ScriptedIntake(name: $0, log: log, gateway: gateway) }
        try await gateway.start(intakes: intakes)
        #expect(gateway.status().intakes.map(\.name) == ["a", "b"])
        #expect(gateway.status().kafkaAddress != nil)
        await gateway.shutdown()
        await gateway.shutdown()
        let events = log.withLockedValue { $0 }
        #expect(events.prefix(2) == ["start a", "start b"])
        #expect(Set(events.dropFirst(2)) == ["stop a, Kafka open", "stop b, Kafka open"])
        #expect(events.count == 4)
        #expect(gateway.status().kafkaAddress == nil)
    }

    @Test("when one intake cannot start, the others are stopped and a second try may follow")
    func failedStart() async throws {
        let gateway = try GatewayUnderTest().gateway
        let log = NIOLockedValueBox<[String]>([])
        let good = ScriptedIntake(name: "good", log: log, gateway: gateway)
        let bad = ScriptedIntake(name: "bad", log: log, gateway: gateway, fails: true)
        await #expect(throws: ScriptedIntake.Failure.self) { try await gateway.start(intakes: [good, bad]) }
        #expect(log.withLockedValue { $0.contains("stop good, Kafka open") })
        #expect(gateway.kafkaAddress == nil)
        try await gateway.start(intakes: [good])
        await #expect(throws: EdgeError.startedTwice) { try await gateway.start() }
        await gateway.shutdown()
    }

    @Test("a lane that is no longer configured keeps its data, its topic and its name")
    func leftoverLane() async throws {
        let directory = try TemporaryDirectory()
        let first = try GatewayUnderTest(directory, routes: [("t", "bulk")])
        try await GatewayUnderTest.run(first) { client in
            _ = try await client.ask(Sample.produce([("t", 0, Sample.batch(["a"]))]), version: 8)
        }
        let second = try GatewayUnderTest(directory, lanes: [GatewayUnderTest.lanes[1]])
        let lanes = second.gateway.status().lanes
        #expect(lanes.map(\.settings.name) == ["standard", "bulk", "critical"])
        #expect(lanes.map(\.isConfigured) == [true, false, false])
        #expect(second.gateway.topics.topic(named: "t")?.lane == 1)
        try await GatewayUnderTest.run(second) { client in
            let answer = try await client.ask(Sample.produce([("t", 0, Sample.batch(["b"]))]), version: 8)
            #expect(answer.topics.first?.partitions.first?.baseOffset == 1)
        }
    }

    @Test("status counts what is accepted, durable and still to upload")
    func status() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            for _ in 0..<3 {
                _ = try await client.ask(Sample.produce([("t", 0, Sample.batch(["a", "b"]))]), version: 8)
            }
            let status = gateway.gateway.status()
            let lane = status.lanes[1]
            #expect(lane.log.acceptedRecords == 6 && lane.log.durableRecords == 6)
            #expect(lane.log.uploadedLSN == 0 && lane.uploadLag == lane.log.durableLSN)
            #expect(lane.log.durableLSN >= 3)
            #expect(lane.log.alarms.isClear)
            #expect(status.topicCount == 1)
            #expect(status.kafka?.requests == 3)
            #expect(status.incarnation.count == 32)
        }
    }

    @Test("two gateways cannot share a directory")
    func exclusive() async throws {
        let first = try GatewayUnderTest()
        #expect(throws: WALError.self) { try GatewayUnderTest(first.directory) }
        await first.gateway.shutdown()
        let again = try GatewayUnderTest(first.directory)
        #expect(again.gateway.identity.incarnation == first.gateway.identity.incarnation)
        await again.gateway.shutdown()
    }

    @Test("requests with flipped bytes cost their sender at most the connection", arguments: 0..<12)
    func garbage(seed: UInt64) async throws {
        let random = NIOLockedValueBox(SeededGenerator(state: seed))
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            for _ in 0..<20 {
                let line = try await gateway.connect()
                try await line.sendRaw(random.withLockedValue { Self.damagedRequest(&$0) })
                await line.close()
            }
            let answer = try await client.ask(Sample.produce([("t", 0, Sample.batch(["a"]))]), version: 8)
            #expect(answer.topics.first?.partitions.first?.errorCode == ErrorCode.none)
        }
    }

    /// One request of each kind by turns, with up to four bytes of its content changed.
    static func damagedRequest(_ random: inout SeededGenerator) -> ByteBuffer {
        let chunks: [ByteBuffer]?
        switch random.next() % 5 {
        case 0: chunks = try? frame(Sample.produce([("t", 0, Sample.batch(["a", "b"]))]), version: 9)
        case 1: chunks = try? frame(Sample.fetch("t", offset: 0), version: 12)
        case 2: chunks = try? frame(ListOffsetsRequest(), version: 7)
        case 3: chunks = try? frame(InitProducerIDRequest(), version: 4)
        default: chunks = try? frame(ClusterViewTests.metadata(["t", "u"]), version: 12)
        }
        var bytes = ByteBuffer()
        for chunk in chunks ?? [] { bytes.writeImmutableBuffer(chunk) }
        for _ in 0...(random.next() % 4) {
            let index = 4 + Int(random.next() % UInt64(bytes.readableBytes - 4))
            bytes.setInteger(UInt8(truncatingIfNeeded: random.next()), at: index)
        }
        return bytes
    }

    private static func frame(_ message: some RequestMessage, version: Int16) throws -> [ByteBuffer] {
        try WireFrame.request(message, version: version, correlationID: 1, clientID: "x")
    }
}

private final class ScriptedIntake: IntakeListener {
    struct Failure: Error {}

    let name: String
    let address: SocketAddress? = nil
    let counters = IntakeCounters()
    private let log: NIOLockedValueBox<[String]>
    private let gateway: EdgeGateway
    private let fails: Bool

    init(name: String, log: NIOLockedValueBox<[String]>, gateway: EdgeGateway, fails: Bool = false) {
        self.name = name
        self.log = log
        self.gateway = gateway
        self.fails = fails
    }

    func start() async throws {
        if fails { throw Failure() }
        log.withLockedValue { $0.append("start \(name)") }
    }

    func shutdown() async {
        let kafka = gateway.kafkaAddress == nil ? "closed" : "open"
        log.withLockedValue { $0.append("stop \(name), Kafka \(kafka)") }
    }
}

/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
