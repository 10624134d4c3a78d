import GroupCoordination
import KafkaProtocol
import Ledger
import NIOCore
import ObjectStore
import Testing

@testable import Cloud

@Suite("Groups on the wire", .timeLimit(.minutes(1)))
struct GroupWireTests {
    private static func join(
        _ world: BrokerWorld, member: String = "", version: Int16 = 9, instance: String? = nil
    ) async throws -> JoinGroupResponse {
        var request = JoinGroupRequest()
        request.groupID = "g"
        request.sessionTimeoutMs = 10_000
        request.rebalanceTimeoutMs = 10_000
        request.memberID = member
        request.groupInstanceID = instance
        request.protocolType = "consumer"
        request.protocols = [.init(name: "range", metadata: ByteBuffer(string: "topics"))]
        return try await world.ask(request, version: version)
    }

    private static func sync(
        _ world: BrokerWorld, member: String, generation: Int32, version: Int16 = 5
    ) async throws -> SyncGroupResponse {
        var request = SyncGroupRequest()
        request.groupID = "g"
        request.memberID = member
        request.generationID = generation
        request.protocolType = "consumer"
        request.protocolName = "range"
        request.assignments = [.init(memberID: member, assignment: ByteBuffer(string: "all"))]
        return try await world.ask(request, version: version)
    }

    private static func commit(
        _ world: BrokerWorld, member: String, generation: Int32, offset: Int64, topic: String = "t",
        metadata: String = "m", version: Int16 = 9
    ) async throws -> ErrorCode? {
        var request = OffsetCommitRequest()
        request.groupID = "g"
        request.memberID = member
        request.generationIDOrMemberEpoch = generation
        var one = OffsetCommitRequest.Topic()
        one.name = topic
        one.topicID = world.ledger.view.topic(named: topic)?.id ?? .zero
        var partition = OffsetCommitRequest.Partition()
        partition.committedOffset = offset
        partition.metadata = metadata
        one.partitions = [partition]
        request.topics = [one]
        return try await world.ask(request, version: version).topics.first?.partitions.first?.errorCode
    }

    private static func committed(
        _ world: BrokerWorld, version: Int16, all: Bool = false
    ) async throws -> OffsetFetchResponse.Partition? {
        var request = OffsetFetchRequest()
        var topic = OffsetFetchRequest.Topic()
        topic.name = "t"
        topic.topicID = world.ledger.view.topic(named: "t")?.id ?? .zero
        topic.partitionIndexes = [0]
        request.groupID = "g"
        request.topics = all ? nil : [topic]
        var group = OffsetFetchRequest.Group()
        group.groupID = "g"
        group.topics = request.topics
        request.groups = [group]
        let answer = try await world.ask(request, version: version)
        return (version >= 8 ? answer.groups.first?.topics : answer.topics)?.first?.partitions.first
    }

    private static func member(_ world: BrokerWorld, version: Int16 = 9) async throws -> JoinGroupResponse {
        let first = try await join(world, version: version)
        if version < 4 { return first }
        #expect(first.errorCode == .memberIdRequired)
        return try await join(world, member: first.memberID, version: version)
    }

    @Test("join, sync, heartbeat, leave at every version", arguments: JoinGroupRequest.versions)
    func everyVersion(version: Int16) async throws {
        try await BrokerWorld.run { world in
            let member = try await Self.member(world, version: version)
            #expect(member.errorCode == ErrorCode.none)
            #expect(member.leader == member.memberID)
            #expect(member.memberID.hasPrefix("test-"))
            #expect(member.members.map(\.memberID) == [member.memberID])
            #expect(member.protocolName == "range")
            let sync = try await Self.sync(
                world, member: member.memberID, generation: member.generationID, version: min(version, 5))
            #expect(sync.assignment == ByteBuffer(string: "all"))
            var heartbeat = HeartbeatRequest()
            heartbeat.groupID = "g"
            heartbeat.memberID = member.memberID
            heartbeat.generationID = member.generationID
            #expect(try await world.ask(heartbeat, version: min(version, 4)).errorCode == ErrorCode.none)
            var leave = LeaveGroupRequest()
            leave.groupID = "g"
            leave.memberID = member.memberID
            var leaving = LeaveGroupRequest.Member()
            leaving.memberID = member.memberID
            leave.members = [leaving]
            let left = try await world.ask(leave, version: min(version, 5))
            #expect(left.errorCode == ErrorCode.none)
            #expect(left.members.allSatisfy { $0.errorCode == .none })
            #expect(try await world.ask(heartbeat, version: min(version, 4)).errorCode == .unknownMemberId)
        }
    }

    @Test("offsets are committed by members, read at every version, and survive a restart; membership does not")
    func offsets() async throws {
        let memory = MemoryStore()
        let log = MemoryFencedLog()
        try await BrokerWorld.run(memory: memory, log: log) { world in
            try await world.createTopic("t")
            #expect(try await Self.committed(world, version: 9)?.committedOffset == -1)
            let member = try await Self.member(world)
            _ = try await Self.sync(world, member: member.memberID, generation: 1)
            #expect(try await Self.commit(world, member: member.memberID, generation: 1, offset: 41) == ErrorCode.none)
            #expect(
                try await Self.commit(world, member: member.memberID, generation: 1, offset: 42, version: 10)
                    == ErrorCode.none)
            #expect(
                try await Self.commit(world, member: member.memberID, generation: 2, offset: 9) == .illegalGeneration)
            #expect(try await Self.commit(world, member: "x", generation: 1, offset: 9) == .unknownMemberId)
            let unknown = try await Self.commit(
                world, member: member.memberID, generation: 1, offset: 9, topic: "none")
            #expect(unknown == .unknownTopicOrPartition)
            let long = try await Self.commit(
                world, member: member.memberID, generation: 1, offset: 9, metadata: String(repeating: "m", count: 4_097)
            )
            #expect(long == .offsetMetadataTooLarge)
            for version in OffsetFetchRequest.versions {
                let found = try await Self.committed(world, version: version, all: version >= 2 && version % 2 == 0)
                #expect(found?.committedOffset == 42)
                #expect(found?.metadata == "m")
            }
        }
        try await BrokerWorld.run(memory: memory, log: log) { world in
            #expect(try await Self.committed(world, version: 9)?.committedOffset == 42)
            #expect(try await Self.commit(world, member: "old", generation: 1, offset: 9) == .unknownMemberId)
            #expect(try await Self.join(world, member: "old").errorCode == .unknownMemberId)
            let member = try await Self.member(world)
            _ = try await Self.sync(world, member: member.memberID, generation: member.generationID)
            let code = try await Self.commit(
                world, member: member.memberID, generation: member.generationID, offset: 43)
            #expect(code == ErrorCode.none)
        }
    }

    @Test("groups are described, listed by state and deleted when empty")
    func administration() async throws {
        try await BrokerWorld.run { world in
            try await world.createTopic("t")
            func describe(_ name: String, version: Int16 = 6) async throws -> DescribeGroupsResponse.Group? {
                var request = DescribeGroupsRequest()
                request.groups = [name]
                return try await world.ask(request, version: version).groups.first
            }
            func list(_ states: [String] = []) async throws -> [String] {
                var request = ListGroupsRequest()
                request.statesFilter = states
                return try await world.ask(request).groups.map { "\($0.groupID) \($0.groupState) \($0.groupType)" }
            }
            func delete(_ name: String) async throws -> ErrorCode? {
                var request = DeleteGroupsRequest()
                request.groupIDs = [name]
                return try await world.ask(request).results.first?.errorCode
            }
            #expect(try await describe("g")?.errorCode == .groupIdNotFound)
            #expect(try await describe("g", version: 5)?.groupState == "Dead")
            #expect(try await delete("g") == .groupIdNotFound)
            let member = try await Self.member(world)
            _ = try await Self.sync(world, member: member.memberID, generation: 1)
            _ = try await Self.commit(world, member: member.memberID, generation: 1, offset: 1)
            let stable = try await describe("g")
            #expect(stable?.groupState == "Stable")
            #expect(stable?.protocolData == "range")
            #expect(stable?.members.map(\.clientID) == ["test"])
            #expect(stable?.members.first?.assignment == ByteBuffer(string: "all"))
            #expect(try await list() == ["g Stable classic"])
            #expect(try await list(["empty"]).isEmpty)
            #expect(try await delete("g") == .nonEmptyGroup)
            _ = world.broker.groups.leave(group: "g", [GroupLeave(memberID: member.memberID, instanceID: nil)])
            #expect(try await list(["Empty"]) == ["g Empty classic"])
            #expect(try await delete("g") == ErrorCode.none)
            #expect(try await list().isEmpty)
            #expect(try await Self.committed(world, version: 9)?.committedOffset == -1)
        }
    }

    @Test("this node coordinates every group and every transaction")
    func findCoordinator() async throws {
        try await BrokerWorld.run { world in
            for version in FindCoordinatorRequest.versions {
                var request = FindCoordinatorRequest()
                request.key = "g"
                request.coordinatorKeys = ["g"]
                let answer = try await world.ask(request, version: version)
                let node = version >= 4 ? answer.coordinators.first?.nodeID : answer.nodeID
                #expect(node == 1)
                guard version >= 1 else { continue }
                request.keyType = 1
                let second = try await world.ask(request, version: version)
                #expect((version >= 4 ? second.coordinators.first?.nodeID : second.nodeID) == 1)
                request.keyType = 2
                let refused = try await world.ask(request, version: version)
                let code = version >= 4 ? refused.coordinators.first?.errorCode : refused.errorCode
                #expect(code == .invalidRequest)
            }
        }
    }

    @Test("a parked join is answered when the broker stops")
    func stops() async throws {
        let configuration = BrokerWorld.settings { $0.groups.initialRebalanceDelay = .hours(1) }
        try await BrokerWorld.run(configuration) { world in
            async let parked = Self.join(world, version: 3)
            try await until { world.broker.status().groupMembers == 1 }
            await world.broker.shutdown()
            let answer = try await parked
            #expect(answer.errorCode == .notCoordinator)
        }
    }
}
