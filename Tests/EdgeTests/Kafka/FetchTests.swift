import KafkaListener
import KafkaProtocol
import NIOCore
import Testing

@testable import Edge

@Suite struct FetchTests {
    static func fill(_ client: TestClient, topic: String = "t", batches: Int, bytes: Int = 10) async throws {
        for index in 0..<batches {
            let value = "\(index)".padding(to: bytes)
            _ = try await client.ask(Sample.produce([(topic, 0, Sample.batch([value]))]), version: 8)
        }
    }

    static func only(_ response: FetchResponse) throws -> FetchResponse.Partition {
        try #require(response.topics.first?.partitions.first)
    }

    @Test("a fetch at the end waits and is woken by the next durable record")
    func longPoll() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            try await Self.fill(client, batches: 1)
            let reader = try await gateway.connect()
            try await reader.send(Sample.fetch("t", offset: 1, waitMs: 60_000), version: 11)
            // Whether the fetch is there before the record or after it, the answer is the same; both ways are right.
            try await Self.fill(client, topic: "other", batches: 1)
            try await Self.fill(client, batches: 1)
            let answer = try Self.only(try await reader.receive(FetchRequest.self, version: 11))
            #expect(try Sample.records(answer.records).map(\.offset) == [1])
            await reader.close()
        }
    }

    @Test("a fetch without enough records is answered when its time is up, with what there is")
    func timeout() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            try await Self.fill(client, batches: 1)
            let empty = try Self.only(try await client.ask(Sample.fetch("t", offset: 1, waitMs: 20), version: 11))
            #expect(empty.errorCode == .none && empty.records?.readableBytes == 0 && empty.highWatermark == 1)
            let few = Sample.fetch("t", offset: 0, waitMs: 20, bytesMin: 100_000)
            #expect(try Sample.records(Self.only(try await client.ask(few, version: 11)).records).count == 1)
        }
    }

    @Test("min bytes are waited for over several commits")
    func minBytes() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            try await Self.fill(client, batches: 1)
            let reader = try await gateway.connect()
            try await reader.send(Sample.fetch("t", offset: 0, waitMs: 60_000, bytesMin: 500), version: 11)
            try await Self.fill(client, batches: 10)
            let answer = try Self.only(try await reader.receive(FetchRequest.self, version: 11))
            #expect((answer.records?.readableBytes ?? 0) >= 500)
            #expect(try Sample.records(answer.records).map(\.offset).first == 0)
            await reader.close()
        }
    }

    @Test("limits cut between batches, but the first batch always comes")
    func limits() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            try await Self.fill(client, batches: 5, bytes: 1000)
            func count(bytesMax: Int32, partitionBytesMax: Int32) async throws -> Int {
                let fetch = Sample.fetch("t", offset: 1, bytesMax: bytesMax, partitionBytesMax: partitionBytesMax)
                return try Sample.records(Self.only(try await client.ask(fetch, version: 11)).records).count
            }
            #expect(try await count(bytesMax: 1, partitionBytesMax: 1) == 1)
            #expect(try await count(bytesMax: 1 << 20, partitionBytesMax: 2500) == 2)
            #expect(try await count(bytesMax: 2500, partitionBytesMax: 1 << 20) == 2)
            #expect(try await count(bytesMax: 1 << 20, partitionBytesMax: 1 << 20) == 4)
        }
    }

    @Test("a batch that does not fit ends the answer, even when a smaller one follows")
    func noHoles() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            for bytes in [500, 5000, 10] { try await Self.fill(client, batches: 1, bytes: bytes) }
            let fetch = Sample.fetch("t", offset: 0, partitionBytesMax: 2000)
            let answer = try Self.only(try await client.ask(fetch, version: 11))
            #expect(try Sample.records(answer.records).map(\.offset) == [0])
        }
    }

    @Test("the total limit holds over partitions, and only the first with records may pass it")
    func partitions() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            for partition in Int32(0)...1 {
                let batch = Sample.batch([String(repeating: "x", count: 1000)])
                _ = try await client.ask(Sample.produce([("t", partition, batch)]), version: 8)
            }
            var fetch = Sample.fetch("t", offset: 0, bytesMax: 1500)
            var second = fetch.topics[0].partitions[0]
            second.index = 1
            fetch.topics[0].partitions.append(second)
            let answer = try await client.ask(fetch, version: 11)
            let sizes = try #require(answer.topics.first).partitions.map { $0.records?.readableBytes ?? 0 }
            #expect(sizes[0] > 1000 && sizes[1] == 0)
        }
    }

    @Test("an offset inside a batch gives that batch from its beginning")
    func insideBatch() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            _ = try await client.ask(Sample.produce([("t", 0, Sample.batch(["a", "b", "c"]))]), version: 8)
            let answer = try Self.only(try await client.ask(Sample.fetch("t", offset: 2), version: 11))
            #expect(try Sample.records(answer.records).map(\.value) == ["a", "b", "c"])
        }
    }

    @Test("what cannot be read is an error at once, whatever the wait")
    func errors() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            try await Self.fill(client, batches: 2)
            func code(_ fetch: FetchRequest, version: Int16 = 11) async throws -> ErrorCode {
                try Self.only(try await client.ask(fetch, version: version)).errorCode
            }
            #expect(try await code(Sample.fetch("t", offset: 3, waitMs: 60_000)) == .offsetOutOfRange)
            #expect(try await code(Sample.fetch("t", offset: -1, waitMs: 60_000)) == .offsetOutOfRange)
            #expect(try await code(Sample.fetch("t", partition: 1, offset: 1, waitMs: 60_000)) == .offsetOutOfRange)
            #expect(try await code(Sample.fetch("u", offset: 0, waitMs: 60_000)) == .unknownTopicOrPartition)
            #expect(
                try await code(Sample.fetch("t", partition: 2, offset: 0, waitMs: 60_000))
                    == .unknownTopicOrPartition)
            #expect(try await code(Sample.fetch("t", offset: 0), version: 13) == .unknownTopicId)
            var epoch = Sample.fetch("t", offset: 0)
            epoch.topics[0].partitions[0].currentLeaderEpoch = 1
            #expect(try await code(epoch) == .unknownLeaderEpoch)
        }
    }

    @Test("a session that was never given is unknown, a new one is answered with none")
    func sessions() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            try await Self.fill(client, batches: 1)
            var fetch = Sample.fetch("t", offset: 0)
            fetch.sessionEpoch = 0
            #expect(try await client.ask(fetch, version: 11).sessionID == 0)
            fetch.sessionEpoch = 4
            #expect(try await client.ask(fetch, version: 11).errorCode == .invalidFetchSessionEpoch)
            fetch.sessionID = 9
            #expect(try await client.ask(fetch, version: 11).errorCode == .fetchSessionIdNotFound)
        }
    }

    @Test("a reader that goes away while it waits leaves nothing behind")
    func abandoned() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            try await Self.fill(client, batches: 1)
            let reader = try await gateway.connect()
            try await reader.send(Sample.fetch("t", offset: 1, waitMs: 60_000), version: 11)
            while gateway.gateway.status().kafka?.bytesInFlight == 0 { await Task.yield() }
            await reader.close()
            while (gateway.gateway.status().kafka?.bytesInFlight ?? 0) > 0 { await Task.yield() }
        }
    }

    @Test("offsets are found by time to the record, and at both ends")
    func listOffsets() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            for times in [[100, 200, 150], [400, 300]] as [[Int64]] {
                let batch = Sample.batch(times.map(String.init), timestampsMs: times)
                _ = try await client.ask(Sample.produce([("t", 0, batch)]), version: 8)
            }
            func find(_ time: Int64, partition: Int32 = 0, version: Int16 = 7) async throws -> String {
                var request = ListOffsetsRequest()
                var topic = ListOffsetsRequest.Topic()
                topic.name = "t"
                var part = ListOffsetsRequest.Partition()
                part.index = partition
                part.timestampMs = time
                topic.partitions = [part]
                request.topics = [topic]
                let answer = try await client.ask(request, version: version)
                let found = try #require(answer.topics.first?.partitions.first)
                return "\(found.errorCode.rawValue) \(found.offset) \(found.timestampMs)"
            }
            #expect(try await find(-1) == "0 5 -1")
            #expect(try await find(-2) == "0 0 -1")
            #expect(try await find(-3) == "0 3 400")
            #expect(try await find(0) == "0 0 100")
            #expect(try await find(101) == "0 1 200")
            #expect(try await find(201) == "0 3 400")
            #expect(try await find(401) == "0 -1 -1")
            #expect(try await find(-1, partition: 1) == "0 0 -1")
            #expect(try await find(-3, partition: 1) == "0 -1 -1")
            #expect(try await find(-3, version: 6) == "35 -1 -1")
            #expect(try await find(-4, version: 8) == "0 0 -1")
            #expect(try await find(-5, version: 9) == "0 -1 -1")
            #expect(try await find(-7, version: 11) == "35 -1 -1")
            #expect(try await find(0, partition: 2) == "3 -1 -1")
        }
    }
}

extension String {
    fileprivate func padding(to count: Int) -> String {
        self + String(repeating: ".", count: max(0, count - self.count))
    }
}
