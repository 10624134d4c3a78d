import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import SharedObject
import Testing

@testable import Cloud

@Suite("Produce in object mode", .timeLimit(.minutes(1)))
struct ProduceTests {
    @Test("an ack comes with the offset, after store and ledger have the batch")
    func ack() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let first = try await world.produce(Batches.make(["a", "b", "c"]))
            #expect(first.errorCode == ErrorCode.none)
            #expect(first.baseOffset == 0)
            #expect(first.logStartOffset == 0)
            #expect(first.logAppendTimeMs == -1)
            #expect(world.highWatermark() == 3)
            let second = try await world.produce(Batches.make(["d"]))
            #expect(second.baseOffset == 3)
            let contents = world.memory.contents
            #expect(contents.count == 2)
            for (key, body) in contents {
                let footer = try ObjectReader.verify(object: body)
                #expect(footer.header.key == key)
                #expect(footer.header.kind == .cloud)
            }
            #expect(try await world.readAll().map(\.value) == ["a", "b", "c", "d"])
        }
    }

    @Test("batches of many requests share one object and one commit")
    func sharing() async throws {
        let configuration = BrokerWorld.settings { $0.produce.interval = .milliseconds(100) }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("t", partitions: 4)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        let answer = try await world.produce(Batches.make(["\(index)"]), partition: Int32(index % 4))
                        #expect(answer.errorCode == ErrorCode.none)
                    }
                }
                try await group.waitForAll()
            }
            #expect(world.memory.contents.count <= 3)
            var all: Set<String> = []
            for partition in 0..<Int32(4) {
                let records = try await world.readAll(partition: partition)
                #expect(records.map(\.offset) == Array(0..<10))
                all.formUnion(records.map(\.value))
            }
            #expect(all.count == 40)
        }
    }

    @Test("an object is written early when it is full")
    func fullObject() async throws {
        let configuration = BrokerWorld.settings {
            $0.produce.interval = .hours(1)
            $0.produce.objectBytes = 2_000
        }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("t")
            let answer = try await world.produce(Batches.make([String(repeating: "x", count: 3_000)]))
            #expect(answer.baseOffset == 0)
        }
    }

    @Test("a repeated batch of an idempotent producer is acknowledged with its first offset and stored once")
    func idempotence() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let id = try await world.ask(InitProducerIDRequest()).producerID
            #expect(try await world.ask(InitProducerIDRequest()).producerID == id + 1)
            let first = Batches.make(["a", "b"], producer: (id, 0))
            #expect(try await world.produce(first).baseOffset == 0)
            #expect(try await world.produce(Batches.make(["c"], producer: (id, 2))).baseOffset == 2)
            let again = try await world.produce(first)
            #expect(again.errorCode == ErrorCode.none)
            #expect(again.baseOffset == 0)
            let gap = try await world.produce(Batches.make(["e"], producer: (id, 9)))
            #expect(gap.errorCode == .outOfOrderSequenceNumber)
            #expect(try await world.readAll().map(\.value) == ["a", "b", "c"])
        }
    }

    @Test("five batches of a producer in flight share an object, in order, a refused one apart")
    func inFlight() async throws {
        // Long enough for all five to be handed over on a machine that is busy.
        let configuration = BrokerWorld.settings { $0.produce.interval = .seconds(3) }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("t")
            // 0, 1, 2, then a hole, then 3: sent without waiting.
            let sequences: [Int32] = [0, 1, 2, 7, 3]
            let answers = try await withThrowingTaskGroup(of: (Int, ProduceResponse.Partition).self) { group in
                for (index, sequence) in sequences.enumerated() {
                    let batch = Batches.make(["\(sequence)"], producer: (4, sequence))
                    group.addTask { (index, try await world.produce(batch)) }
                    // The requests of a connection are handed over in order.
                    try await until { world.broker.status().produce.pendingBytes >= batch.readableBytes * (index + 1) }
                }
                return try await group.reduce(into: [Int: ProduceResponse.Partition]()) { $0[$1.0] = $1.1 }
            }
            #expect(answers[3]?.errorCode == .outOfOrderSequenceNumber)
            #expect([0, 1, 2, 4].map { answers[$0]?.baseOffset } == [0, 1, 2, 3])
            #expect(world.memory.contents.count == 1)
            #expect(try await world.readAll().map(\.value) == ["0", "1", "2", "3"])
        }
    }

    @Test("a PUT that times out after it was done is committed once")
    func putTimeoutAfterSuccess() async throws {
        var script = FaultScript()
        script.add(.timeoutAfterSuccess, on: .put, times: 2)
        script.add(.throttle(), on: .put, skipping: 2, times: 1)
        try await BrokerWorld.run(script: script) { world in
            try await world.createTopic("t")
            #expect(try await world.produce(Batches.make(["a"])).baseOffset == 0)
            #expect(try await world.produce(Batches.make(["b"])).baseOffset == 1)
            #expect(world.memory.contents.count == 2)
            #expect(try await world.readAll().map(\.value) == ["a", "b"])
        }
    }

    @Test("a store that is gone costs a retriable error after the timeout, and nothing is half done")
    func outage() async throws {
        var script = FaultScript()
        script.add(.fail(.unavailable), on: .put, times: 1_000)
        let configuration = BrokerWorld.settings {
            $0.produce.timeoutMin = .milliseconds(50)
            $0.produce.timeoutMax = .milliseconds(300)
        }
        try await BrokerWorld.run(configuration, script: script) { world in
            try await world.createTopic("t")
            let lost = try await world.produce(Batches.make(["a"], producer: (1, 0)))
            #expect(lost.errorCode == .notEnoughReplicas)
            #expect(world.highWatermark() == 0)
            world.store.rescript { $0 = FaultScript() }
            let again = try await world.produce(Batches.make(["a"], producer: (1, 0)))
            #expect(again.errorCode == ErrorCode.none)
            #expect(try await world.readAll().map(\.value) == ["a"])
        }
    }

    @Test("a commit whose answer is lost is repeated under its key and counts once")
    func commitRepeated() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let faults = CountDown(2)
            world.log.setFaults { operation in
                if case .append = operation, faults.take() { return .errorAfterEffect }
                return nil
            }
            #expect(try await world.produce(Batches.make(["a"])).baseOffset == 0)
            #expect(try await world.produce(Batches.make(["b"])).baseOffset == 1)
            #expect(world.highWatermark() == 2)
        }
    }

    @Test("commits go in the order of their objects, though a later upload is done first")
    func commitOrder() async throws {
        var script = FaultScript()
        script.add(.delay(.milliseconds(150)), on: .put, times: 1)
        let configuration = BrokerWorld.settings { $0.produce.interval = .nanoseconds(1) }
        try await BrokerWorld.run(configuration, script: script) { world in
            try await world.createTopic("t")
            async let slow = world.produce(Batches.make(["slow"]))
            try await until { world.store.count(.put) >= 1 }
            let quick = try await world.produce(Batches.make(["quick"]))
            let slowAnswer = try await slow
            #expect(slowAnswer.baseOffset == 0)
            #expect(quick.baseOffset == 1)
        }
    }

    @Test("bad batches get their own error, good ones of the same request go through")
    func validation() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 8, configs: ["max.message.bytes": "200"])
            var broken = Batches.make(["a"])
            broken.setInteger(UInt8(0xff), at: broken.writerIndex - 1)
            var shifted = Batches.make(["a"])
            shifted.setInteger(Int64(5), at: shifted.readerIndex)
            var twice = Batches.make(["a"])
            twice.writeImmutableBuffer(Batches.make(["b"]))
            let request = world.produceRequest([
                (0, Batches.make(["good"])), (1, broken), (2, shifted), (3, twice), (4, ByteBuffer()),
                (5, Batches.make([String(repeating: "x", count: 300)])), (99, Batches.make(["a"])),
                (6, Batches.make(["a"], producer: (3, -1))),
            ])
            let answer = try await world.ask(request, version: 12).topics.first?.partitions ?? []
            #expect(
                answer.map(\.errorCode) == [
                    .none, .corruptMessage, .invalidRecord, .invalidRecord, .invalidRecord, .messageTooLarge,
                    .unknownTopicOrPartition, .invalidRecord,
                ])
            #expect(answer.first?.baseOffset == 0)
            #expect(answer[1].errorMessage != nil)
            #expect(try await world.readAll().map(\.value) == ["good"])
        }
    }

    @Test("requests are refused: unknown topic by name and id, bad acks, zstd before version 7")
    func refusals() async throws {
        try await BrokerWorld.run { world in
            let batch = Batches.make(["a"])
            #expect(try await world.produce(batch, topic: "none").errorCode == .unknownTopicOrPartition)
            #expect(try await world.produce(batch, topic: "none", version: 13).errorCode == .unknownTopicId)
            try await world.createTopic("t")
            #expect(try await world.produce(batch, version: 13).baseOffset == 0)
            #expect(try await world.produce(batch, acks: 2).errorCode == .invalidRequiredAcks)
            let zstd = Batches.make([String(repeating: "z", count: 999)], zstd: true)
            #expect(try await world.produce(zstd, version: 6).errorCode == .unsupportedCompressionType)
            #expect(try await world.produce(zstd, version: 7).errorCode == ErrorCode.none)
        }
    }

    @Test("acks=0 has no answer, and its batches arrive; a bad one closes the connection")
    func noAcks() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let request = world.produceRequest([(0, Batches.make(["a"]))], acks: 0)
            #expect(try await world.call(request, version: 9) == nil)
            try await until { world.highWatermark() == 1 }
            let bad = world.produceRequest([(7, Batches.make(["a"]))], acks: 0)
            await #expect(throws: ProduceFlaw.unanswerable) { try await world.call(bad, version: 9) }
        }
    }

    @Test("memory is bounded: what finds no room waits, and what finds no room to wait is refused")
    func backPressure() async throws {
        var script = FaultScript()
        script.add(.delay(.milliseconds(200)), on: .put, times: 2)
        let configuration = BrokerWorld.settings {
            $0.produce.pendingBytesMax = 3_000
            $0.produce.parkedBytesMax = 3_000
            $0.produce.interval = .nanoseconds(1)
        }
        try await BrokerWorld.run(configuration, script: script) { world in
            try await world.createTopic("t")
            let batch = Batches.make([String(repeating: "x", count: 2_000)])
            let codes = try await withThrowingTaskGroup(of: ErrorCode.self) { group in
                for _ in 0..<6 { group.addTask { try await world.produce(batch).errorCode } }
                return try await group.reduce(into: [ErrorCode]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == .none } == 2)
            #expect(codes.count { $0 == .notEnoughReplicas } == 4)
            #expect(world.highWatermark() == 2)
            let counts = world.broker.status().produce
            #expect(counts.pendingBytes == 0)
            #expect(counts.parkedBytes == 0)
        }
    }

    @Test("shutdown answers what was sent")
    func shutdown() async throws {
        let configuration = BrokerWorld.settings { $0.produce.interval = .hours(1) }
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(configuration, memory: memory, log: log) { world in
            try await world.createTopic("t")
            async let waiting = world.produce(Batches.make(["a"]))
            try await until { world.broker.status().produce.pendingBytes > 0 }
            await world.broker.shutdown()
            let answer = try await waiting
            #expect(answer.baseOffset == 0)
            #expect(try await world.produce(Batches.make(["b"])).errorCode == .notEnoughReplicas)
        }
        try await BrokerWorld.run(memory: memory, log: log) { world in
            let records = try await world.readAll()
            #expect(records.map(\.value) == ["a"])
            #expect(try await world.produce(Batches.make(["b"])).baseOffset == 1)
        }
    }
}
