import KafkaProtocol
import Ledger
import NIOCore
import Testing

@testable import Cloud

/// Transactional producers through the service, request by request. What the ledger decides has its own tests.
@Suite("Transactions on the wire", .timeLimit(.minutes(1)))
struct TransactionWireTests {
    private struct Producer {
        var id: Int64
        var epoch: Int16
        var sequence: Int32 = 0
    }

    private static func initialise(
        _ world: BrokerWorld, _ id: String? = "tx", timeoutMs: Int32 = 60_000, version: Int16 = 5,
        knowing producer: Producer? = nil
    ) async throws -> InitProducerIDResponse {
        var request = InitProducerIDRequest()
        request.transactionalID = id
        request.transactionTimeoutMs = timeoutMs
        request.producerID = producer?.id ?? -1
        request.producerEpoch = producer?.epoch ?? -1
        return try await world.ask(request, version: version)
    }

    private static func begin(_ world: BrokerWorld) async throws -> Producer {
        let answer = try await initialise(world)
        #expect(answer.errorCode == .none)
        return Producer(id: answer.producerID, epoch: answer.producerEpoch)
    }

    private static func add(
        _ world: BrokerWorld, _ producer: Producer, _ partitions: [Int32], version: Int16 = 3
    ) async throws -> [ErrorCode] {
        var request = AddPartitionsToTxnRequest()
        request.transactionalID = "tx"
        request.producerID = producer.id
        request.producerEpoch = producer.epoch
        request.topics = [.init(name: "t", partitions: partitions)]
        return try await world.ask(request, version: version).topics.first?.partitions.map(\.errorCode) ?? []
    }

    private static func produce(
        _ world: BrokerWorld, _ producer: inout Producer, _ values: [String], partition: Int32 = 0,
        version: Int16 = 10, id: String? = "tx"
    ) async throws -> ErrorCode {
        let batch = Batches.make(
            values, producer: (producer.id, producer.sequence), epoch: producer.epoch, isTransactional: true)
        var request = world.produceRequest([(partition, batch)])
        request.transactionalID = id
        let code = try await world.ask(request, version: version).topics.first?.partitions.first?.errorCode
        if code == ErrorCode.none { producer.sequence += Int32(values.count) }
        return code ?? .unknownServerError
    }

    private static func end(
        _ world: BrokerWorld, _ producer: Producer, commits: Bool, version: Int16 = 4
    ) async throws -> EndTxnResponse {
        var request = EndTxnRequest()
        request.transactionalID = "tx"
        request.producerID = producer.id
        request.producerEpoch = producer.epoch
        request.isCommit = commits
        return try await world.ask(request, version: version)
    }

    private static func readCommitted(
        _ world: BrokerWorld, from offset: Int64 = 0, partition: Int32 = 0
    ) async throws -> FetchResponse.Partition {
        var request = world.fetchRequest([(partition, offset)])
        request.isolationLevel = 1
        let answer = try await world.ask(request, version: 12)
        return try #require(answer.topics.first?.partitions.first)
    }

    @Test("T8: committed records show at the commit, aborted ones are named; read_uncommitted sees all and names none")
    func commitAndAbort() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t", partitions: 2)
            var producer = try await Self.begin(world)
            #expect(try await Self.add(world, producer, [0, 1]) == [.none, .none])
            #expect(try await Self.produce(world, &producer, ["a", "b"]) == .none)
            var open = try await Self.readCommitted(world)
            #expect(open.records?.readableBytes == 0)
            #expect(open.lastStableOffset == 0 && open.highWatermark == 2)
            #expect(try await Self.end(world, producer, commits: true).errorCode == .none)
            open = try await Self.readCommitted(world)
            #expect(open.lastStableOffset == 3 && open.abortedTransactions == [])
            let seen = try #require(open.records)
            #expect(try RecordBatch.validate(seen).map(\.isControl) == [false, true])

            #expect(try await Self.add(world, producer, [0]) == [.none])
            #expect(try await Self.produce(world, &producer, ["c"]) == .none)
            #expect(try await Self.end(world, producer, commits: false).errorCode == .none)
            let aborted = try await Self.readCommitted(world, from: 3)
            #expect(aborted.abortedTransactions == [.init(producerID: producer.id, firstOffset: 3)])
            #expect(try await world.fetch(3).abortedTransactions == nil)
            // The partition that was added and not written has its marker, and no aborted range.
            let other = try await Self.readCommitted(world, partition: 1)
            #expect(other.highWatermark == 1 && other.abortedTransactions == [])
        }
    }

    @Test("T7: a marker is a control batch of one record that takes one offset, and reads the same as Kafka's")
    func marker() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            _ = try await Self.add(world, producer, [0])
            _ = try await Self.produce(world, &producer, ["a"])
            _ = try await Self.end(world, producer, commits: false)
            let records = try #require(try await world.fetch(1).records)
            let header = try RecordBatch.validateOne(records)
            #expect(header.isControl && header.isTransactional && header.recordCount == 1)
            #expect(header.baseOffset == 1 && header.producerID == producer.id && header.baseSequence == -1)
            #expect(
                try EndTransactionMarker(reading: records) == EndTransactionMarker(isCommit: false, coordinatorEpoch: 0)
            )
            #expect(records.readableBytes == TransactionMarker.batchBytes)
        }
    }

    @Test(
        "T1: an empty id, half an identity and a timeout out of range are refused; a second producer fences the first")
    func initialising() async throws {
        try await BrokerWorld.run { world in
            #expect(try await Self.initialise(world, "").errorCode == .invalidRequest)
            #expect(try await Self.initialise(world, timeoutMs: 0).errorCode == .invalidTransactionTimeout)
            #expect(try await Self.initialise(world, timeoutMs: 900_001).errorCode == .invalidTransactionTimeout)
            let first = try await Self.initialise(world)
            let second = try await Self.initialise(world)
            #expect(second.producerID == first.producerID && second.producerEpoch == first.producerEpoch + 1)
            let old = Producer(id: first.producerID, epoch: first.producerEpoch)
            #expect(try await Self.initialise(world, knowing: old).errorCode == .producerFenced)
            #expect(try await Self.initialise(world, version: 3, knowing: old).errorCode == .invalidProducerEpoch)
            try await world.createTopic("t")
            #expect(try await Self.add(world, old, [0]) == [.producerFenced])
            #expect(try await Self.add(world, old, [0], version: 1) == [.invalidProducerEpoch])
            #expect(try await Self.end(world, old, commits: true).errorCode == .producerFenced)
            #expect(try await Self.end(world, old, commits: true, version: 1).errorCode == .invalidProducerEpoch)
        }
    }

    @Test("T2: one bad partition keeps all others out, with a code of their own")
    func badPartition() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let producer = try await Self.begin(world)
            #expect(
                try await Self.add(world, producer, [0, 9]) == [.operationNotAttempted, .unknownTopicOrPartition])
            #expect(try await Self.end(world, producer, commits: true).errorCode == .invalidTxnState)
            var stranger = producer
            stranger.id += 7
            #expect(try await Self.add(world, stranger, [0]) == [.invalidProducerIdMapping])
        }
    }

    @Test(
        "T5: a partition that is not in the transaction: 48 to old clients, 120 to newer, added for those of the second protocol"
    )
    func notAdded() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            #expect(try await Self.produce(world, &producer, ["a"], version: 10) == .invalidTxnState)
            #expect(try await Self.produce(world, &producer, ["a"], version: 11) == .transactionAbortable)
            #expect(try await Self.produce(world, &producer, ["a"], version: 12) == .none)
            let ended = try await Self.end(world, producer, commits: true, version: 5)
            #expect(ended.errorCode == .none && ended.producerEpoch == producer.epoch + 1)
            #expect(try await Self.readCommitted(world).lastStableOffset == 2)
        }
    }

    @Test("T4: the second protocol raises the epoch at each end, knows the request again, and begins sequences anew")
    func secondProtocol() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            _ = try await Self.produce(world, &producer, ["a"], version: 12)
            let first = try await Self.end(world, producer, commits: true, version: 5)
            let again = try await Self.end(world, producer, commits: true, version: 5)
            #expect(again == first)
            #expect(try await Self.end(world, producer, commits: false, version: 5).errorCode == .invalidTxnState)
            var next = Producer(id: first.producerID, epoch: first.producerEpoch, sequence: 1)
            #expect(try await Self.produce(world, &next, ["b"], version: 12) == .outOfOrderSequenceNumber)
            next.sequence = 0
            #expect(try await Self.produce(world, &next, ["b"], version: 12) == .none)
            #expect(try await Self.produce(world, &producer, ["late"], version: 12) == .invalidProducerEpoch)
            #expect(try await Self.end(world, next, commits: false, version: 5).errorCode == .none)
        }
    }

    @Test(
        "T6: without a transactional id the whole request is refused; plain batches of a producer in a transaction as well"
    )
    func mixing() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            _ = try await Self.add(world, producer, [0])
            #expect(
                try await Self.produce(world, &producer, ["a"], id: nil) == .transactionalIdAuthorizationFailed)
            #expect(try await Self.produce(world, &producer, ["a"]) == .none)
            let plain = Batches.make(["b"], producer: (producer.id, 1), epoch: producer.epoch)
            #expect(try await world.produce(plain).errorCode == .invalidTxnState)
        }
    }

    @Test("T9: a transaction that outlives its timeout is aborted and its producer fenced")
    func timeout() async throws {
        let configuration = BrokerWorld.settings { $0.transactions.timeoutsInterval = .milliseconds(5) }
        try await BrokerWorld.run(configuration) { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            _ = try await Self.add(world, producer, [0])
            _ = try await Self.produce(world, &producer, ["a"])
            world.wall.pass(60_001)
            try await until { world.ledger.view.partition(topic: "t", 0)?.lastStableOffset == 2 }
            #expect(try await Self.produce(world, &producer, ["b"]) == .invalidProducerEpoch)
            #expect(try await Self.end(world, producer, commits: true).errorCode == .producerFenced)
        }
    }

    @Test("T10: offsets of an open transaction wait for its end, and stable readers for them")
    func offsets() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            let producer = try await Self.begin(world)
            var group = AddOffsetsToTxnRequest()
            group.transactionalID = "tx"
            group.producerID = producer.id
            group.producerEpoch = producer.epoch
            group.groupID = "g"
            var commit = TxnOffsetCommitRequest()
            commit.transactionalID = "tx"
            commit.groupID = "g"
            commit.producerID = producer.id
            commit.producerEpoch = producer.epoch
            var topic = TxnOffsetCommitRequest.Topic()
            topic.name = "t"
            var partition = TxnOffsetCommitRequest.Partition()
            partition.committedOffset = 5
            topic.partitions = [partition]
            commit.topics = [topic]
            func codes(_ version: Int16) async throws -> [ErrorCode]? {
                try await world.ask(commit, version: version).topics.first?.partitions.map(\.errorCode)
            }
            #expect(try await codes(2) == [.invalidTxnState])
            #expect(try await world.ask(group, version: 0).errorCode == .none)
            #expect(try await codes(0) == [.none])
            commit.memberID = "nobody"
            commit.generationID = 3
            #expect(try await codes(3) == [.illegalGeneration])
            func fetched(_ stable: Bool) async throws -> OffsetFetchResponse.Partition? {
                var request = OffsetFetchRequest()
                request.groupID = "g"
                request.requiresStable = stable
                var wanted = OffsetFetchRequest.Topic()
                wanted.name = "t"
                wanted.partitionIndexes = [0]
                request.topics = [wanted]
                return try await world.ask(request, version: 7).topics.first?.partitions.first
            }
            #expect(try await fetched(true)?.errorCode == .unstableOffsetCommit)
            #expect(try await fetched(false)?.committedOffset == -1)
            #expect(try await Self.end(world, producer, commits: true).errorCode == .none)
            #expect(try await fetched(true)?.committedOffset == 5)
        }
    }

    @Test("administrators see transactions and producers, and end a hanging one in a partition")
    func administration() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            var producer = try await Self.begin(world)
            _ = try await Self.add(world, producer, [0])
            _ = try await Self.produce(world, &producer, ["a"])
            var describe = DescribeTransactionsRequest()
            describe.transactionalIDs = ["tx", "none"]
            let shown = try await world.ask(describe).transactions
            #expect(shown.map(\.errorCode) == [.none, .transactionalIdNotFound])
            #expect(shown.first?.state == "Ongoing" && shown.first?.topics == [.init(name: "t", partitions: [0])])
            var list = ListTransactionsRequest()
            list.stateFilters = ["Ongoing", "Odd"]
            list.transactionalIDPattern = "t."
            var listed = try await world.ask(list)
            #expect(listed.transactions.map(\.transactionalID) == ["tx"] && listed.unknownStateFilters == ["Odd"])
            list.transactionalIDPattern = "t"
            #expect(try await world.ask(list).transactions.isEmpty)
            list.transactionalIDPattern = "("
            listed = try await world.ask(list)
            #expect(listed.errorCode == .invalidRegularExpression)
            var producers = DescribeProducersRequest()
            var topic = DescribeProducersRequest.Topic()
            topic.name = "t"
            topic.partitionIndexes = [0, 4]
            producers.topics = [topic]
            let known = try await world.ask(producers).topics.first?.partitions
            #expect(known?.map(\.errorCode) == [.none, .unknownTopicOrPartition])
            #expect(known?.first?.activeProducers.first?.currentTransactionStartOffset == 0)
            var markers = WriteTxnMarkersRequest()
            var marker = WriteTxnMarkersRequest.Marker()
            marker.producerID = producer.id
            marker.producerEpoch = producer.epoch
            var place = WriteTxnMarkersRequest.Topic()
            place.name = "t"
            place.partitionIndexes = [0]
            marker.topics = [place]
            markers.markers = [marker]
            #expect(try await world.ask(markers).markers.first?.topics.first?.partitions.map(\.errorCode) == [.none])
            #expect(world.ledger.view.partition(topic: "t", 0)?.lastStableOffset == 2)
        }
    }

    @Test("L1: the latest offset of a read_committed reader is the last stable one")
    func latest() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["plain"]))
            var producer = try await Self.begin(world)
            _ = try await Self.add(world, producer, [0])
            _ = try await Self.produce(world, &producer, ["a"])
            for (level, offset) in [(Int8(0), Int64(2)), (1, 1)] {
                var request = ListOffsetsRequest()
                request.isolationLevel = level
                var topic = ListOffsetsRequest.Topic()
                topic.name = "t"
                var partition = ListOffsetsRequest.Partition()
                partition.timestampMs = ListOffsetsRequest.latestTimestamp
                topic.partitions = [partition]
                request.topics = [topic]
                #expect(try await world.ask(request, version: 7).topics.first?.partitions.first?.offset == offset)
            }
        }
    }

    @Test("L5: DeleteRecords moves the log start; beyond the high watermark it is out of range")
    func deleteRecords() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            try await world.produce(Batches.make(["a", "b", "c"]))
            var request = DeleteRecordsRequest()
            func ask(_ offset: Int64) async throws -> DeleteRecordsResponse.Partition? {
                var topic = DeleteRecordsRequest.Topic()
                topic.name = "t"
                topic.partitions = [.init(index: 0, offset: offset)]
                request.topics = [topic]
                return try await world.ask(request).topics.first?.partitions.first
            }
            #expect(try await ask(9)?.errorCode == .offsetOutOfRange)
            #expect(try await ask(2)?.lowWatermark == 2)
            #expect(try await world.fetch(1).errorCode == .offsetOutOfRange)
            #expect(try await world.readAll(from: 2).map(\.value) == ["c"])
            #expect(try await ask(-1)?.lowWatermark == 3)
        }
    }
}
