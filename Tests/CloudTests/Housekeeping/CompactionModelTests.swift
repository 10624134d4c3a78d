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
        func apply(_ records: [Keyed]) { for record in records { model[record.key] = record.value } }
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
                isOpen = true
            case 8:
                guard isOpen else { continue }
                let commits = Bool.random(using: &random)
                try await transactional.end(commits: commits)
                if commits { apply(open) }
                open = []
                isOpen = false
            case 9: world.wall.pass(Int64.random(in: 0..<6_000, using: &random))
            case 10..<12: await housekeep(world, &random, isFaulty: isFaulty)
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
        try await check(world, model, seed)
        for _ in 0..<4 {
            world.wall.pass(6_000)
            try await world.produce(Batches.keyed([("end", "x")], timestampMs: world.wall.ms))
            model["end"] = "x"
            await world.broker.housekeeper.round()
            await world.broker.retention.round()
            try await check(world, model, seed)
        }
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
