import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

/// Any interleaving of producing, cleaning, merging and deleting leaves consumers what a dictionary has.
@Suite("Housekeeping: model", .timeLimit(.minutes(3)))
struct CompactionModelTests {
    private static let codecs: [RecordBatchBuilder.Codec] = [.none, .gzip(), .snappy, .lz4(), .zstd(level: 1)]

    @Test("the latest map is that of a plain dictionary, from every point in time", arguments: 1...UInt64(60))
    func model(seed: UInt64) async throws {
        let configuration = BrokerWorld.eager {
            $0.produce.interval = .milliseconds(1)
            $0.housekeeping.compactedBytes = 1_500
            $0.housekeeping.mergeCountMin = 3
            $0.housekeeping.keysMax = seed % 3 == 0 ? 5 : 1_000
            $0.housekeeping.readBytes = 400
        }
        try await BrokerWorld.run(configuration) { world in
            try await Self.run(seed, world)
        }
    }

    @Test("the same while the store throttles, loses answers and flips bits", arguments: 101...UInt64(140))
    func faulty(seed: UInt64) async throws {
        let configuration = BrokerWorld.eager {
            $0.produce.interval = .milliseconds(1)
            $0.housekeeping.compactedBytes = 1_500
            $0.housekeeping.mergeCountMin = 3
        }
        try await BrokerWorld.run(configuration) { world in
            try await Self.run(seed, world, isFaulty: true)
        }
    }

    private static let faults: [(StoreFault, ObjectStoreOperation)] = [
        (.fail(.denied), .get), (.fail(.denied), .put), (.flipGet(bit: 777), .get), (.flipGet(bit: 130), .get),
        (.failAfterEffect(.timeout), .put), (.fail(.unavailable), .delete), (.fail(.unavailable), .list),
        (.truncateGet(sizeBytes: 40), .get),
    ]

    /// What readers of both kinds must see while nothing is produced: `latest` for those of committed records (a deleted
    /// key may still show, to one whose tombstone went while it read), and of the others nothing that was never sent.
    private struct Expected {
        var latest: [String: String] = [:]
        var committed: Set<String> = []
        /// Of transactions aborted or still open.
        var others: Set<String> = []

        func check(_ seen: Consumed, isReadCommitted: Bool, _ seed: UInt64) {
            let values = Set(seen.records.compactMap(\.value))
            #expect(values.isSubset(of: isReadCommitted ? committed : committed.union(others)), "seed \(seed)")
            var next: Int64 = 0
            for record in seen.records {
                #expect(record.offset >= next, "seed \(seed)")
                next = record.offset + 1
            }
            guard isReadCommitted else { return }
            let found = seen.latest
            for (key, value) in latest { #expect(found[key] == value, "seed \(seed)") }
        }
    }

    /// Reads again and again, also from the middle of the log, until the round is over.
    private static func housekeepUnderReaders(
        _ world: BrokerWorld, _ expected: Expected, _ random: inout SplitMix, _ seed: UInt64
    ) async throws {
        let end = world.highWatermark()
        let starts = (0..<6).map { _ in Int64.random(in: 0...max(0, end), using: &random) }
        async let round: Void = world.broker.housekeeper.round()
        for start in starts {
            expected.check(try await world.consume(isReadCommitted: true), isReadCommitted: true, seed)
            expected.check(try await world.consume(), isReadCommitted: false, seed)
            let values = Set(
                try await world.consume(from: start, isReadCommitted: true).records.compactMap(\.value))
            #expect(values.isSubset(of: expected.committed), "seed \(seed) from \(start)")
        }
        await round
    }

    private static func housekeep(_ world: BrokerWorld, _ random: inout SplitMix, isFaulty: Bool) async {
        if isFaulty {
            for _ in 0..<Int.random(in: 0..<4, using: &random) {
                let (fault, operation) = faults[Int.random(in: 0..<faults.count, using: &random)]
                let skipping = Int.random(in: 0..<6, using: &random)
                let times = Int.random(in: 1..<4, using: &random)
                world.store.rescript { $0.add(fault, on: operation, skipping: skipping, times: times) }
            }
        }
        await world.broker.housekeeper.round()
        world.store.rescript { $0 = FaultScript() }
    }

    private static func run(_ seed: UInt64, _ world: BrokerWorld, isFaulty: Bool = false) async throws {
        var random = SplitMix(seed: seed)
        let compact = [
            "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "5000",
        ]
        try await world.createTopic("t", configs: compact)
        try await world.createTopic("plain", configs: ["cleanup.policy": "delete", "retention.ms": "-1"])
        var idempotent = try await TestProducer(world)
        var transactional = try await TestProducer(world, transactionalID: "x")
        var model: [String: String] = [:]
        var open: [Keyed] = []
        var isOpen = false
        var number = 0
        func records() -> [Keyed] {
            (0..<Int.random(in: 1...4, using: &random)).map { _ in
                number += 1
                let key = "k\(Int.random(in: 0..<12, using: &random))"
                return (key, Int.random(in: 0..<4, using: &random) == 0 ? nil : "v\(number)")
            }
        }
        var expected = Expected()
        func apply(_ records: [Keyed]) {
            for record in records { model[record.key] = record.value }
            expected.committed.formUnion(records.compactMap(\.value))
            expected.latest = model
        }
        for _ in 0..<120 {
            let codec = codecs[Int.random(in: 0..<codecs.count, using: &random)]
            switch Int.random(in: 0..<14, using: &random) {
            case 0..<3:
                // While a transaction is open, others would make the order of commits matter to the model.
                guard !isOpen else { continue }
                let sent = records()
                try await world.produce(Batches.keyed(sent, codec: codec, timestampMs: world.wall.ms))
                apply(sent)
            case 3..<5:
                guard !isOpen else { continue }
                let sent = records()
                #expect(try await idempotent.send(sent, codec: codec) == .none)
                apply(sent)
            case 5..<8:
                let sent = records()
                #expect(try await transactional.send(sent, codec: codec) == .none)
                open += sent
                expected.others.formUnion(sent.compactMap(\.value))
                isOpen = true
            case 8:
                guard isOpen else { continue }
                let commits = Bool.random(using: &random)
                try await transactional.end(commits: commits)
                if commits {
                    apply(open)
                    expected.others.subtract(open.compactMap(\.value))
                }
                open = []
                isOpen = false
            case 9: world.wall.pass(Int64.random(in: 0..<6_000, using: &random))
            case 10..<12:
                if isFaulty {
                    await housekeep(world, &random, isFaulty: true)
                } else {
                    try await housekeepUnderReaders(world, expected, &random, seed)
                }
            case 12:
                try await world.produce(Batches.make(["p\(number)"]), topic: "plain")
                // Not past the end of an open transaction.
                if number % 5 == 0, !isOpen { world.wall.pass(700_000) }
            default:
                await world.broker.retention.round()
                if Bool.random(using: &random) { await world.broker.retention.scrub() }
            }
        }
        if isOpen { try await transactional.end(commits: false) }
        let id = try #require(world.ledger.view.topic(named: "t")?.id)
        try await check(world, model, seed)
        for _ in 0..<4 {
            world.wall.pass(6_000)
            try await world.produce(Batches.keyed([("end", "x")], timestampMs: world.wall.ms))
            model["end"] = "x"
            await world.broker.housekeeper.round()
            await world.broker.retention.round()
            try await check(world, model, seed)
            expected.committed.insert("x")
            expected.check(try await world.consume(), isReadCommitted: false, seed)
        }
        // Rule K2: what was aborted has gone, from the ledger too, and so have its markers.
        #expect(world.ledger.view.abortedRanges(id, 0).isEmpty, "seed \(seed)")
        let uncommitted = try await world.consume()
        #expect(Set(uncommitted.records.compactMap(\.value)).isDisjoint(with: expected.others), "seed \(seed)")
        #expect(uncommitted.headers.allSatisfy { !$0.isControl || $0.recordCount == 0 || $0.deleteHorizonMs == nil })
        let counts = world.broker.status().housekeeping
        #expect(counts.compactions > 3 && counts.recordsRemoved > 20, "seed \(seed)")
        if !isFaulty { #expect(counts.failures == 0, "seed \(seed)") }
        let left = try await world.consume(isReadCommitted: true).records
        let stale = left.filter { record in record.value == nil || model[record.key ?? ""] != record.value }
        #expect(stale.count <= 8, "seed \(seed): what is superseded goes in the end")
    }

    private static func check(_ world: BrokerWorld, _ model: [String: String], _ seed: UInt64) async throws {
        let seen = try await world.consume(isReadCommitted: true)
        #expect(seen.latest == model, "seed \(seed)")
        var next: Int64 = 0
        for header in seen.headers {
            #expect(header.baseOffset >= next, "seed \(seed)")
            next = header.lastOffset + 1
        }
    }
}
