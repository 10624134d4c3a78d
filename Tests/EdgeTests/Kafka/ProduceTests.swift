import KafkaProtocol
import NIOCore
import Testing
import WriteAheadLog

@testable import Edge

@Suite struct ProduceTests {
    static func only(_ response: ProduceResponse) throws -> ProduceResponse.Partition {
        try #require(response.topics.first?.partitions.first)
    }

    @Test("offsets are given in order and what is acknowledged can be read back", arguments: [Int16(3), 8, 9, 12])
    func roundTrip(version: Int16) async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            for (index, values) in [["a", "b"], ["c"]].enumerated() {
                let request = Sample.produce([("t", 1, Sample.batch(values))])
                let answer = try Self.only(try await client.ask(request, version: version))
                #expect(answer.errorCode == .none)
                #expect(answer.index == 1)
                #expect(answer.baseOffset == [0, 2][index])
                #expect(answer.logAppendTimeMs == -1)
            }
            let read = try await client.ask(Sample.fetch("t", partition: 1, offset: 0), version: 11)
            let part = try #require(read.topics.first?.partitions.first)
            #expect(try Sample.records(part.records).map(\.value) == ["a", "b", "c"])
            #expect(try Sample.records(part.records).map(\.offset) == [0, 1, 2])
            #expect(part.highWatermark == 3)
        }
    }

    @Test("version 13 names topics by id")
    func topicIDs() async throws {
        let gateway = try GatewayUnderTest()
        let known = try gateway.gateway.topics.findOrCreate("t")
        try await GatewayUnderTest.run(gateway) { client in
            var request = Sample.produce([("", 0, Sample.batch(["a"])), ("", 0, Sample.batch(["b"]))])
            request.topics[0].topicID = known.id
            request.topics[1].topicID = KafkaUUID(high: 1, low: 2)
            let answer = try await client.ask(request, version: 13)
            #expect(answer.topics.map { $0.partitions.first?.errorCode } == [ErrorCode.none, .unknownTopicId])
            #expect(answer.topics.map(\.topicID) == request.topics.map(\.topicID))
        }
    }

    @Test("one request over several lanes is answered once, for all of them")
    func lanes() async throws {
        let gateway = try GatewayUnderTest(routes: [("alarm*", "critical"), ("raw*", "bulk")])
        try await GatewayUnderTest.run(gateway) { client in
            let request = Sample.produce([
                ("alarm.1", 0, Sample.batch(["a"])), ("raw.1", 1, Sample.batch(["r"])),
                ("other", 0, Sample.batch(["o"])), ("bad name", 0, Sample.batch(["x"])),
            ])
            let answer = try await client.ask(request, version: 9)
            #expect(
                answer.topics.map { $0.partitions.first?.errorCode } == [
                    ErrorCode.none, ErrorCode.none, ErrorCode.none, .invalidTopicException,
                ])
            let durable = gateway.gateway.status().lanes.map(\.log.durableRecords)
            #expect(durable == [1, 1, 1])
        }
    }

    struct Refused: Sendable {
        let why: String
        let records: ByteBuffer?
        let code: ErrorCode
        var version: Int16 = 8
        var partition: Int32 = 0
        var acks: Int16 = -1
    }

    /// A batch with one byte or attribute changed and its checksum made right again where that is what is tested.
    static func changed(_ index: Int, to byte: UInt8) -> ByteBuffer {
        var batch = Sample.batch(["a"])
        batch.setInteger(byte, at: index)
        return batch
    }

    static func twoBatches() -> ByteBuffer {
        var two = Sample.batch(["a"])
        two.writeImmutableBuffer(Sample.batch(["b"]))
        return two
    }

    static func control() -> ByteBuffer {
        var builder = RecordBatchBuilder(isControl: true)
        builder.append(timestampMs: 1, value: nil)
        return builder.finish()
    }

    static func transactional() -> ByteBuffer {
        var builder = RecordBatchBuilder(producerID: 1, producerEpoch: 0, baseSequence: 0, isTransactional: true)
        builder.append(timestampMs: 1, value: nil)
        return builder.finish()
    }

    static func zstd() -> ByteBuffer {
        var builder = RecordBatchBuilder(compression: .zstd(level: 1))
        builder.append(timestampMs: 1, value: ByteBuffer(repeating: 7, count: 1000))
        return builder.finish()
    }

    @Test(
        "a batch that may not enter is refused with Kafka's code",
        arguments: [
            Refused(why: "no records", records: nil, code: .invalidRecord),
            Refused(why: "empty", records: ByteBuffer(), code: .invalidRecord),
            Refused(why: "two batches", records: twoBatches(), code: .invalidRecord),
            Refused(why: "magic 1", records: changed(16, to: 1), code: .invalidRecord),
            Refused(why: "wrong checksum", records: changed(65, to: 0x55), code: .corruptMessage),
            Refused(why: "cut", records: Sample.batch(["abc"]).getSlice(at: 0, length: 60), code: .invalidRecord),
            Refused(why: "base offset", records: changed(7, to: 1), code: .invalidRecord),
            Refused(why: "control", records: control(), code: .invalidRecord),
            Refused(why: "transactional", records: transactional(), code: .invalidTxnState),
            Refused(
                why: "producer without sequence", records: Sample.batch(["a"], producerID: 5), code: .invalidRecord),
            Refused(why: "zstd before 7", records: zstd(), code: .unsupportedCompressionType, version: 6),
            Refused(
                why: "too large", records: Sample.batch([String(repeating: "x", count: 1_048_588)]),
                code: .messageTooLarge),
            Refused(
                why: "no such partition", records: Sample.batch(["a"]), code: .unknownTopicOrPartition, partition: 2),
            Refused(why: "acks 2", records: Sample.batch(["a"]), code: .invalidRequiredAcks, acks: 2),
        ])
    func refusals(refused: Refused) async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            let request = Sample.produce([("t", refused.partition, refused.records)], acks: refused.acks)
            let answer = try Self.only(try await client.ask(request, version: refused.version))
            #expect(answer.errorCode == refused.code, "\(refused.why): \(answer.errorMessage ?? "")")
            #expect(answer.baseOffset == -1)
            #expect(gateway.gateway.status().lanes.allSatisfy { $0.log.acceptedRecords == 0 })
        }
    }

    @Test("acks=0 gets no answer and is stored; a refusal closes the connection")
    func withoutAcks() async throws {
        let gateway = try GatewayUnderTest()
        try await GatewayUnderTest.run(gateway) { client in
            try await client.send(Sample.produce([("t", 0, Sample.batch(["a"]))], acks: 0), version: 8)
            let second = try await client.ask(Sample.produce([("t", 0, Sample.batch(["b"]))]), version: 8)
            #expect(try Self.only(second).baseOffset == 1, "the first answer is that of the second request")
            try await client.send(Sample.produce([("t", 9, Sample.batch(["c"]))], acks: 0), version: 8)
            try await client.closed.get()
        }
    }

    @Test("a repeated batch of an idempotent producer is stored once and answered as the first time")
    func idempotence() async throws {
        let directory = try TemporaryDirectory()
        try await GatewayUnderTest.run(try GatewayUnderTest(directory)) { client in
            let id = try await client.ask(InitProducerIDRequest(), version: 4)
            #expect(id.errorCode == .none && id.producerEpoch == 0)
            func produce(_ sequence: Int32, epoch: Int16 = 1) async throws -> ProduceResponse.Partition {
                let batch = Sample.batch(["a", "b"], producerID: id.producerID, epoch: epoch, sequence: sequence)
                return try Self.only(try await client.ask(Sample.produce([("t", 0, batch)]), version: 8))
            }
            #expect(try await produce(0).baseOffset == 0)
            #expect(try await produce(2).baseOffset == 2)
            #expect(try await produce(0).baseOffset == 0)
            #expect(try await produce(9).errorCode == .outOfOrderSequenceNumber)
            #expect(try await produce(4, epoch: 0).errorCode == .invalidProducerEpoch)
            #expect(try await produce(4).baseOffset == 4)
        }
    }

    @Test("producer ids of two lives of a gateway never meet")
    func producerIDs() async throws {
        let directory = try TemporaryDirectory()
        var ids = Set<Int64>()
        for _ in 0..<2 {
            try await GatewayUnderTest.run(try GatewayUnderTest(directory)) { client in
                for _ in 0..<3 {
                    let answer = try await client.ask(InitProducerIDRequest(), version: 1)
                    #expect(ids.insert(answer.producerID).inserted)
                }
            }
        }
        #expect(ids.count == 6)
    }

    @Test("transactions are refused for good, at every door")
    func transactions() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            var initialise = InitProducerIDRequest()
            initialise.transactionalID = "x"
            #expect(
                try await client.ask(initialise, version: 4).errorCode == .transactionalIdAuthorizationFailed)
            var find = FindCoordinatorRequest()
            find.keyType = 1
            find.coordinatorKeys = ["x"]
            let found = try await client.ask(find, version: 4)
            #expect(found.coordinators.map(\.errorCode) == [.transactionalIdAuthorizationFailed])
            find.key = "x"
            #expect(try await client.ask(find, version: 2).errorCode == .transactionalIdAuthorizationFailed)
            var produce = Sample.produce([("t", 0, Sample.batch(["a"]))])
            produce.transactionalID = "x"
            #expect(
                try Self.only(try await client.ask(produce, version: 8)).errorCode
                    == .transactionalIdAuthorizationFailed)
        }
    }

    @Test("a full lane answers a retriable error with a throttle, and other lanes go on")
    func fullLane() async throws {
        var lanes = GatewayUnderTest.lanes
        lanes[2].quotaBytes = 2 << 20
        let gateway = try GatewayUnderTest(lanes: lanes, routes: [("raw", "bulk")])
        try await GatewayUnderTest.run(gateway) { client in
            let batch = Sample.batch([String(repeating: "x", count: 200_000)])
            var last = ProduceResponse()
            for _ in 0..<30 where last.throttleTimeMs == 0 {
                last = try await client.ask(Sample.produce([("raw", 0, batch)]), version: 8)
            }
            let refused = try Self.only(last)
            #expect(refused.errorCode == .notEnoughReplicas)
            #expect(refused.errorMessage?.contains("await upload") == true)
            #expect(last.throttleTimeMs == 500)
            let other = try await client.ask(Sample.produce([("other", 0, batch)]), version: 8)
            #expect(try Self.only(other).errorCode == .none)
        }
    }

    @Test("acknowledged records are there after a restart, and offsets go on")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        try await GatewayUnderTest.run(try GatewayUnderTest(directory, routes: [("t", "critical")])) { client in
            _ = try await client.ask(Sample.produce([("t", 1, Sample.batch(["a", "b"]))]), version: 8)
        }
        // The route is gone; the topic stays where its records are.
        let second = try GatewayUnderTest(directory)
        #expect(second.gateway.topics.topic(named: "t")?.lane == 0)
        try await GatewayUnderTest.run(second) { client in
            let answer = try await client.ask(Sample.produce([("t", 1, Sample.batch(["c"]))]), version: 8)
            #expect(try Self.only(answer).baseOffset == 2)
            let read = try await client.ask(Sample.fetch("t", partition: 1, offset: 0), version: 11)
            let records = try Sample.records(read.topics.first?.partitions.first?.records)
            #expect(records.map(\.value) == ["a", "b", "c"])
        }
    }

    @Test("many produces in flight on one connection are answered in order with dense offsets")
    func pipelined() async throws {
        try await GatewayUnderTest.run(try GatewayUnderTest()) { client in
            for index in 0..<200 {
                try await client.send(Sample.produce([("t", 0, Sample.batch(["\(index)"]))]), version: 8)
            }
            for index in 0..<200 {
                let answer = try await client.receive(ProduceRequest.self, version: 8)
                #expect(try Self.only(answer).baseOffset == Int64(index))
            }
        }
    }
}
