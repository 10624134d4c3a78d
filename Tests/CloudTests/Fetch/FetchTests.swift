import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

@Suite("Fetch", .timeLimit(.minutes(1)))
struct FetchTests {
    /// Batches of 1 to 5 records, several of them in each object.
    private static func fill(_ world: BrokerWorld, batches: Int = 20, padding: Int = 0) async throws -> Int64 {
        try await world.createTopic("t")
        var next = 0
        var bytes = 0
        for round in stride(from: 0, to: batches, by: 4) {
            let group = (round..<min(round + 4, batches)).map { index -> ByteBuffer in
                let values = (0...(index % 5)).map { "\(next + $0)" + String(repeating: ".", count: padding) }
                next += values.count
                return Batches.make(values, firstTimestampMs: Int64(1_000 * index))
            }
            // One request holds one batch of a partition, so the requests run beside each other, in order.
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for batch in group {
                    bytes += batch.readableBytes
                    tasks.addTask { try await world.produce(batch) }
                    let sent = bytes
                    try await until {
                        let produce = world.broker.status().produce
                        return Int(produce.bytes) + produce.pendingBytes >= sent
                    }
                }
                try await tasks.waitForAll()
            }
        }
        return Int64(next)
    }

    private static let slowSettings = BrokerWorld.settings { $0.produce.interval = .milliseconds(60) }

    @Test("a fetch at every offset begins with the batch that holds it, from the tail and from the store")
    func everyOffset() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(Self.slowSettings, memory: memory, log: log) { world in
            let end = try await Self.fill(world)
            #expect(end == 60)
            #expect(memory.contents.count < 20, "some objects hold several batches")
            try await Self.checkEveryOffset(world, end)
            #expect(world.broker.status().cache.gets == 0, "the tail is in memory")
        }
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await Self.checkEveryOffset(world, 60)
            let gets = world.broker.status().cache.gets
            #expect(gets > 0)
            #expect(gets <= memory.contents.count)
        }
    }

    private static func checkEveryOffset(_ world: BrokerWorld, _ end: Int64) async throws {
        // From the end, so that nothing is found by having been passed.
        for offset in (0..<end).reversed() {
            let answer = try await world.fetch(offset)
            #expect(answer.errorCode == ErrorCode.none)
            #expect(answer.highWatermark == end)
            let records = try Batches.records(answer.records)
            #expect(records.first.map { $0.offset <= offset } == true)
            #expect(records.map(\.offset) == Array((records.first?.offset ?? 0)..<end))
            for record in records { #expect(record.value == "\(record.offset)") }
            let header = try RecordBatchHeader(
                reading: answer.records ?? ByteBuffer(), at: answer.records?.readerIndex ?? 0)
            #expect(header.partitionLeaderEpoch == 0)
            #expect(header.lastOffset >= offset)
        }
        let atEnd = try await world.fetch(end)
        #expect(atEnd.errorCode == ErrorCode.none)
        #expect(atEnd.records?.readableBytes == 0)
    }

    @Test("the first batch comes whole, whatever the limits; after it they hold")
    func limits() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 2)
            for partition in 0..<Int32(2) {
                for _ in 0..<3 {
                    try await world.produce(Batches.make([String(repeating: "x", count: 500)]), partition: partition)
                }
            }
            let size = Batches.make([String(repeating: "x", count: 500)]).readableBytes
            let tiny = try await world.ask(
                world.fetchRequest([(0, 0), (1, 0)], maxBytes: 1, partitionMaxBytes: 1), version: 12)
            let tinySizes = tiny.topics.first?.partitions.map { $0.records?.readableBytes ?? 0 }
            #expect(tinySizes == [size, 0])
            let two = try await world.ask(
                world.fetchRequest([(0, 0), (1, 0)], partitionMaxBytes: Int32(2 * size + 5)), version: 12)
            let twoSizes = two.topics.first?.partitions.map { $0.records?.readableBytes ?? 0 }
            #expect(twoSizes == [2 * size, 2 * size])
            let total = try await world.ask(
                world.fetchRequest([(0, 0), (1, 0)], maxBytes: Int32(4 * size + 5)), version: 12)
            let totalSizes = total.topics.first?.partitions.map { $0.records?.readableBytes ?? 0 }
            #expect(totalSizes == [3 * size, size])
        }
    }

    @Test("offsets outside the log, other epochs and unknown topics are errors at once")
    func errors() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a"]))
            #expect(try await world.fetch(2, maxWaitMs: 60_000).errorCode == .offsetOutOfRange)
            #expect(try await world.fetch(-1, maxWaitMs: 60_000).errorCode == .offsetOutOfRange)
            #expect(try await world.fetch(0, partition: 7).errorCode == .unknownTopicOrPartition)
            #expect(try await world.fetch(0, topic: "none").errorCode == .unknownTopicOrPartition)
            #expect(try await world.fetch(0, topic: "none", version: 13).errorCode == .unknownTopicId)
            #expect(try await world.fetch(0, version: 18).records?.readableBytes ?? 0 > 0)
            for (epoch, code) in [(Int32(0), ErrorCode.none), (1, .unknownLeaderEpoch)] {
                let answer = try await world.ask(world.fetchRequest([(0, 0)], epoch: epoch), version: 12)
                #expect(answer.topics.first?.partitions.first?.errorCode == code)
            }
            var session = world.fetchRequest([(0, 0)])
            session.sessionID = 5
            session.sessionEpoch = 1
            #expect(try await world.ask(session, version: 12).errorCode == .fetchSessionIdNotFound)
            // F5: who asks for everything is answered, whatever session it had.
            session.sessionEpoch = 0
            #expect(try await world.ask(session, version: 12).errorCode == .none)
        }
    }

    @Test("a long poll is woken by a commit, and ends empty when nothing comes")
    func longPoll() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            async let waiting = world.fetch(0, maxWaitMs: 60_000)
            try await until { world.broker.status().waiting == 1 }
            try await world.produce(Batches.make(["a"]))
            let woken = try await waiting
            let records = try Batches.records(woken.records)
            #expect(records.map(\.value) == ["a"])
            #expect(world.broker.status().waiting == 0)
            let empty = try await world.fetch(1, maxWaitMs: 20)
            #expect(empty.records?.readableBytes == 0)
            #expect(world.broker.status().waiting == 0)
        }
    }

    @Test("a long poll for more bytes waits until they are there")
    func minBytes() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a"]))
            let size = Int32(Batches.make(["a"]).readableBytes)
            async let waiting = world.ask(
                world.fetchRequest([(0, 0)], maxWaitMs: 60_000, minBytes: 2 * size), version: 12)
            try await until { world.broker.status().waiting == 1 }
            try await world.produce(Batches.make(["b"]))
            let answer = try await waiting
            let records = try Batches.records(answer.topics.first?.partitions.first?.records)
            #expect(records.map(\.value) == ["a", "b"])
        }
    }

    @Test("aborted transactions are null for who reads uncommitted, and empty for who reads committed")
    func isolation() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var request = world.fetchRequest([(0, 0)])
            let uncommitted = try await world.ask(request, version: 12)
            #expect(uncommitted.topics.first?.partitions.first?.abortedTransactions == nil)
            request.isolationLevel = 1
            let committed = try await world.ask(request, version: 12)
            #expect(committed.topics.first?.partitions.first?.abortedTransactions == [])
        }
    }

    @Test("readers of the same block share one GET")
    func sharedGet() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(Self.slowSettings, memory: memory, log: log) {
            _ = try await Self.fill($0, batches: 4)
        }
        var script = FaultScript()
        script.add(.delay(.milliseconds(50)), on: .get, times: 100)
        try await BrokerWorld.run(memory: memory, log: log, script: script) { world in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        let answer = try await world.fetch(0, maxWaitMs: 1_000)
                        #expect(try Batches.records(answer.records).count > 0)
                    }
                }
                try await group.waitForAll()
            }
            #expect(world.store.count(.get) <= memory.contents.count)
        }
    }

    @Test("bytes that changed on the way are read again; bytes that stay wrong are an error, never records")
    func corruption() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make([String(repeating: "v", count: 5_000)]))
        }
        var once = FaultScript()
        once.add(.flipGet(bit: 8 * 3_000), on: .get, times: 1)
        try await BrokerWorld.run(memory: memory, log: log, script: once) { world in
            let answer = try await world.fetch(0)
            #expect(try Batches.records(answer.records).count == 1)
            #expect(world.broker.status().cache.corruptReads == 1)
        }
        var always = FaultScript()
        always.add(.flipGet(bit: 8 * 3_000), on: .get, times: 1_000)
        try await BrokerWorld.run(memory: memory, log: log, script: always) { world in
            let answer = try await world.fetch(0)
            #expect(answer.errorCode == .kafkaStorageError)
            #expect(answer.records?.readableBytes == 0)
            #expect(world.broker.status().readFailures > 0)
        }
    }

    @Test("a store that fails costs a storage error, and the next fetch works")
    func storeFails() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a"]))
        }
        var script = FaultScript()
        script.add(.fail(.denied), on: .get, times: 1)
        try await BrokerWorld.run(memory: memory, log: log, script: script) { world in
            let failed = try await world.fetch(0)
            #expect(failed.errorCode == .kafkaStorageError)
            #expect(try await world.readAll().map(\.value) == ["a"])
        }
    }

    @Test("a store that hangs costs a storage error when the wait is over")
    func storeHangs() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a"]))
        }
        var script = FaultScript()
        script.add(.delay(.seconds(3_600)), on: .get, times: 1)
        let configuration = BrokerWorld.settings { $0.fetch.storeWaitMax = .milliseconds(30) }
        try await BrokerWorld.run(configuration, memory: memory, log: log, script: script) { world in
            let failed = try await world.fetch(0)
            #expect(failed.errorCode == .kafkaStorageError)
        }
    }

    @Test("caches keep to their limits, and everything can still be read")
    func boundedCaches() async throws {
        let configuration = BrokerWorld.settings {
            $0.fetch.tailBytesMax = 20_000
            $0.fetch.blockBytesMax = 20_000
            $0.fetch.pieceBytesMax = 20_000
        }
        try await BrokerWorld.run(configuration) { world in
            let end = try await Self.fill(world, batches: 60, padding: 400)
            for _ in 0..<2 {
                let records = try await world.readAll(partitionMaxBytes: 4_000)
                #expect(records.map(\.offset) == Array(0..<end))
            }
            let cache = world.broker.status().cache
            #expect(cache.tailBytes <= 20_000)
            #expect(cache.blockBytes <= 20_000)
            #expect(cache.pieceBytes <= 20_000)
            #expect(cache.gets > 0)
        }
    }

    @Test("a reader that goes on finds what comes next already there")
    func readAhead() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            for index in 0..<12 { try await world.produce(Batches.make(["\(index)"])) }
        }
        try await BrokerWorld.run(memory: memory, log: log) { world in
            #expect(try Batches.records(try await world.fetch(0, partitionMaxBytes: 1).records).count == 1)
            #expect(try Batches.records(try await world.fetch(1, partitionMaxBytes: 1).records).count == 1)
            try await until { world.broker.status().cache.gets == 12 }
            #expect(try await world.readAll().count == 12)
            #expect(world.broker.status().cache.gets == 12)
        }
    }

    @Test("responses not taken yet are bounded over all connections")
    func allowance() async throws {
        let configuration = BrokerWorld.settings { $0.fetch.responsesBytesMax = 700 }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make([String(repeating: "x", count: 600)]))
            let taken = world.broker.engine.allowance.take(upTo: 700)
            #expect(taken == 700)
            let crowded = try await world.fetch(0, maxWaitMs: 30)
            #expect(crowded.errorCode == ErrorCode.none)
            #expect(crowded.records?.readableBytes == 0)
            world.broker.engine.allowance.giveBack(taken)
            #expect(try await world.fetch(0, maxWaitMs: 30).records?.readableBytes ?? 0 > 600)
            #expect(world.broker.status().responseBytes == 0)
        }
    }

    @Test("partitions that share objects are read back with few bytes more than they have, also by one reader each")
    func sharedObjects() async throws {
        let (memory, log) = (MemoryStore(), MemoryFencedLog())
        let partitions: Int32 = 16
        try await BrokerWorld.run(BrokerWorld.settings(), memory: memory, log: log) { world in
            try await world.createTopic("t", partitions: partitions)
            for round in 0..<3 {
                let batches = (0..<partitions).map { partition in
                    (partition, Batches.make([String(repeating: "\(round)", count: 30_000)]))
                }
                _ = try await world.ask(world.produceRequest(batches), version: 12)
            }
        }
        let storedBytes = UInt64(memory.contents.values.reduce(0) { $0 + $1.readableBytes })
        for partitionsRead in [[3], Array(0..<partitions)] {
            var small = BrokerWorld.settings()
            small.fetch.blockBytes = 512 << 10
            // One block fits: who comes back to another gets it again.
            small.fetch.blockBytesMax = 600 << 10
            small.fetch.tailBytesMax = 0
            try await BrokerWorld.run(small, memory: memory, log: log) { world in
                var offsets = Dictionary(uniqueKeysWithValues: partitionsRead.map { ($0, Int64(0)) })
                while offsets.values.contains(where: { $0 < 3 }) {
                    let asked = offsets.filter { $0.value < 3 }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
                    let answer = try await world.ask(world.fetchRequest(asked, maxWaitMs: 2_000), version: 12)
                    for partition in answer.topics.flatMap(\.partitions) {
                        #expect(partition.errorCode == .none)
                        offsets[partition.index, default: 0] += Int64(try Batches.records(partition.records).count)
                    }
                }
                let share = UInt64(partitionsRead.count) * storedBytes / UInt64(partitions)
                #expect(world.broker.engine.reader.counts.getBytes <= 2 * share, "\(partitionsRead.count) partitions")
            }
        }
    }

    @Test("a partition that must come from the store gets on beside one whose batches are always in memory")
    func coldBesideHot() async throws {
        let (memory, log) = (MemoryStore(), MemoryFencedLog())
        try await BrokerWorld.run(BrokerWorld.settings(), memory: memory, log: log) { world in
            try await world.createTopic("t", partitions: 2)
            try await world.produce(Batches.make(["cold"]), partition: 1)
        }
        try await BrokerWorld.run(BrokerWorld.settings(), memory: memory, log: log) { world in
            var hot: Int64 = 0
            for round in 0..<200 {
                try await world.produce(Batches.make(["hot \(round)"]), partition: 0)
                let answer = try await world.ask(world.fetchRequest([(0, hot), (1, 0)], maxWaitMs: 1_000), version: 12)
                let found = answer.topics.flatMap(\.partitions)
                hot += Int64(try Batches.records(found.first { $0.index == 0 }?.records).count)
                if try Batches.records(found.first { $0.index == 1 }?.records).map(\.value) == ["cold"] { return }
            }
            Issue.record("200 fetches, and never a record of the cold partition")
        }
    }
}
