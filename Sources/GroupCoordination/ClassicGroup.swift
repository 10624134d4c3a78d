import KafkaProtocol
import NIOCore

/// One group of the classic protocol. Facts in, actions out; no I/O and no clock.
///
/// Source: Kafka 4.3, `GroupMetadataManager` and `ClassicGroup`; KIP-62, KIP-134 (initial delay), KIP-345 (static
/// members), KIP-394 (member id required), KIP-814 (skip assignment).
struct ClassicGroup {
    let name: String
    let configuration: GroupConfiguration
    var state = GroupState.empty
    var generation: Int32 = 0
    var protocolType: String?
    var protocolName: String?
    var leader: String?
    var members: [String: GroupMember] = [:]
    /// Member id of each static member.
    var staticMembers: [String: String] = [:]
    /// Ids given out with MEMBER_ID_REQUIRED whose owners have not come back, and when they are forgotten.
    var pendingJoins: [String: NIODeadline] = [:]
    /// Members of this generation that have not sent SyncGroup.
    var pendingSyncs: Set<String> = []
    var syncDeadline: NIODeadline?
    var joinTimer: JoinTimer?
    /// A member came while the first rebalance of an empty group was waiting for more.
    var newMemberAdded = false
    var arrivals: UInt64 = 0
    var sizeBytes = 0
    /// When the coordinator looks at this group next; see `GroupCoordinator`.
    var scheduledAt: NIODeadline?

    /// What ends the joining phase if not everybody comes.
    enum JoinTimer: Equatable {
        /// The first rebalance of an empty group: wait for more members, `remaining` long at most after this step.
        case initial(deadline: NIODeadline, remaining: TimeAmount)
        case rebalance(deadline: NIODeadline)

        var deadline: NIODeadline {
            switch self {
            case .initial(let deadline, _), .rebalance(let deadline): deadline
            }
        }
    }

    init(name: String, configuration: GroupConfiguration) {
        self.name = name
        self.configuration = configuration
    }

    // MARK: Questions

    var joinsParked: Int { members.values.reduce(0) { $0 + ($1.joinToken == nil ? 0 : 1) } }
    var hasAllJoined: Bool { pendingJoins.isEmpty && joinsParked == members.count }
    var rebalanceTimeout: TimeAmount { members.values.map(\.rebalanceTimeout).max() ?? .zero }

    /// Names of the protocols that every member offers.
    var commonProtocols: Set<String> {
        var counts: [String: Int] = [:]
        for member in members.values {
            for name in Set(member.protocols.map(\.name)) { counts[name, default: 0] += 1 }
        }
        return Set(counts.filter { $0.value == members.count }.keys)
    }

    func supports(protocolType type: String, _ protocols: [GroupProtocol]) -> Bool {
        if state == .empty { return !type.isEmpty && !protocols.isEmpty }
        guard type == protocolType else { return false }
        let common = commonProtocols
        return protocols.contains { common.contains($0.name) }
    }

    /// The common protocol with most votes; each member votes for its first one. Ties go to the alphabet.
    func electedProtocol() -> String? {
        let candidates = commonProtocols
        var votes: [String: Int] = [:]
        for member in members.values {
            if let vote = member.vote(among: candidates) { votes[vote, default: 0] += 1 }
        }
        return votes.max { ($0.value, $1.key) < ($1.value, $0.key) }?.key
    }

    /// Whether this member may speak for the group: `.none`, or the error it gets.
    func check(memberID: String, instanceID: String?) -> ErrorCode {
        if let instanceID {
            guard let current = staticMembers[instanceID] else { return .unknownMemberId }
            if current != memberID { return .fencedInstanceId }
        }
        return members[memberID] == nil ? .unknownMemberId : .none
    }

    /// The earliest time at which something happens by itself.
    var nextDeadline: NIODeadline? {
        var next = members.values.map(\.heartbeatDeadline).min() ?? .distantFuture
        for deadline in pendingJoins.values { next = min(next, deadline) }
        if let joinTimer { next = min(next, joinTimer.deadline) }
        if let syncDeadline { next = min(next, syncDeadline) }
        return next == .distantFuture ? nil : next
    }

    func description() -> GroupDescription {
        let shown = state == .stable ? protocolName : nil
        let list = members.values.sorted { $0.arrival < $1.arrival }
        return GroupDescription(
            group: name, state: state, protocolType: protocolType ?? "", protocolName: shown ?? "",
            members: list.map { member in
                GroupDescription.Member(
                    id: member.id, instanceID: member.instanceID, clientID: member.clientID,
                    clientHost: member.clientHost,
                    metadata: shown.flatMap { member.metadata(for: $0) } ?? ByteBuffer(),
                    assignment: shown == nil ? ByteBuffer() : member.assignment)
            })
    }

    // MARK: Members

    mutating func add(_ member: GroupMember) {
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        if leader == nil { leader = member.id }
        pendingJoins[member.id] = nil
        sizeBytes += member.sizeBytes
    }

    /// Takes the member out and answers what it had parked.
    mutating func remove(_ id: String, answering error: ErrorCode = .unknownMemberId) -> [GroupAction] {
        guard let member = members.removeValue(forKey: id) else { return [] }
        if let instanceID = member.instanceID, staticMembers[instanceID] == id { staticMembers[instanceID] = nil }
        pendingSyncs.remove(id)
        sizeBytes -= member.sizeBytes
        if leader == id { leader = members.values.min { $0.arrival < $1.arrival }?.id }
        return answers(to: member, error)
    }

    /// Ends the parked requests of a member with an error.
    func answers(to member: GroupMember, _ error: ErrorCode) -> [GroupAction] {
        var actions: [GroupAction] = []
        if let token = member.joinToken {
            actions.append(.answerJoin(token, JoinAnswer(error: error, memberID: member.id)))
        }
        if let token = member.syncToken { actions.append(.answerSync(token, SyncAnswer(error: error))) }
        return actions
    }

    mutating func renewSession(_ id: String, now: NIODeadline) {
        guard let timeout = members[id]?.sessionTimeout else { return }
        members[id]?.heartbeatDeadline = now + timeout
    }

    /// What a member is told of the present generation. Only the leader gets the members' metadata.
    func joinAnswer(for id: String) -> JoinAnswer {
        JoinAnswer(
            generation: generation, protocolType: protocolType, protocolName: protocolName, leader: leader ?? "",
            memberID: id, members: id == leader ? joinedMembers() : [])
    }

    func joinedMembers() -> [JoinAnswer.Member] {
        guard let protocolName else { return [] }
        return members.values.sorted { $0.arrival < $1.arrival }.map {
            JoinAnswer.Member(
                id: $0.id, instanceID: $0.instanceID, metadata: $0.metadata(for: protocolName) ?? ByteBuffer())
        }
    }
}
