import FoundationEssentials
import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

/// The ack mode `wal`, over a real log in a temporary directory.
@Suite("Acks from the node's own log", .timeLimit(.minutes(1)))
struct VolumeTests {
    private static func settings(
        _ directory: Scratch, _ change: (inout CloudConfiguration) -> Void = { _ in }
    ) -> CloudConfiguration {
        BrokerWorld.settings { configuration in
            configuration.volume.directory = directory.path
            configuration.volume.quotaBytes = 256 << 20
            configuration.volume.uploadInterval = .hours(1)
            change(&configuration)
        }
    }

    private static func createTopic(_ world: BrokerWorld, _ name: String = "t", partitions: Int32 = 1) async throws {
        try await world.createTopic(name, partitions: partitions, configs: ["cairn.ack": "wal"])
    }

    private static func isInLog(_ world: BrokerWorld, _ offset: Int64 = 0) throws -> Bool {
        let id = try #require(world.ledger.view.topic(named: "t")?.id)
        let extent = world.ledger.view.extents(id, 0, from: offset, maxBytes: 1, maxCount: 1).first
        if case .log = extent?.source { return true }
        return false
    }

    @Test("a batch is acknowledged and read before any object exists")
    func acknowledged() async throws {
        let scratch = Scratch()
        try await BrokerWorld.run(Self.settings(scratch)) { world in
            try await Self.createTopic(world)
            #expect(try await world.produce(Batches.make(["a", "b"])).baseOffset == 0)
            #expect(try await world.produce(Batches.make(["c"])).baseOffset == 2)
            #expect(try Self.isInLog(world))
            #expect(try await world.readAll().map(\.value) == ["a", "b", "c"])
            #expect(world.memory.contents.keys.allSatisfy { !$0.hasPrefix("data/") })
        }
    }

    @Test("a restart serves what only the log holds, and brings it into objects; then the log can go")
    func restart() async throws {
        let scratch = Scratch()
        let (memory, log) = (MemoryStore(), MemoryFencedLog())
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            try await Self.createTopic(world)
            for number in 0..<20 { try await world.produce(Batches.make(["v\(number)"])) }
        }
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            #expect(try Self.isInLog(world))
            #expect(try await world.readAll().count == 20)
            #expect(try await world.produce(Batches.make(["after"])).baseOffset == 20)
            #expect(await world.broker.uploadVolume())
            #expect(try !Self.isInLog(world))
            let id = try #require(world.broker.volume?.id)
            #expect(world.ledger.view.logExtents(of: id).isEmpty)
        }
        try FileManager.default.removeItem(atPath: scratch.path)
        try await BrokerWorld.run(memory: memory, log: log) { world in
            let values = try await world.readAll().map(\.value)
            #expect(values == (0..<20).map { "v\($0)" } + ["after"])
        }
    }

    @Test("one upload makes one extent of a partition's batches and the markers between them")
    func upload() async throws {
        let scratch = Scratch()
        try await BrokerWorld.run(Self.settings(scratch)) { world in
            try await Self.createTopic(world, partitions: 2)
            for number in 0..<50 { try await world.produce(Batches.make(["v\(number)"]), partition: Int32(number % 2)) }
            let before = try await world.readAll()
            #expect(await world.broker.uploadVolume())
            #expect(world.ledger.view.partition(topic: "t", 0)?.extentCount == 1)
            #expect(try await world.readAll().map(\.value) == before.map(\.value))
            #expect(world.broker.status().volume?.objects == 1)
        }
    }

    @Test("idempotence is the ledger's: repeats get their first offset, gaps are refused, across a restart")
    func idempotence() async throws {
        let scratch = Scratch()
        let (memory, log) = (MemoryStore(), MemoryFencedLog())
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            try await Self.createTopic(world)
            #expect(try await world.produce(Batches.make(["a"], producer: (7, 0))).baseOffset == 0)
            #expect(try await world.produce(Batches.make(["b"], producer: (7, 1))).baseOffset == 1)
            #expect(try await world.produce(Batches.make(["a"], producer: (7, 0))).baseOffset == 0)
            #expect(
                try await world.produce(Batches.make(["d"], producer: (7, 3))).errorCode == .outOfOrderSequenceNumber)
        }
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            #expect(try await world.produce(Batches.make(["b"], producer: (7, 1))).baseOffset == 1)
            #expect(try await world.produce(Batches.make(["c"], producer: (7, 2))).baseOffset == 2)
            #expect(await world.broker.uploadVolume())
            let values = try await world.readAll().map(\.value)
            #expect(values == ["a", "b", "c"])
        }
    }

    @Test("uploads go by size and by age, and the store may fail for a while")
    func automatic() async throws {
        let scratch = Scratch()
        let configuration = Self.settings(scratch) {
            $0.volume.uploadInterval = .milliseconds(20)
            $0.volume.objectBytes = 4_096
        }
        var script = FaultScript()
        script.add(.fail(.unavailable), on: .put, times: 5)
        script.add(.timeoutAfterSuccess, on: .put, skipping: 1, times: 2)
        try await BrokerWorld.run(configuration, script: script) { world in
            try await Self.createTopic(world)
            for number in 0..<30 {
                let value = String(repeating: "x", count: 500) + "\(number)"
                #expect(try await world.produce(Batches.make([value])).errorCode == .none)
            }
            #expect(try await world.readAll().count == 30)
            let id = try #require(world.broker.volume?.id)
            try await until { world.ledger.view.logExtents(of: id).isEmpty }
            #expect(try await world.readAll().count == 30)
        }
    }

    @Test("a topic that is deleted, and records that are, do not hold up the log")
    func deletions() async throws {
        let scratch = Scratch()
        try await BrokerWorld.run(Self.settings(scratch)) { world in
            try await Self.createTopic(world)
            try await Self.createTopic(world, "gone")
            for number in 0..<10 {
                try await world.produce(Batches.make(["v\(number)"]))
                try await world.produce(Batches.make(["w\(number)"]), topic: "gone")
            }
            let id = try #require(world.ledger.view.topic(named: "t")?.id)
            _ = try await world.ledger.deleteTopic(.name("gone"), nowMs: 1)
            _ = try await world.ledger.advanceLogStart(
                AdvanceLogStart(items: [.init(topicID: id, partition: 0, newLogStart: 4)], nowMs: 1))
            #expect(await world.broker.uploadVolume())
            #expect(try await world.readAll(from: 4).map(\.value) == (4..<10).map { "v\($0)" })
            let volume = try #require(world.broker.volume?.id)
            #expect(world.ledger.view.logExtents(of: volume).isEmpty)
        }
    }

    @Test("a log that has lost what the ledger names takes nothing new, and says so")
    func lostLog() async throws {
        let scratch = Scratch()
        let (memory, log) = (MemoryStore(), MemoryFencedLog())
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            try await Self.createTopic(world)
            try await world.produce(Batches.make(["a"]))
        }
        try FileManager.default.removeItem(atPath: scratch.path + "/log")
        try await BrokerWorld.run(Self.settings(scratch), memory: memory, log: log) { world in
            #expect(try await world.produce(Batches.make(["b"])).errorCode == .kafkaStorageError)
            #expect(world.broker.status().problems.contains { $0.contains("the disk has lost data") })
            let code = try await world.fetch(0).errorCode
            #expect(code == .kafkaStorageError)
        }
    }

    @Test("a node without a log refuses topics that ask for one")
    func withoutLog() async throws {
        try await BrokerWorld.run { world in
            await #expect(throws: ErrorCode.invalidConfig) { try await Self.createTopic(world) }
        }
    }
}

/// A directory that goes when the test does.
final class Scratch: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/cairn-volume-\(UInt64.random(in: .min ... .max))"
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
