import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Cloud

@Suite("Housekeeping: merging", .timeLimit(.minutes(2)))
struct MergingTests {
    private static let old: Int64 = 3_600_000

    @Test("many small extents become one, and consumers get the same bytes")
    func merges() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", partitions: 2)
            var producer = try await TestProducer(world, transactionalID: "x")
            for number in 0..<9 {
                try await world.produce(Batches.make(["plain \(number)", "x"], zstd: number % 2 == 0))
                let code = try await producer.send([("k", "transaction \(number)")], partition: Int32(number % 2))
                #expect(code == .none)
                try await producer.end(commits: number % 3 > 0)
            }
            let before = [try await world.consume(), try await world.consume(partition: 1)]
            let committed = try await world.consume(isReadCommitted: true)
            let objects = world.memory.contents.count
            await world.broker.housekeeper.round()
            #expect(world.extents().count >= 15, "young extents are left alone")
            world.wall.pass(Self.old)
            await world.broker.housekeeper.round()
            for partition in 0..<2 {
                #expect(world.sources("t", Int32(partition)) == [.object])
                let after = try await world.consume(partition: Int32(partition))
                #expect(after.bytes == before[partition].bytes)
            }
            #expect(try await world.consume(isReadCommitted: true).records == committed.records)
            #expect(world.extents()[0].objectKey == world.extents("t", 1)[0].objectKey, "partitions share the object")
            for _ in 0..<2 { await world.broker.retention.round() }
            #expect(objects > 10 && world.memory.contents.count == 1)
            let stored = try #require(world.memory.contents.values.first)
            #expect(try ObjectReader.verify(object: stored).runs.count == 2)
            #expect(try await producer.send([("k", "goes on")]) == .none)
            let counts = world.broker.status().housekeeping
            #expect(counts.merges == 1 && counts.failures == 0)
            #expect(try await world.consume(isReadCommitted: true).records.count == committed.records.count)
        }
    }

    @Test("the age of the data stays; what expires soon and topics of short retention are not touched")
    func expiry() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: ["retention.ms": "43200000"])
            try await world.createTopic("short", configs: ["retention.ms": "7200000"])
            let start = world.wall.ms
            for topic in ["t", "short"] {
                for _ in 0..<10 { try await world.produce(Batches.make(["x"], firstTimestampMs: start), topic: topic) }
            }
            world.wall.pass(3_600_000)
            for _ in 0..<10 { try await world.produce(Batches.make(["x"], firstTimestampMs: world.wall.ms)) }
            // The older ten of t have less than an hour left.
            world.wall.pass(43_200_000 - 2 * 3_600_000 + 1)
            await world.broker.housekeeper.round()
            #expect(world.extents("short").count == 10)
            #expect(world.extents().count == 11)
            #expect(world.extents().last?.committedMs == start + 3_600_000)
            world.wall.pass(2 * 3_600_000)
            await world.broker.retention.round()
            #expect(world.ledger.view.partition(topic: "t", 0)?.logStart == 20)
        }
    }

    @Test("a damaged object keeps only its own partition from being merged, and is never replaced")
    func damaged() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t")
            try await world.createTopic("u")
            for _ in 0..<10 {
                try await world.produce(Batches.make(["x"]))
                try await world.produce(Batches.make(["y"]), topic: "u")
            }
            let victim = world.extents()[4]
            var body = try #require(world.memory.contents[victim.objectKey])
            let at = body.readerIndex + Int(victim.position) + 65
            body.setInteger(UInt8(0xff), at: at)
            _ = try await world.memory.put(victim.objectKey, body, ifAbsent: false)
            world.wall.pass(Self.old)
            for _ in 0..<3 { await world.broker.housekeeper.round() }
            #expect(world.extents().count == 10)
            #expect(world.extents("u").count == 1)
            #expect(world.broker.status().housekeeping.failures == 3)
        }
    }

    @Test("log start and deleted topics that come between leave the extents to the next round")
    func changed() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t")
            try await world.createTopic("u")
            for number in 0..<12 {
                try await world.produce(Batches.make(["\(number)"]))
                try await world.produce(Batches.make(["y"]), topic: "u")
            }
            world.wall.pass(Self.old)
            let id = try #require(world.ledger.view.topic(named: "t")?.id)
            world.store.rescript { $0.add(.delay(.milliseconds(200)), on: .put) }
            async let merging: Void = world.broker.housekeeper.round()
            try await until { world.store.count(.get) >= 24 }
            try await Task.sleep(for: .milliseconds(50))
            _ = try await world.ledger.advanceLogStart(
                AdvanceLogStart(items: [.init(topicID: id, partition: 0, newLogStart: 3)], nowMs: world.wall.ms))
            _ = try await world.ledger.deleteTopic(.name("u"), nowMs: world.wall.ms)
            await merging
            #expect(try await world.readAll(from: 3).map(\.value) == (3..<12).map(String.init))
            #expect(world.extents().count == 9)
            await world.broker.housekeeper.round()
            #expect(world.extents().count == 1)
            #expect(try await world.readAll(from: 3).map(\.value) == (3..<12).map(String.init))
            for _ in 0..<3 { await world.broker.retention.round() }
            #expect(world.memory.contents.count == 1)
        }
    }

    @Test("what was compacted is never merged with what was not, so that a change of policy loses no cleaning")
    func policyChanges() async throws {
        try await BrokerWorld.run(BrokerWorld.eager { $0.housekeeping.mergeCountMin = 3 }) { world in
            let compact = ["cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"]
            try await world.createTopic("t", configs: compact)
            for number in 0..<5 {
                try await world.produce(Batches.keyed([("a", "\(number)"), ("b\(number)", "1")]))
                await world.broker.housekeeper.round()
            }
            for number in 0..<5 { try await world.produce(Batches.keyed([("a", "later \(number)")])) }
            let before = try await world.consume()
            _ = try await world.ledger.submit(
                .setTopicConfigs(SetTopicConfigs(topic: .name("t"), configs: [:], nowMs: world.wall.ms)))
            world.wall.pass(Self.old)
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets, .object])
            #expect(try await world.consume().bytes == before.bytes)
            _ = try await world.ledger.submit(
                .setTopicConfigs(SetTopicConfigs(topic: .name("t"), configs: compact, nowMs: world.wall.ms)))
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets])
            let after = try await world.consume()
            #expect(after.latest == before.latest && after.records.count == 6)
            #expect(world.broker.status().housekeeping.failures == 0)
        }
    }

    @Test("sparse extents merge into one that keeps their bytes")
    func sparse() async throws {
        let configuration = BrokerWorld.eager {
            $0.housekeeping.mergeCountMin = 3
            $0.housekeeping.compactedBytes = 1
        }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic(
                "t", configs: ["cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"])
            for number in 0..<6 {
                try await world.produce(Batches.keyed([("a", "\(number)"), ("b\(number)", "1")]))
            }
            await world.broker.housekeeper.round()
            #expect(world.sources() == Array(repeating: .objectWithOffsets, count: 6))
            let before = try await world.consume()
            #expect(before.records.map(\.offset) == [1, 3, 5, 7, 9, 10, 11])
            _ = try await world.ledger.submit(
                .setTopicConfigs(SetTopicConfigs(topic: .name("t"), configs: [:], nowMs: world.wall.ms)))
            world.wall.pass(Self.old)
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets])
            #expect(try await world.consume().bytes == before.bytes)
            for offset in 0..<Int64(12) {
                #expect(
                    try await world.consume(from: offset).records == before.records.filter { $0.offset >= offset })
            }
        }
    }

    @Test("scrubbing finds objects of older epochs that the ledger does not know, seen in two listings a grace apart")
    func scrub() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["x"]))
            let epoch = UInt64(world.broker.nodeEpoch)
            let keys = [
                ObjectKeys.cloud(node: "1", epoch: epoch - 1, sequence: 99),
                ObjectKeys.cloud(node: "1", epoch: epoch, sequence: 99),
                ObjectKeys.cloud(node: "77", epoch: 0, sequence: 1), "data/other",
            ]
            for key in keys { _ = try await world.memory.put(key, ByteBuffer(string: "x"), ifAbsent: true) }
            await world.broker.retention.scrub()
            await world.broker.retention.round()
            #expect(world.memory.contents.count == 5)
            await world.broker.retention.scrub()
            for _ in 0..<2 { await world.broker.retention.round() }
            #expect(world.memory.contents[keys[0]] == nil)
            #expect(world.memory.contents.count == 4)
            let status = world.broker.status()
            #expect(status.retention.scrubs == 2 && status.retention.orphansFound == 1)
            #expect(status.store.lists >= 2 && status.store.puts == 1 && status.store.requestsPerGBPut ?? 0 > 0)
        }
    }
}
