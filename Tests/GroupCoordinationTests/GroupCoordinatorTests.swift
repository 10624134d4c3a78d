import KafkaProtocol
import NIOCore
import Testing

@testable import GroupCoordination

/// Transcripts: events in, answers out, time as a number.
@Suite("Classic groups")
struct GroupCoordinatorTests {
    @Test("a new dynamic member is told its id first, and leads once the initial delay is over")
    func firstMember() {
        var world = GroupWorld()
        let first = world.join("", newID: "a", knownIDRequired: true)
        #expect(world.joinAnswer(first)?.error == .memberIdRequired)
        #expect(world.joinAnswer(first)?.memberID == "a")
        let second = world.join("a", knownIDRequired: true)
        #expect(world.joinAnswer(second) == nil)
        world.pass(2_999)
        #expect(world.joinAnswer(second) == nil)
        world.pass(1)
        let answer = world.joinAnswer(second)
        #expect(answer?.error == ErrorCode.none)
        #expect(answer?.leader == "a")
        #expect(answer?.generation == 1)
        #expect(answer?.members.map(\.id) == ["a"])
        #expect(answer?.protocolName == "range")
    }

    @Test("the initial delay is extended by newcomers, but not beyond the rebalance timeout")
    func initialDelayExtends() {
        var world = GroupWorld()
        let a = world.join("", newID: "a", rebalanceTimeoutMs: 7_000)
        world.pass(2_000)
        let b = world.join("", newID: "b", rebalanceTimeoutMs: 7_000)
        world.pass(1_000)
        #expect(world.joinAnswer(a) == nil)
        let c = world.join("", newID: "c", rebalanceTimeoutMs: 7_000)
        world.pass(3_000)
        #expect(world.joinAnswer(a) == nil)
        let d = world.join("", newID: "d", rebalanceTimeoutMs: 7_000)
        world.pass(1_000)
        for token in [a, b, c, d] { #expect(world.joinAnswer(token)?.error == ErrorCode.none) }
    }

    @Test("two members share: the leader gets the metadata, everybody its own assignment")
    func twoMembersSync() {
        var world = GroupWorld()
        let (a, b) = world.twoJoined()
        #expect(a.members.map(\.id) == ["a", "b"])
        #expect(b.members.isEmpty)
        #expect(b.leader == "a")
        let followerSync = world.sync("b", generation: 1)
        #expect(world.syncAnswer(followerSync) == nil)
        let leaderSync = world.sync("a", generation: 1, assignments: ["a": "0", "b": "1"])
        #expect(world.syncAnswer(leaderSync)?.assignment == ByteBuffer(string: "0"))
        #expect(world.syncAnswer(followerSync)?.assignment == ByteBuffer(string: "1"))
        #expect(world.describe()?.state == .stable)
        #expect(world.heartbeat("b", generation: 1) == .none)
    }

    @Test("a third member makes the others rejoin through their heartbeats")
    func thirdMemberRebalances() {
        var world = GroupWorld()
        world.twoStable()
        let c = world.join("", newID: "c")
        #expect(world.heartbeat("a", generation: 1) == .rebalanceInProgress)
        let a = world.join("a")
        #expect(world.joinAnswer(c) == nil)
        let b = world.join("b")
        for token in [a, b, c] { #expect(world.joinAnswer(token)?.generation == 2) }
        #expect(world.heartbeat("a", generation: 1) == .illegalGeneration)
        #expect(world.heartbeat("a", generation: 2) == .none, "in CompletingRebalance a heartbeat is fine")
    }

    @Test("who does not come back within the rebalance timeout is out")
    func rebalanceTimeout() {
        var world = GroupWorld()
        world.twoStable()
        let c = world.join("", newID: "c")
        let a = world.join("a")
        for _ in 0..<11 {
            world.pass(5_000)
            _ = world.heartbeat("b", generation: 1)
        }
        #expect(world.joinAnswer(c) == nil)
        world.pass(5_000)
        #expect(world.joinAnswer(a)?.members.map(\.id) == ["a", "c"])
        #expect(world.joinAnswer(c)?.generation == 2)
        #expect(world.heartbeat("b", generation: 2) == .unknownMemberId)
    }

    @Test("a silent member loses its session, and the other is told to rejoin")
    func sessionExpires() {
        var world = GroupWorld()
        world.twoStable()
        world.pass(6_000)
        #expect(world.heartbeat("a", generation: 1) == .none)
        world.pass(4_001)
        #expect(world.heartbeat("a", generation: 1) == .rebalanceInProgress)
        #expect(world.heartbeat("b", generation: 1) == .unknownMemberId)
        let a = world.join("a")
        #expect(world.joinAnswer(a)?.members.map(\.id) == ["a"])
    }

    @Test("the leader that joins again in a stable group starts a rebalance, a follower does not")
    func rejoinInStable() {
        var world = GroupWorld()
        world.twoStable()
        let b = world.join("b")
        #expect(world.joinAnswer(b)?.generation == 1)
        let a = world.join("a")
        #expect(world.joinAnswer(a) == nil)
        #expect(world.describe()?.state == .preparingRebalance)
    }

    @Test("a member that asks again after a lost answer gets the generation under way")
    func lostJoinAnswer() {
        var world = GroupWorld()
        _ = world.twoJoined()
        let again = world.join("a")
        #expect(world.joinAnswer(again)?.generation == 1)
        #expect(world.joinAnswer(again)?.members.map(\.id) == ["a", "b"])
    }

    @Test("a member that never syncs is removed after the rebalance timeout")
    func missingSync() {
        var world = GroupWorld()
        _ = world.twoJoined()
        let a = world.sync("a", generation: 1, assignments: ["a": "x"])
        #expect(world.syncAnswer(a)?.error == ErrorCode.none)
        for _ in 0..<12 {
            world.pass(5_000)
            _ = world.heartbeat("a", generation: 1)
            _ = world.heartbeat("b", generation: 1)
        }
        #expect(world.heartbeat("a", generation: 1) == .rebalanceInProgress)
        #expect(world.heartbeat("b", generation: 1) == .unknownMemberId)
    }

    @Test("sync errors: unknown member, wrong generation, rebalance under way, other protocol")
    func syncErrors() {
        var world = GroupWorld()
        #expect(world.syncNow("a", generation: 1)?.error == .unknownMemberId)
        world.twoStable()
        #expect(world.syncNow("x", generation: 1)?.error == .unknownMemberId)
        #expect(world.syncNow("a", generation: 9)?.error == .illegalGeneration)
        #expect(
            world.syncNow("a", generation: 1, protocolName: "sticky")?.error
                == .inconsistentGroupProtocol)
        _ = world.join("", newID: "c")
        #expect(world.syncNow("a", generation: 1)?.error == .rebalanceInProgress)
    }

    @Test("a sync that waits is ended when a member leaves")
    func syncInterrupted() {
        var world = GroupWorld()
        _ = world.twoJoined()
        let waiting = world.sync("b", generation: 1)
        #expect(world.leave("a") == [.none])
        #expect(world.syncAnswer(waiting)?.error == .rebalanceInProgress)
    }

    @Test("the protocol with most first votes wins among those that all share")
    func protocolVotes() {
        var world = GroupWorld()
        let a = world.join("", newID: "a", protocols: ["roundrobin", "range"])
        _ = world.join("", newID: "b", protocols: ["range", "roundrobin"])
        _ = world.join("", newID: "c", protocols: ["only-c", "range", "roundrobin"])
        world.pass(3_000)
        world.pass(3_000)
        #expect(world.joinAnswer(a)?.protocolName == "range")
        let stranger = world.join("", newID: "d", protocols: ["sticky"])
        #expect(world.joinAnswer(stranger)?.error == .inconsistentGroupProtocol)
        let otherType = world.join("", newID: "d", protocols: ["range"], type: "connect")
        #expect(world.joinAnswer(otherType)?.error == .inconsistentGroupProtocol)
    }

    @Test("join is refused: no group id, bad session timeout, unknown member, group full")
    func joinErrors() {
        var world = GroupWorld { $0.membersMax = 2 }
        #expect(world.joinNow("", newID: "a", group: "")?.error == .invalidGroupId)
        #expect(
            world.joinNow("", newID: "a", sessionTimeoutMs: 5_999)?.error == .invalidSessionTimeout)
        #expect(world.joinNow("ghost")?.error == .unknownMemberId)
        world.twoStable()
        #expect(world.joinNow("", newID: "c")?.error == .groupMaxSizeReached)
        #expect(world.joinNow("ghost")?.error == .groupMaxSizeReached)
    }

    @Test("metadata is bounded per member and in all, and the number of groups is")
    func bounds() {
        var world = GroupWorld {
            $0.memberBytesMax = 100
            $0.bytesMax = 2_000
            $0.groupsMax = 3
        }
        let tooBig = world.join("", newID: "a", metadata: String(repeating: "x", count: 101))
        #expect(world.joinAnswer(tooBig)?.error == .invalidRequest)
        var refused: [ErrorCode] = []
        for index in 0..<10 {
            let token = world.join(
                "", newID: "m\(index)", group: "g\(index)", metadata: String(repeating: "x", count: 80))
            if let error = world.joinAnswer(token)?.error { refused.append(error) }
        }
        #expect(refused.count == 7)
        #expect(refused.allSatisfy { $0 == .groupMaxSizeReached })
        #expect(world.coordinator.sizeBytes <= 2_000)
    }

    @Test("the size of a group that everybody left is nothing")
    func sizesReturn() {
        var world = GroupWorld()
        world.twoStable()
        #expect(world.coordinator.sizeBytes > 0)
        #expect(world.leave("a") == [.none])
        _ = world.join("b")
        #expect(world.leave("b") == [.none])
        #expect(world.coordinator.sizeBytes == 0)
        #expect(world.describe()?.state == .empty)
    }

    @Test("leaving: the last one empties the group, unknown ones get an error each")
    func leaving() {
        var world = GroupWorld()
        #expect(world.leaveError("a") == .unknownMemberId)
        world.twoStable()
        #expect(world.leave("x") == [.unknownMemberId])
        #expect(world.leave("a") == [.none])
        let b = world.join("b")
        #expect(world.joinAnswer(b)?.leader == "b")
        #expect(world.leave("b") == [.none])
        #expect(world.describe()?.state == .empty)
        #expect(world.heartbeat("b", generation: 2) == .unknownMemberId)
    }

    @Test("a static member that restarts keeps its assignment without a rebalance and fences its old self")
    func staticMember() {
        var world = GroupWorld()
        let first = world.join("", newID: "s-1", instance: "s")
        world.pass(3_000)
        #expect(world.joinAnswer(first)?.memberID == "s-1")
        _ = world.sync("s-1", generation: 1, assignments: ["s-1": "mine"])
        let again = world.join("", newID: "s-2", instance: "s", skips: true)
        let answer = world.joinAnswer(again)
        #expect(answer?.memberID == "s-2")
        #expect(answer?.generation == 1)
        #expect(answer?.leader == "s-2")
        #expect(answer?.skipAssignment == true)
        let sync = world.sync("s-2", generation: 1)
        #expect(world.syncAnswer(sync)?.assignment == ByteBuffer(string: "mine"))
        #expect(world.heartbeat("s-1", generation: 1, instance: "s") == .fencedInstanceId)
        #expect(world.heartbeat("s-2", generation: 1, instance: "s") == .none)
        let old = world.join("", newID: "s-3", instance: "s")
        #expect(world.joinAnswer(old)?.leader == "s-2", "without v9 the old leader's name keeps it a follower")
        #expect(world.joinAnswer(old)?.members.isEmpty == true)
    }

    @Test("a parked static member is fenced when its twin joins")
    func staticTwin() {
        var world = GroupWorld()
        let first = world.join("", newID: "s-1", instance: "s")
        let second = world.join("", newID: "s-2", instance: "s")
        #expect(world.joinAnswer(first)?.error == .fencedInstanceId)
        world.pass(3_000)
        #expect(world.joinAnswer(second)?.memberID == "s-2")
    }

    @Test("a static member leaves by its instance id")
    func staticLeaves() {
        var world = GroupWorld()
        _ = world.join("", newID: "s-1", instance: "s")
        world.pass(3_000)
        #expect(world.leave("", instance: "other") == [.unknownMemberId])
        #expect(world.leave("", instance: "s") == [.none])
        #expect(world.describe()?.state == .empty)
    }

    @Test("a pending member id is forgotten after the session timeout, and holds a rebalance up until then")
    func pendingMember() {
        var world = GroupWorld()
        world.twoStable()
        _ = world.join("", newID: "p", knownIDRequired: true)
        let a = world.join("a")
        let b = world.join("b")
        #expect(world.joinAnswer(a) == nil)
        _ = b
        world.pass(10_000)
        #expect(world.joinAnswer(a)?.generation == 2)
        #expect(world.joinNow("p", knownIDRequired: true)?.error == .unknownMemberId)
    }

    @Test("commits: members of the generation, simple consumers of empty groups, nobody in a rebalance")
    func commits() {
        var world = GroupWorld()
        #expect(world.commit("", generation: -1) == .none)
        #expect(world.commit("a", generation: 3) == .illegalGeneration)
        #expect(world.commit("a", generation: 3, isKnown: true) == .unknownMemberId)
        _ = world.twoJoined()
        #expect(world.commit("a", generation: 1) == .rebalanceInProgress)
        _ = world.sync("a", generation: 1, assignments: [:])
        #expect(world.commit("a", generation: 1) == .none)
        #expect(world.commit("a", generation: 2) == .illegalGeneration)
        #expect(world.commit("x", generation: 1) == .unknownMemberId)
        #expect(world.commit("", generation: -1) == .unknownMemberId)
        _ = world.join("", newID: "c")
        #expect(world.commit("a", generation: 1) == .none, "while a rebalance is prepared the old owner may commit")
    }

    @Test("a commit renews the session")
    func commitRenews() {
        var world = GroupWorld()
        world.twoStable()
        for _ in 0..<5 {
            world.pass(6_000)
            #expect(world.commit("a", generation: 1) == .none || world.describe()?.state != .stable)
        }
        #expect(world.describe()?.members.contains { $0.id == "a" } == true)
        #expect(world.describe()?.members.contains { $0.id == "b" } == false)
    }

    @Test("any order of events leaves sums right and every parked request answered in the end", arguments: 0..<60)
    func anyOrder(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var world = GroupWorld { $0.membersMax = 6 }
        for step in 0..<400 {
            let id = "m\(UInt64.random(in: 0..<8, using: &random))"
            switch UInt64.random(in: 0..<8, using: &random) {
            case 0: _ = world.join("", newID: "\(id)-\(step)", knownIDRequired: step % 2 == 0)
            case 1: _ = world.join(world.anyMember(using: &random) ?? id)
            case 2:
                _ = world.sync(world.anyMember(using: &random) ?? id, generation: world.generation, assignments: [:])
            case 3: _ = world.heartbeat(world.anyMember(using: &random) ?? id, generation: world.generation)
            case 4 where step % 5 == 0: _ = world.leaveError(world.anyMember(using: &random) ?? id)
            case 5: _ = world.join("", newID: "s\(step)", instance: "i\(UInt64.random(in: 0..<3, using: &random))")
            case 6: _ = world.commit(world.anyMember(using: &random) ?? id, generation: world.generation)
            default: world.pass(Int64.random(in: 1...8_000, using: &random))
            }
            #expect(world.coordinator.sizeBytes == world.measuredBytes, "seed \(seed) step \(step)")
        }
        world.pass(10_000_000)
        for _ in 0..<20 { world.pass(1_000_000) }
        #expect(world.unanswered.isEmpty, "seed \(seed)")
        #expect(world.coordinator.sizeBytes == 0, "seed \(seed)")
        #expect(world.coordinator.nextDeadline == nil, "seed \(seed)")
    }
}
