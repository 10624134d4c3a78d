import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

@Suite("ListOffsets", .timeLimit(.minutes(1)))
struct ListOffsetsTests {
    private static func ask(
        _ world: BrokerWorld, _ timestampMs: Int64, partition: Int32 = 0, version: Int16 = 11, topic: String = "t"
    ) async throws -> ListOffsetsResponse.Partition {
        var request = ListOffsetsRequest()
        var one = ListOffsetsRequest.Topic()
        one.name = topic
        var asked = ListOffsetsRequest.Partition()
        asked.index = partition
        asked.timestampMs = timestampMs
        one.partitions = [asked]
        request.topics = [one]
        guard let answer = try await world.ask(request, version: version).topics.first?.partitions.first else {
            throw BrokerWorld.NoAnswer()
        }
        return answer
    }

    @Test("by time the answer is the first record, not the first batch", arguments: [false, true])
    func byTime(zstd: Bool) async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let values = (0..<10).map { "record \($0) " + String(repeating: "z", count: 40) }
            for batch in 0..<Int64(3) {
                let bytes = Batches.make(values, firstTimestampMs: 1_000 * batch, stepMs: 10, zstd: zstd)
                try await world.produce(bytes)
            }
            for (time, offset, found) in [
                (Int64(0), Int64(0), Int64(0)), (1, 1, 10), (85, 9, 90), (91, 10, 1_000), (1_045, 15, 1_050),
                (2_090, 29, 2_090),
            ] {
                let answer = try await Self.ask(world, time)
                #expect(answer.errorCode == ErrorCode.none)
                #expect(answer.offset == offset, "for \(time)")
                #expect(answer.timestampMs == found, "for \(time)")
                #expect(answer.leaderEpoch == 0)
            }
            let none = try await Self.ask(world, 2_091)
            #expect(none.errorCode == ErrorCode.none)
            #expect(none.offset == -1)
            #expect(none.timestampMs == -1)
        }
    }

    @Test("special times: latest, earliest, largest; and those of tiered storage")
    func special() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            #expect(try await Self.ask(world, -3).offset == -1)
            try await world.produce(Batches.make(["a", "b"], firstTimestampMs: 500))
            try await world.produce(Batches.make(["late", "x"], firstTimestampMs: 900, stepMs: 0))
            try await world.produce(Batches.make(["c"], firstTimestampMs: 100))
            let latest = try await Self.ask(world, -1)
            #expect(latest.offset == 5)
            #expect(latest.timestampMs == -1)
            #expect(try await Self.ask(world, -2).offset == 0)
            let largest = try await Self.ask(world, -3)
            #expect(largest.offset == 2)
            #expect(largest.timestampMs == 900)
            #expect(try await Self.ask(world, -4).offset == 0)
            #expect(try await Self.ask(world, -5).offset == -1)
            #expect(try await Self.ask(world, -6).offset == -1)
            for (time, version) in [(Int64(-3), Int16(6)), (-4, 7), (-5, 8), (-6, 10), (-7, 11)] {
                #expect(try await Self.ask(world, time, version: version).errorCode == .unsupportedVersion)
            }
        }
    }

    @Test("errors: unknown partition, the same one twice, a store that fails")
    func errors() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a"]))
            #expect(try await Self.ask(world, -1, partition: 3).errorCode == .unknownTopicOrPartition)
            var request = ListOffsetsRequest()
            var topic = ListOffsetsRequest.Topic()
            topic.name = "t"
            topic.partitions = [ListOffsetsRequest.Partition(), ListOffsetsRequest.Partition()]
            request.topics = [topic]
            let answer = try await world.ask(request)
            #expect(answer.topics.first?.partitions.map(\.errorCode) == [.invalidRequest, .invalidRequest])
        }
        var script = FaultScript()
        script.add(.fail(.denied), on: .get, times: 1)
        try await BrokerWorld.run(memory: memory, log: log, script: script) { world in
            let failed = try await Self.ask(world, 0)
            #expect(failed.errorCode == .kafkaStorageError)
            #expect(try await Self.ask(world, 0).offset == 0)
        }
    }

    @Test("one leader epoch for ever: it ends at the high watermark")
    func epochs() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a", "b"]))
            var request = OffsetForLeaderEpochRequest()
            var topic = OffsetForLeaderEpochRequest.Topic()
            topic.name = "t"
            topic.partitions = [OffsetForLeaderEpochRequest.Partition()]
            request.topics = [topic]
            let answer = try await world.ask(request).topics.first?.partitions.first
            #expect(answer?.leaderEpoch == 0)
            #expect(answer?.endOffset == 2)
        }
    }
}
