import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

/// Compaction from end to end: produced, cleaned, consumed. Rules K1 and K2.
@Suite("Housekeeping: compaction", .timeLimit(.minutes(2)))
struct CompactionTests {
    private static let compact = ["cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.0"]

    @Test(
        "K1: the latest value of each key stays at its offset, whatever the codec",
        arguments: [RecordBatchBuilder.Codec.none, .gzip(), .snappy, .lz4(), .zstd()])
    func latest(codec: RecordBatchBuilder.Codec) async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact)
            let long = String(repeating: "same text ", count: 30)
            for round in 0..<6 {
                try await world.produce(
                    Batches.keyed([("a", "\(long)\(round)"), ("b\(round % 3)", "\(long)\(round)")], codec: codec))
            }
            let before = try await world.consume()
            await world.broker.housekeeper.round()
            let after = try await world.consume()
            #expect(after.latest == before.latest)
            #expect(after.records.map(\.offset) == [7, 9, 10, 11])
            #expect(after.records == before.records.filter { [7, 9, 10, 11].contains($0.offset) })
            #expect(world.sources() == [.objectWithOffsets])
            #expect(world.highWatermark() == 12)
            // Batches that are left keep their bounds.
            #expect(after.headers.map(\.baseOffset) == [6, 8, 10])
            #expect(after.headers.allSatisfy { $0.lastOffsetDelta == 1 })
            let counts = world.broker.status().housekeeping
            #expect(counts.compactions == 1 && counts.recordsRemoved == 8 && counts.failures == 0)
            // Every offset can be asked for.
            for offset in 0..<Int64(12) {
                let from = try await world.consume(from: offset)
                #expect(from.records == after.records.filter { $0.offset >= offset })
            }
            // There is nothing more to do, and what was replaced goes.
            await world.broker.housekeeper.round()
            #expect(world.broker.status().housekeeping.compactions == 1)
            await world.broker.retention.round()
            await world.broker.retention.round()
            #expect(world.memory.contents.count == 1)
            #expect(try await world.consume().records == after.records)
        }
    }

    @Test("K1: the last batch of a producer stays empty, and the producer goes on with its sequence")
    func producers() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact)
            var producer = try await TestProducer(world)
            #expect(try await producer.send([("a", "1"), ("b", "1")]) == .none)
            #expect(try await producer.send([("a", "2"), ("b", "2")]) == .none)
            try await world.produce(Batches.keyed([("a", "3"), ("b", "3")]))
            await world.broker.housekeeper.round()
            let seen = try await world.consume()
            #expect(seen.headers.map(\.baseOffset) == [2, 4])
            #expect(seen.headers[0].recordCount == 0 && seen.headers[0].lastSequence == 3)
            #expect(seen.headers[0].producerID == producer.id && seen.headers[0].lastOffsetDelta == 1)
            #expect(seen.records.map(\.offset) == [4, 5])
            #expect(try await producer.send([("c", "1")]) == .none)
            await world.broker.housekeeper.round()
            // Its last batch is another one now.
            #expect(try await world.consume().headers.map(\.baseOffset) == [4, 6])
        }
    }

    @Test("K1: the last batch of a round stays, empty, though nothing in it is needed")
    func lastBatch() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact)
            var producer = try await TestProducer(world, transactionalID: "x")
            try await world.produce(Batches.keyed([("a", "1")]))
            try await producer.send([("a", "aborted"), ("b", "aborted")])
            try await producer.end(commits: false)
            await world.broker.housekeeper.round()
            let seen = try await world.consume(isReadCommitted: true)
            #expect(seen.records.map(\.offset) == [0])
            #expect(seen.headers.last?.isControl == true)
            #expect(try await world.consume().records.map(\.value) == ["1"])
        }
    }

    @Test("K2: a tombstone stays for delete.retention.ms after the first cleaning, then it goes")
    func tombstones() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic(
                "t", configs: Self.compact.merging(["delete.retention.ms": "60000"]) { $1 })
            try await world.produce(Batches.keyed([("a", "1"), ("b", "1")]))
            try await world.produce(Batches.keyed([("a", nil)]))
            await world.broker.housekeeper.round()
            var seen = try await world.consume()
            #expect(seen.records == [.init(offset: 1, key: "b", value: "1"), .init(offset: 2, key: "a", value: nil)])
            #expect(seen.headers.map(\.deleteHorizonMs) == [nil, world.wall.ms + 60_000])
            world.wall.pass(59_999)
            try await world.produce(Batches.keyed([("c", "1")]))
            await world.broker.housekeeper.round()
            #expect(try await world.consume().records.map(\.offset) == [1, 2, 3])
            world.wall.pass(1)
            try await world.produce(Batches.keyed([("d", "1")]))
            await world.broker.housekeeper.round()
            seen = try await world.consume()
            #expect(seen.records.map(\.offset) == [1, 3, 4])
            #expect(seen.latest == ["b": "1", "c": "1", "d": "1"])
        }
    }

    @Test(
        "K2: aborted records go and never supersede; a commit marker goes after its records and the horizon")
    func transactions() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic(
                "t", configs: Self.compact.merging(["delete.retention.ms": "1000"]) { $1 })
            var producer = try await TestProducer(world, transactionalID: "x")
            try await world.produce(Batches.keyed([("a", "before")]))
            try await producer.send([("a", "aborted")])
            try await producer.end(commits: false)
            try await producer.send([("b", "committed"), ("c", "committed")])
            try await producer.end(commits: true)
            try await producer.send([("a", "open")])
            await world.broker.housekeeper.round()
            var seen = try await world.consume(isReadCommitted: true)
            #expect(seen.latest == ["a": "before", "b": "committed", "c": "committed"])
            #expect(seen.records.map(\.offset) == [0, 3, 4])
            // Nothing from the last stable offset on is touched.
            #expect(world.sources().last == .object && world.sources().first == .objectWithOffsets)
            try await producer.end(commits: true)
            #expect(try await world.consume(isReadCommitted: true).latest["a"] == "open")
            try await world.produce(Batches.keyed([("b", "later"), ("c", "later")]))
            for _ in 0..<4 {
                world.wall.pass(2_000)
                try await world.produce(Batches.keyed([("d", "x")]))
                await world.broker.housekeeper.round()
            }
            seen = try await world.consume(isReadCommitted: true)
            #expect(seen.latest == ["a": "open", "b": "later", "c": "later", "d": "x"])
            let markers = seen.headers.filter { $0.isControl && $0.recordCount > 0 }.map(\.baseOffset)
            // Those of the abort and of b and c have gone; that of a still ends it.
            #expect(markers == [7])
        }
    }

    @Test("K2: an aborted transaction is forgotten with its records, its marker stays for delete.retention.ms")
    func abortedAreForgotten() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact.merging(["delete.retention.ms": "60000"]) { $1 })
            let id = try #require(world.ledger.view.topic(named: "t")?.id)
            func named() -> [Int64] { world.ledger.view.abortedRanges(id, 0).map(\.0.firstOffset) }
            func markers() async throws -> [Int64] {
                try await world.consume().headers.filter { $0.isControl && $0.recordCount > 0 }.map(\.baseOffset)
            }
            var producer = try await TestProducer(world, transactionalID: "x")
            try await producer.send([("a", "aborted 1")])
            try await producer.end(commits: false)
            try await producer.send([("a", "aborted 2")])
            try await world.produce(Batches.keyed([("b", "1")]))
            // The second one is open: its records are not touched, and nothing of it is forgotten.
            #expect(named() == [0])
            await world.broker.housekeeper.round()
            #expect(named() == [])
            #expect(try await markers() == [1])
            try await producer.end(commits: false)
            #expect(named() == [2])
            try await producer.send([("a", "committed")])
            try await producer.end(commits: true)
            try await world.produce(Batches.keyed([("b", "2")]))
            await world.broker.housekeeper.round()
            #expect(named() == [])
            #expect(
                try await markers() == [1, 4, 6], "the first one's time has not come, the last one's records are there")
            #expect(try await world.consume(isReadCommitted: true).latest == ["a": "committed", "b": "2"])
            #expect(try await world.consume().latest == ["a": "committed", "b": "2"])
            world.wall.pass(60_000)
            try await world.produce(Batches.keyed([("b", "3")]))
            await world.broker.housekeeper.round()
            #expect(try await markers() == [6])
            #expect(try await world.consume(isReadCommitted: true).latest == ["a": "committed", "b": "3"])
            // The producer goes on, and so do its readers.
            try await producer.send([("a", "later")])
            try await producer.end(commits: true)
            #expect(try await world.consume(isReadCommitted: true).latest == ["a": "later", "b": "3"])
        }
    }

    @Test("what is younger than min.compaction.lag.ms waits; max.compaction.lag.ms makes a little dirt enough")
    func lags() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic(
                "t",
                configs: [
                    "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.9", "min.compaction.lag.ms": "10000",
                    "max.compaction.lag.ms": "50000",
                ])
            func produce(_ records: [Keyed]) async throws {
                try await world.produce(Batches.keyed(records, timestampMs: world.wall.ms))
            }
            for _ in 0..<3 { try await produce([("a", "1"), ("b", "1")]) }
            await world.broker.housekeeper.round()
            #expect(world.sources().allSatisfy { $0 == .object })
            world.wall.pass(10_000)
            try await produce([("a", "2")])
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets, .object])
            world.wall.pass(10_000)
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets, .object], "below the ratio")
            world.wall.pass(40_000)
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets, .object], "not older than the lag")
            world.wall.pass(1)
            await world.broker.housekeeper.round()
            #expect(world.sources() == [.objectWithOffsets])
            #expect(try await world.consume().latest == ["a": "2", "b": "1"])
        }
    }

    @Test("more keys than fit into memory are cleaned in parts, the oldest first")
    func manyKeys() async throws {
        try await BrokerWorld.run(BrokerWorld.eager { $0.housekeeping.keysMax = 8 }) { world in
            try await world.createTopic("t", configs: Self.compact)
            for round in 0..<3 {
                for part in 0..<6 {
                    try await world.produce(Batches.keyed((0..<4).map { ("k\(part * 4 + $0)", "\(round)") }))
                }
            }
            let before = try await world.consume()
            await world.broker.housekeeper.round()
            let after = try await world.consume()
            #expect(after.latest == before.latest)
            #expect(after.records.map(\.offset) == Array(48..<72))
            #expect(world.broker.status().housekeeping.compactions > 4)
        }
    }

    @Test("time and size do not expire a topic that is only compacted; compact,delete does both")
    func policies() async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact.merging(["retention.ms": "1000"]) { $1 })
            try await world.createTopic(
                "both", configs: ["cleanup.policy": "compact, delete", "retention.ms": "1000"])
            await #expect(throws: ErrorCode.self) {
                try await world.createTopic("bad", configs: ["cleanup.policy": "compact,shrink"])
            }
            for topic in ["t", "both"] {
                try await world.produce(
                    Batches.keyed([("a", "1")], timestampMs: world.wall.ms), topic: topic)
            }
            world.wall.pass(10_000)
            await world.broker.retention.round()
            #expect(try await world.consume().latest == ["a": "1"])
            #expect(world.ledger.view.partition(topic: "both", 0)?.logStart == 1)
        }
    }

    @Test("a store that fails at any step costs nothing but time", arguments: 0..<12)
    func storeFails(step: Int) async throws {
        try await BrokerWorld.run(BrokerWorld.eager()) { world in
            try await world.createTopic("t", configs: Self.compact)
            for round in 0..<4 { try await world.produce(Batches.keyed([("a", "\(round)"), ("b", "\(round)")])) }
            let before = try await world.consume()
            let faults: [StoreFault] = [
                .fail(.unavailable), .fail(.denied), .flipGet(bit: 700), .truncateGet(sizeBytes: 30),
                .failAfterEffect(.timeout), .fail(.full),
            ]
            world.store.rescript { script in
                script.add(faults[step % 6], on: step < 6 ? .get : .put, skipping: step % 3, times: 3)
            }
            for _ in 0..<4 { await world.broker.housekeeper.round() }
            world.store.rescript { $0 = FaultScript() }
            #expect(try await world.consume().latest == before.latest)
            await world.broker.housekeeper.round()
            let after = try await world.consume()
            #expect(after.latest == before.latest)
            #expect(after.records.map(\.offset) == [6, 7])
            for _ in 0..<3 { await world.broker.retention.round() }
            #expect(world.memory.contents.count == 1, "nothing is left lying about")
        }
    }

    @Test("produce and a moving log start during a rewrite lose nothing")
    func concurrent() async throws {
        try await BrokerWorld.run(BrokerWorld.eager { $0.housekeeping.compactedBytes = 400 }) { world in
            try await world.createTopic("t", configs: Self.compact)
            for round in 0..<30 { try await world.produce(Batches.keyed([("a\(round % 7)", "\(round)")])) }
            world.store.rescript { $0.add(.delay(.milliseconds(3)), on: .get, perMille: 500) }
            async let cleaning: Void = world.broker.housekeeper.round()
            for round in 30..<40 {
                try await world.produce(Batches.keyed([("a\(round % 7)", "\(round)")]))
                let id = try #require(world.ledger.view.topic(named: "t")?.id)
                _ = try await world.ledger.advanceLogStart(
                    AdvanceLogStart(
                        items: [.init(topicID: id, partition: 0, newLogStart: Int64(round - 29))], nowMs: world.wall.ms)
                )
            }
            await cleaning
            let expected = Dictionary((0..<40).map { ("a\($0 % 7)", "\($0)") }) { $1 }
            #expect(try await world.consume().latest == expected)
            for _ in 0..<2 { await world.broker.housekeeper.round() }
            let seen = try await world.consume()
            #expect(seen.latest == expected)
            #expect(seen.records.map(\.offset) == Array(33..<40))
        }
    }
}
