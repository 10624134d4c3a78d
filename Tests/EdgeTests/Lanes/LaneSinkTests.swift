import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing
import WriteAheadLog

@testable import Edge

@Suite struct LaneSinkTests {
    static let loop = MultiThreadedEventLoopGroup.singleton.next()

    static func records(_ values: [String], key: String?) -> [TerminalRecord] {
        values.map { value in
            TerminalRecord(
                key: key.map { ByteBuffer(string: $0) }, value: ByteBuffer(string: value), timestampMs: 5,
                headers: [RecordHeader(key: "source", value: ByteBuffer(string: "ntrip"))])
        }
    }

    static func deliver(
        _ records: [TerminalRecord], topic: String = "t", from source: String = "tcp:rover", to gateway: EdgeGateway
    ) async throws
        -> DeliveryOutcome
    {
        try await gateway.sink.deliver(records, topic: topic, from: source, on: loop).get()
    }

    /// What a partition holds, in offset order.
    static func stored(_ gateway: EdgeGateway, _ partition: Int32, lane: Int = 1) throws -> [Record] {
        let slice = try gateway.lanes[lane].log.read(from: 1, maxBytes: 8 << 20, maxCount: 10_000)
        return try slice.batches.filter { $0.partition == partition }.flatMap { stored in
            var reader = try RecordBatchReader(stored.batch)
            return try reader.readAll()
        }
    }

    @Test("a terminal's records stay in one partition, in order, with headers and times, stamped with the clock")
    func order() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.defaultPartitions = 8 }.gateway
        for round in 0..<5 {
            let values = (0..<3).map { "\(round).\($0)" }
            #expect(try await Self.deliver(Self.records(values, key: "base-7"), to: gateway) == .durable)
        }
        let partition = Partitioner.partition(forKey: ByteBuffer(string: "base-7"), count: 8)
        let stored = try Self.stored(gateway, partition)
        let expected = (0..<5).flatMap { round in (0..<3).map { "\(round).\($0)" } }
        #expect(stored.map { String(buffer: $0.value ?? ByteBuffer()) } == expected)
        #expect(stored.allSatisfy { $0.timestampMs == 5 && $0.headers.map(\.key) == ["source"] })
        let batch = try #require(try gateway.lanes[1].log.read(from: 1, maxBytes: 1, maxCount: 1).batches.first)
        #expect(batch.wallMs == 1_700_000_000_000 && batch.clockQuality == .gnss)
        await gateway.shutdown()
    }

    @Test("a source with a lane of its own feeds the topic from there, in order, also after a restart")
    func sources() async throws {
        let directory = try TemporaryDirectory()
        for round in 0..<2 {
            let gateway = try GatewayUnderTest(directory, sources: [("ntrip:BASE*", "critical")]).gateway
            for step in 0..<3 {
                for (source, name) in [("ntrip:BASE1", "b"), ("ntrip:ROVER", "r")] {
                    let records = Self.records(["\(name)\(round)\(step)"], key: nil)
                    #expect(try await Self.deliver(records, from: source, to: gateway) == .durable)
                }
            }
            func values(_ lane: Int) throws -> [String] {
                try Self.stored(gateway, 0, lane: lane).map { String(buffer: $0.value ?? ByteBuffer()) }
            }
            let expected = (0...round).flatMap { round in (0..<3).map { "\(round)\($0)" } }
            #expect(try values(0) == expected.map { "b" + $0 })
            #expect(try values(1) == expected.map { "r" + $0 })
            // Readers on the site see the topic's own lane.
            #expect(gateway.topics.topic(named: "t")?.lane == 1)
            await gateway.shutdown()
        }
    }

    @Test("a record without a time of its source has the gateway's, less its age, and the frame says so")
    func times() async throws {
        let test = try GatewayUnderTest()
        let gateway = test.gateway
        test.clock.reading.withLockedValue { $0.monotonicNs = 10_000_000_000 }
        let now = test.clock.read()
        var records = Self.records(["old", "new", "own"], key: nil)
        records[0].arrivedNs = now.monotonicNs - 3_000_000_000
        records[1].arrivedNs = now.monotonicNs
        #expect(try await Self.deliver(records, to: gateway) == .durable)
        #expect(try Self.stored(gateway, 0).map(\.timestampMs) == [now.wallMs - 3_000, now.wallMs, 5])
        let batches = try gateway.lanes[1].log.read(from: 1, maxBytes: 1 << 20, maxCount: 10).batches
        #expect(batches.map(\.hasGatewayTimes) == [true, false])
        await gateway.shutdown()
    }

    @Test("records without a key go to partition 0, several keys to several partitions of one delivery")
    func partitions() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.defaultPartitions = 4 }.gateway
        let keys = ["a", "b", "c", "d", "e", "f"]
        let mixed = Self.records(["none"], key: nil) + keys.flatMap { Self.records([$0], key: $0) }
        #expect(try await Self.deliver(mixed, to: gateway) == .durable)
        var count = 0
        for partition in Int32(0)..<4 {
            for record in try Self.stored(gateway, partition) {
                count += 1
                let expected = record.key.map { Partitioner.partition(forKey: $0, count: 4) } ?? 0
                #expect(expected == partition)
            }
        }
        #expect(count == 7)
        await gateway.shutdown()
    }

    @Test("a delivery above the batch limit becomes several batches of one partition, in order")
    func split() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.batchBytesMax = 4096 }.gateway
        let values = (0..<20).map { "\($0)" + String(repeating: "x", count: 1000) }
        #expect(try await Self.deliver(Self.records(values, key: "k"), to: gateway) == .durable)
        let batches = try gateway.lanes[1].log.read(from: 1, maxBytes: 8 << 20, maxCount: 100).batches
        #expect(batches.count > 5)
        #expect(batches.allSatisfy { $0.batch.readableBytes <= 4096 })
        let partition = Partitioner.partition(forKey: ByteBuffer(string: "k"), count: 2)
        #expect(try Self.stored(gateway, partition).map { String(buffer: $0.value ?? ByteBuffer()) } == values)
        await gateway.shutdown()
    }

    @Test("a record that no batch can hold and a topic that may not be are refused for good")
    func refused() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.batchBytesMax = 1000 }.gateway
        let large = try await Self.deliver(Self.records([String(repeating: "x", count: 1000)], key: "k"), to: gateway)
        guard case .refused(let reason) = large else {
            Issue.record("\(large)")
            return
        }
        #expect(reason.contains("1000"))
        let badTopic = try await Self.deliver(Self.records(["a"], key: "k"), topic: "a b", to: gateway)
        guard case .refused = badTopic else {
            Issue.record("\(badTopic)")
            return
        }
        #expect(gateway.status().lanes.allSatisfy { $0.log.acceptedRecords == 0 })
        await gateway.shutdown()
    }

    @Test("a full lane says when to come back and stores nothing of what it turned away")
    func full() async throws {
        var lanes = GatewayUnderTest.lanes
        lanes[1].quotaBytes = 2 << 20
        let gateway = try GatewayUnderTest(lanes: lanes).gateway
        var delivered = 0
        var last = DeliveryOutcome.durable
        for index in 0..<40 where last == .durable {
            let value = "\(index)" + String(repeating: "x", count: 200_000)
            last = try await Self.deliver(Self.records([value], key: "k"), to: gateway)
            if last == .durable { delivered += 1 }
        }
        #expect(last == .full(retryAfter: .milliseconds(500)))
        let partition = Partitioner.partition(forKey: ByteBuffer(string: "k"), count: 2)
        #expect(try Self.stored(gateway, partition).count == delivered)
        await gateway.shutdown()
    }

    @Test("no records are durable at once")
    func empty() async throws {
        let gateway = try GatewayUnderTest().gateway
        #expect(try await Self.deliver([], to: gateway) == .durable)
        #expect(gateway.topics.count == 0)
        await gateway.shutdown()
        #expect(try await Self.deliver(Self.records(["late"], key: nil), to: gateway) == .full(retryAfter: .seconds(1)))
    }
}
