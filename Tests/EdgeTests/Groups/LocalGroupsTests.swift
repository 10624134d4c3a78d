import Foundation
import GroupCoordination
import KafkaListener
import KafkaProtocol
import NIOConcurrencyHelpers
import NIOCore
import Testing
import WriteAheadLog

@testable import Edge

@Suite("Consumer groups on a gateway", .timeLimit(.minutes(2)))
struct LocalGroupsTests {
    private static func gateway(
        _ directory: TemporaryDirectory? = nil, lanes: [LaneSettings] = GatewayUnderTest.lanes
    ) throws -> GatewayUnderTest {
        try GatewayUnderTest(directory, lanes: lanes) {
            $0.kafka.groups.initialRebalanceDelay = .milliseconds(20)
        }
    }

    private static func join(_ client: TestClient, member: String = "") async throws -> JoinGroupResponse {
        var request = JoinGroupRequest()
        request.groupID = "g"
        request.sessionTimeoutMs = 10_000
        request.rebalanceTimeoutMs = 10_000
        request.memberID = member
        request.protocolType = "consumer"
        request.protocols = [.init(name: "range", metadata: ByteBuffer(string: "topics"))]
        return try await client.ask(request, version: 9)
    }

    private static func member(_ client: TestClient) async throws -> JoinGroupResponse {
        let first = try await join(client)
        #expect(first.errorCode == .memberIdRequired)
        let member = try await join(client, member: first.memberID)
        var sync = SyncGroupRequest()
        sync.groupID = "g"
        sync.memberID = member.memberID
        sync.generationID = member.generationID
        sync.assignments = [.init(memberID: member.memberID, assignment: ByteBuffer(string: "all"))]
        #expect(try await client.ask(sync, version: 3).assignment == ByteBuffer(string: "all"))
        return member
    }

    static func commit(
        _ client: TestClient, _ offset: Int64, group: String = "g", partition: Int32 = 0, topic: String = "t",
        by member: JoinGroupResponse? = nil
    ) async throws -> ErrorCode? {
        var request = OffsetCommitRequest()
        request.groupID = group
        request.memberID = member?.memberID ?? ""
        request.generationIDOrMemberEpoch = member?.generationID ?? -1
        var one = OffsetCommitRequest.Topic()
        one.name = topic
        var place = OffsetCommitRequest.Partition()
        place.index = partition
        place.committedOffset = offset
        one.partitions = [place]
        request.topics = [one]
        return try await client.ask(request, version: 8).topics.first?.partitions.first?.errorCode
    }

    static func committed(_ client: TestClient, group: String = "g", version: Int16 = 7) async throws -> (
        offset: Int64?, error: ErrorCode
    ) {
        var request = OffsetFetchRequest()
        request.groupID = group
        var topic = OffsetFetchRequest.Topic()
        topic.name = "t"
        topic.partitionIndexes = [0]
        request.topics = [topic]
        let answer = try await client.ask(request, version: version)
        let partition = answer.topics.first?.partitions.first
        return (partition?.committedOffset, version < 2 ? partition?.errorCode ?? .none : answer.errorCode)
    }

    @Test("a member joins, commits, and finds its offset after a restart; its membership is gone")
    func restart() async throws {
        let directory = try TemporaryDirectory()
        try await GatewayUnderTest.run(try Self.gateway(directory)) { client in
            try await FetchTests.fill(client, batches: 5)
            #expect(try await Self.committed(client).offset == -1)
            let member = try await Self.member(client)
            #expect(try await Self.commit(client, 3, by: member) == ErrorCode.none)
            #expect(try await Self.commit(client, 3, partition: 2, by: member) == .unknownTopicOrPartition)
            #expect(try await Self.commit(client, 4) == .unknownMemberId)
            #expect(try await Self.committed(client).offset == 3)
        }
        let second = try Self.gateway(directory)
        #expect(second.gateway.status().groups.groups == 1)
        try await GatewayUnderTest.run(second) { client in
            #expect(try await Self.committed(client).offset == 3)
            #expect(try await Self.join(client, member: "old").errorCode == .unknownMemberId)
            let member = try await Self.member(client)
            #expect(try await Self.commit(client, 5, by: member) == ErrorCode.none)
            #expect(second.gateway.status().groups.members == 1)
        }
    }

    @Test("groups are found, listed, described, deleted; their coordinator is the address the client knows")
    func administration() async throws {
        let gateway = try Self.gateway()
        try await GatewayUnderTest.run(gateway) { client in
            try await FetchTests.fill(client, batches: 2)
            for version in FindCoordinatorRequest.versions {
                var find = FindCoordinatorRequest()
                find.key = "g"
                find.coordinatorKeys = ["g"]
                let answer = try await client.ask(find, version: version)
                let found = version >= 4 ? answer.coordinators.first?.port : answer.port
                #expect(found == gateway.gateway.kafkaAddress?.port.map { Int32($0) })
            }
            #expect(try await Self.commit(client, 1) == ErrorCode.none)
            #expect(try await Self.commit(client, 2, group: "h") == ErrorCode.none)
            let list = try await client.ask(ListGroupsRequest(), version: 4)
            #expect(list.groups.map { "\($0.groupID) \($0.groupState)" } == ["g Empty", "h Empty"])
            var describe = DescribeGroupsRequest()
            describe.groups = ["g", "none"]
            let described = try await client.ask(describe, version: 5)
            #expect(described.groups.map(\.groupState) == ["Empty", "Dead"])
            var deletion = OffsetDeleteRequest()
            deletion.groupID = "h"
            var topic = OffsetDeleteRequest.Topic()
            topic.name = "t"
            topic.partitionIndexes = [0]
            deletion.topics = [topic]
            #expect(
                try await client.ask(deletion, version: 0).topics.first?.partitions.first?.errorCode == ErrorCode.none)
            #expect(try await Self.committed(client, group: "h").offset == -1)
            var delete = DeleteGroupsRequest()
            delete.groupIDs = ["g", "h"]
            #expect(try await client.ask(delete, version: 2).results.map(\.errorCode) == [.none, .groupIdNotFound])
            #expect(try await Self.committed(client).offset == -1)
            #expect(gateway.gateway.status().groups.groups == 0)
        }
    }

    @Test(
        "what the local log no longer has is OFFSET_OUT_OF_RANGE as soon as its segments are freed, with the new start")
    func retention() async throws {
        var lanes = GatewayUnderTest.lanes
        for index in lanes.indices { lanes[index].retentionBytes = 0 }
        let gateway = try Self.gateway(lanes: lanes)
        try await GatewayUnderTest.run(gateway) { client in
            for _ in 0..<8 { try await FetchTests.fill(client, batches: 1, bytes: 400_000) }
            #expect(try await Self.commit(client, 1) == ErrorCode.none)
            let log = try #require(gateway.gateway.lanes.first { $0.settings.name == "standard" }).log
            let last = log.durableLSN
            try await log.recordPlan(UploadPlan(sequence: 1, firstLSN: 1, lastLSN: last))
            try await log.recordUploaded(sequence: 1, lastLSN: last)
            let old = try FetchTests.only(try await client.ask(Sample.fetch("t", offset: 1), version: 11))
            #expect(old.errorCode == .offsetOutOfRange)
            #expect(old.logStartOffset > 1)
            var list = ListOffsetsRequest()
            var topic = ListOffsetsRequest.Topic()
            topic.name = "t"
            var partition = ListOffsetsRequest.Partition()
            partition.timestampMs = ListOffsetsRequest.earliestTimestamp
            topic.partitions = [partition]
            list.topics = [topic]
            let start = try await client.ask(list, version: 5).topics.first?.partitions.first?.offset
            #expect(start == old.logStartOffset)
            let first = try FetchTests.only(try await client.ask(Sample.fetch("t", offset: start ?? 0), version: 11))
            #expect(try Sample.records(first.records).first?.offset == start)
        }
    }

    @Test("a log that lost its records takes the offsets beyond its end back with it, and says so")
    func clamped() async throws {
        let directory = try TemporaryDirectory()
        try await GatewayUnderTest.run(try Self.gateway(directory)) { client in
            try await FetchTests.fill(client, batches: 5)
            #expect(try await Self.commit(client, 5) == ErrorCode.none)
        }
        try FileManager.default.removeItem(atPath: directory.path + "/lanes")
        let gateway = try Self.gateway(directory)
        try await GatewayUnderTest.run(gateway) { client in
            #expect(gateway.gateway.status().groups.damage?.contains("beyond the end of the log") == true)
            try await FetchTests.fill(client, batches: 7)
            #expect(try await Self.committed(client).offset == 0)
        }
    }

    @Test("a file that cannot be opened costs a retriable error, not an answer of no offset, and heals")
    func unreadable() async throws {
        let directory = try TemporaryDirectory()
        try await GatewayUnderTest.run(try Self.gateway(directory)) { client in
            try await FetchTests.fill(client, batches: 5)
            #expect(try await Self.commit(client, 4) == ErrorCode.none)
        }
        let (file, aside) = (directory.path + "/groups.sqlite", directory.path + "/kept")
        try FileManager.default.moveItem(atPath: file, toPath: aside)
        try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        let gateway = try Self.gateway(directory)
        try await GatewayUnderTest.run(gateway) { client in
            #expect(gateway.gateway.status().groups.diskProblem != nil)
            for version: Int16 in [1, 7] {
                #expect(try await Self.committed(client, version: version).error == .coordinatorLoadInProgress)
            }
            #expect(try await Self.commit(client, 5) == .coordinatorLoadInProgress)
            #expect(try await client.ask(ListGroupsRequest(), version: 4).errorCode == .coordinatorLoadInProgress)
            try FileManager.default.removeItem(atPath: file)
            try FileManager.default.moveItem(atPath: aside, toPath: file)
            gateway.clock.reading.withLockedValue { $0.monotonicNs += 2_000_000_000 }
            var error = ErrorCode.coordinatorLoadInProgress
            while error == .coordinatorLoadInProgress { error = try await Self.committed(client).error }
            #expect(try await Self.committed(client).offset == 4)
            #expect(gateway.gateway.status().groups.diskProblem == nil)
        }
    }

    @Test("commits from many connections at once share transactions, and each is answered with its own result")
    func together() async throws {
        let gateway = try Self.gateway()
        try await GatewayUnderTest.run(gateway) { client in
            try await FetchTests.fill(client, batches: 1)
            try await withThrowingTaskGroup(of: Void.self) { tasks in
                for number in 0..<8 {
                    tasks.addTask {
                        let client = try await gateway.connect()
                        for offset in Int64(0)..<25 {
                            #expect(try await Self.commit(client, offset, group: "g\(number)") == ErrorCode.none)
                            #expect(try await Self.committed(client, group: "g\(number)").offset == offset)
                        }
                        await client.close()
                    }
                }
                try await tasks.waitForAll()
            }
            let status = gateway.gateway.status().groups
            #expect(status.groups == 8 && status.offsets == 8)
            #expect(status.transactions <= 200)
        }
    }

    @Test("a parked join does not hold up the end of the gateway")
    func shutdown() async throws {
        let gateway = try GatewayUnderTest { $0.kafka.groups.initialRebalanceDelay = .hours(1) }
        let client = try await gateway.start()
        let member = try await Self.join(client).memberID
        async let parked = Self.join(client, member: member)
        while gateway.gateway.status().groups.members == 0 { try await Task.sleep(for: .milliseconds(2)) }
        await gateway.gateway.shutdown()
        #expect(try await parked.errorCode == .notCoordinator)
    }
}
