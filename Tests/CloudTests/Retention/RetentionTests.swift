import KafkaProtocol
import Ledger
import Logging
import NIOCore
import ObjectStore
import SharedObject
import Synchronization
import Testing

@testable import Cloud

@Suite("Retention", .timeLimit(.minutes(1)))
struct RetentionTests {
    private static let settings = BrokerWorld.settings { $0.retention.grace = .nanoseconds(0) }

    @Test("what has expired is not served any more, and its objects are deleted; the rest stays")
    func expires() async throws {
        try await BrokerWorld.run(Self.settings) { world in
            try await world.createTopic("t", configs: ["retention.ms": "60000"])
            try await world.produce(Batches.make(["old"], firstTimestampMs: world.wall.ms))
            world.wall.pass(50_000)
            try await world.produce(Batches.make(["new"], firstTimestampMs: world.wall.ms))
            await world.broker.retention.round()
            #expect(world.memory.contents.count == 2)
            world.wall.pass(20_000)
            await world.broker.retention.round()
            #expect(world.memory.contents.count == 1)
            #expect(try await world.fetch(0).errorCode == .offsetOutOfRange)
            #expect(try await world.readAll(from: 1).map(\.value) == ["new"])
            #expect(world.broker.status().retention.objectsDeleted == 1)
            #expect(world.highWatermark() == 2)
        }
    }

    @Test("a partition above its size loses its oldest extents")
    func bySize() async throws {
        try await BrokerWorld.run(Self.settings) { world in
            let size = Batches.make([String(repeating: "x", count: 100)]).readableBytes
            try await world.createTopic("t", configs: ["retention.bytes": "\(3 * size)"])
            for _ in 0..<8 { try await world.produce(Batches.make([String(repeating: "x", count: 100)])) }
            await world.broker.retention.round()
            #expect(world.ledger.view.partition(topic: "t", 0)?.sizeBytes ?? 0 <= Int64(3 * size))
            #expect(world.memory.contents.count == 3)
        }
    }

    @Test("an object that any partition still names is never deleted")
    func shared() async throws {
        let configuration = BrokerWorld.settings {
            $0.retention.grace = .nanoseconds(0)
            $0.produce.interval = .milliseconds(50)
        }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("short", configs: ["retention.ms": "1000"])
            try await world.createTopic("t", configs: ["retention.ms": "-1"])
            async let first = world.produce(Batches.make(["a"], firstTimestampMs: world.wall.ms), topic: "short")
            async let second = world.produce(Batches.make(["b"], firstTimestampMs: world.wall.ms))
            _ = try await (first, second)
            #expect(world.memory.contents.count == 1)
            world.wall.pass(100_000)
            for _ in 0..<3 { await world.broker.retention.round() }
            #expect(world.ledger.view.partition(topic: "short", 0)?.logStart == 1)
            #expect(world.memory.contents.count == 1)
            #expect(try await world.readAll().map(\.value) == ["b"])
            _ = try await world.ledger.deleteTopic(.name("t"), nowMs: world.wall.ms)
            await world.broker.retention.round()
            #expect(world.memory.contents.isEmpty)
        }
    }

    @Test("the grace counts by the monotonic clock, from when nothing named the object")
    func grace() async throws {
        let ledger = try await Ledger.open(log: MemoryFencedLog())
        let memory = MemoryStore()
        let now = Mutex(NIODeadline.uptimeNanoseconds(0))
        let clock = WallNow()
        var configuration = RetentionConfiguration()
        configuration.grace = .minutes(10)
        let retention = Retention(
            configuration: configuration, topics: TopicDefaults(), store: memory, ledger: ledger,
            world: CloudWorld(wallMs: { clock.ms }), now: { now.withLock { $0 } }, logger: .init(label: "test"))
        try await Self.commitAndDelete(ledger, memory)
        await retention.round()
        clock.pass(365 * 24 * 3_600_000)
        await retention.round()
        #expect(memory.contents.count == 1, "a wall clock that jumps deletes nothing")
        now.withLock { $0 = $0 + .minutes(9) }
        await retention.round()
        #expect(memory.contents.count == 1)
        now.withLock { $0 = $0 + .minutes(1) }
        await retention.round()
        #expect(memory.contents.isEmpty)
        await ledger.close()
    }

    /// One object whose only topic is gone.
    private static func commitAndDelete(_ ledger: Ledger, _ memory: MemoryStore) async throws {
        let id = KafkaUUID(high: 1, low: 1)
        _ = try await ledger.createTopic(CreateTopic(name: "t", id: id, partitionCount: 1, nowMs: 1))
        let key = ObjectKeys.cloud(node: "1", epoch: 1, sequence: 1)
        _ = try await memory.put(key, ByteBuffer(string: "0123456789"), ifAbsent: true)
        let run = RunCommit(
            topicID: id, partition: 0, position: 0, lengthBytes: 10, recordCount: 1, minTimestampMs: 1,
            maxTimestampMs: 1)
        _ = try await ledger.commitObject(
            ObjectCommit(key: key, sizeBytes: 10, nodeID: 1, nodeEpoch: 1, runs: [run], nowMs: 1))
        _ = try await ledger.deleteTopic(.name("t"), nowMs: 2)
    }

    @Test("a store that will not delete is asked again, and the ledger forgets only what is gone")
    func deleteFails() async throws {
        var script = FaultScript()
        script.add(.fail(.unavailable), on: .delete, times: 1)
        try await BrokerWorld.run(Self.settings, script: script) { world in
            try await world.createTopic("t", configs: ["retention.ms": "1000"])
            try await world.produce(Batches.make(["old"], firstTimestampMs: world.wall.ms))
            world.wall.pass(10_000)
            await world.broker.retention.round()
            #expect(world.memory.contents.count == 1)
            #expect(world.ledger.view.objectsDeleting().count == 1)
            await world.broker.retention.round()
            #expect(world.memory.contents.isEmpty)
            #expect(world.ledger.view.objectsDeleting().isEmpty)
        }
    }

    @Test("an upload that was given up is deleted, and cannot be committed late")
    func abandoned() async throws {
        var script = FaultScript()
        script.add(.failAfterEffect(.timeout), on: .put, times: 1_000)
        script.add(.fail(.timeout), on: .head, times: 1_000)
        let configuration = BrokerWorld.settings {
            $0.retention.grace = .nanoseconds(0)
            $0.produce.timeoutMin = .milliseconds(50)
            $0.produce.timeoutMax = .milliseconds(200)
        }
        try await BrokerWorld.run(configuration, script: script) { world in
            try await world.createTopic("t")
            #expect(try await world.produce(Batches.make(["a"])).errorCode == .notEnoughReplicas)
            let key = try #require(world.memory.contents.keys.first)
            await world.broker.retention.round()
            #expect(world.memory.contents.isEmpty)
            let id = try #require(world.ledger.view.topic(named: "t")?.id)
            let run = RunCommit(
                topicID: id, partition: 0, position: 0, lengthBytes: 10, recordCount: 1, minTimestampMs: 1,
                maxTimestampMs: 1)
            await #expect(throws: LedgerError.refused(.tombstoned(key: key))) {
                _ = try await world.ledger.commitObject(
                    ObjectCommit(key: key, sizeBytes: 10, nodeID: 1, nodeEpoch: 99, runs: [run], nowMs: 1))
            }
        }
    }

    @Test("objects of former lives that were never committed are found at the start and deleted")
    func orphans() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["kept"]))
        }
        let committed = try #require(memory.contents.keys.first)
        let orphan = ObjectKeys.cloud(node: "1", epoch: 1, sequence: 77)
        _ = try await memory.put(orphan, ByteBuffer(string: "lost"), ifAbsent: true)
        let foreign = ObjectKeys.cloud(node: "2", epoch: 1, sequence: 1)
        _ = try await memory.put(foreign, ByteBuffer(string: "another node's"), ifAbsent: true)
        try await BrokerWorld.run(Self.settings, memory: memory, log: log) { world in
            try await until { world.broker.status().retention.rounds == 1 }
            await world.broker.retention.round()
            #expect(Set(memory.contents.keys) == [committed, foreign])
            #expect(world.broker.status().retention.orphansFound == 1)
        }
    }
}
