import KafkaProtocol
import NIOCore

@testable import GroupCoordination

/// A coordinator, a clock and the answers so far.
struct GroupWorld {
    var coordinator: GroupCoordinator
    var now = NIODeadline.uptimeNanoseconds(1_000_000_000)
    private var lastToken: GroupToken = 0
    private var joins: [GroupToken: JoinAnswer] = [:]
    private var syncs: [GroupToken: SyncAnswer] = [:]

    init(_ change: (inout GroupConfiguration) -> Void = { _ in }) {
        var configuration = GroupConfiguration()
        change(&configuration)
        coordinator = GroupCoordinator(configuration: configuration)
    }

    mutating func obey(_ actions: [GroupAction]) {
        for action in actions {
            switch action {
            case .answerJoin(let token, let answer): joins[token] = answer
            case .answerSync(let token, let answer): syncs[token] = answer
            }
        }
    }

    mutating func join(
        _ id: String, newID: String = "", group: String = "g", instance: String? = nil,
        protocols: [String] = ["range"], metadata: String = "topics", type: String = "consumer",
        sessionTimeoutMs: Int32 = 10_000, rebalanceTimeoutMs: Int32 = 60_000, knownIDRequired: Bool = false,
        skips: Bool = false
    ) -> GroupToken {
        lastToken += 1
        let join = GroupJoin(
            group: group, memberID: id, instanceID: instance, newMemberID: newID, clientID: "client",
            clientHost: "/127.0.0.1", sessionTimeoutMs: sessionTimeoutMs, rebalanceTimeoutMs: rebalanceTimeoutMs,
            protocolType: type,
            protocols: protocols.map { GroupProtocol(name: $0, metadata: ByteBuffer(string: metadata)) },
            requiresKnownMemberID: knownIDRequired, supportsSkippingAssignment: skips)
        obey(coordinator.join(join, token: lastToken, now: now))
        return lastToken
    }

    mutating func sync(
        _ id: String, generation: Int32, assignments: [String: String] = [:], protocolName: String? = nil
    ) -> GroupToken {
        lastToken += 1
        let sync = GroupSync(
            group: "g", generation: generation, memberID: id, instanceID: nil, protocolType: nil,
            protocolName: protocolName, assignments: assignments.mapValues { ByteBuffer(string: $0) })
        obey(coordinator.sync(sync, token: lastToken, now: now))
        return lastToken
    }

    mutating func joinNow(
        _ id: String, newID: String = "", group: String = "g", protocols: [String] = ["range"],
        type: String = "consumer", sessionTimeoutMs: Int32 = 10_000, knownIDRequired: Bool = false
    ) -> JoinAnswer? {
        let token = join(
            id, newID: newID, group: group, protocols: protocols, type: type, sessionTimeoutMs: sessionTimeoutMs,
            knownIDRequired: knownIDRequired)
        return joinAnswer(token)
    }

    mutating func syncNow(_ id: String, generation: Int32, protocolName: String? = nil) -> SyncAnswer? {
        let token = sync(id, generation: generation, protocolName: protocolName)
        return syncAnswer(token)
    }

    mutating func heartbeat(_ id: String, generation: Int32, instance: String? = nil) -> ErrorCode {
        coordinator.heartbeat(group: "g", memberID: id, instanceID: instance, generation: generation, now: now)
    }

    mutating func leave(_ id: String, instance: String? = nil) -> [ErrorCode] {
        let result = coordinator.leave(group: "g", [GroupLeave(memberID: id, instanceID: instance)], now: now)
        obey(result.actions)
        return result.errors
    }

    mutating func leaveError(_ id: String) -> ErrorCode {
        let result = coordinator.leave(group: "g", [GroupLeave(memberID: id, instanceID: nil)], now: now)
        obey(result.actions)
        return result.error
    }

    mutating func commit(_ id: String, generation: Int32, isKnown: Bool = false) -> ErrorCode {
        coordinator.checkCommit(
            group: "g", memberID: id, instanceID: nil, generation: generation, isKnown: isKnown,
            missing: .illegalGeneration, now: now)
    }

    mutating func pass(_ milliseconds: Int64) {
        now = now + .milliseconds(milliseconds)
        obey(coordinator.timePassed(now: now))
    }

    // MARK: For random runs

    var unanswered: [GroupToken] {
        (1...max(1, lastToken)).filter { $0 <= lastToken && joins[$0] == nil && syncs[$0] == nil }
    }
    var generation: Int32 { joins.values.map(\.generation).max() ?? 0 }
    var measuredBytes: Int {
        coordinator.describeAll().reduce(0) { $0 + (coordinator.measuredBytes(of: $1.group) ?? 0) }
    }

    func anyMember(using random: inout some RandomNumberGenerator) -> String? {
        describe()?.members.randomElement(using: &random)?.id
    }

    func joinAnswer(_ token: GroupToken) -> JoinAnswer? { joins[token] }
    func syncAnswer(_ token: GroupToken) -> SyncAnswer? { syncs[token] }
    func describe() -> GroupDescription? { coordinator.describe("g") }

    /// Members a and b have joined generation 1 and not synced.
    mutating func twoJoined() -> (a: JoinAnswer, b: JoinAnswer) {
        let a = join("", newID: "a")
        let b = join("", newID: "b")
        pass(3_000)
        pass(3_000)
        return (joins[a] ?? JoinAnswer(), joins[b] ?? JoinAnswer())
    }

    mutating func twoStable() {
        _ = twoJoined()
        _ = sync("b", generation: 1)
        _ = sync("a", generation: 1, assignments: ["a": "0", "b": "1"])
    }
}
