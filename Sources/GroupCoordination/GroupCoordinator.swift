import KafkaListener
import KafkaProtocol
import NIOCore

/// All classic groups of this node: who is a member of what, and what each parked request is answered with.
///
/// A pure machine. Events are methods that take the time and give actions; a token names a request that may be answered
/// later. `nextDeadline` says when `timePassed` must be called at the latest; calling it earlier or more often is harmless.
/// Bounds: ``GroupConfiguration``.
struct GroupCoordinator {
    let configuration: GroupConfiguration
    private var groups: [String: ClassicGroup] = [:]
    private var deadlines = DeadlineHeap<String>()
    /// Of all members of all groups.
    private(set) var sizeBytes = 0

    init(configuration: GroupConfiguration) {
        self.configuration = configuration
    }

    var groupCount: Int { groups.count }
    var memberCount: Int { groups.values.reduce(0) { $0 + $1.members.count } }
    var nextDeadline: NIODeadline? { deadlines.first }

    mutating func join(_ join: GroupJoin, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        let error = admit(join)
        guard error == .none else { return [.answerJoin(token, JoinAnswer(error: error, memberID: join.memberID))] }
        return change(join.group, now: now) { $0.join(join, token: token, now: now) } ?? []
    }

    mutating func sync(_ sync: GroupSync, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        let bytes = sync.assignments.values.reduce(0) { $0 + $1.readableBytes }
        guard !sync.group.isEmpty else { return [.answerSync(token, SyncAnswer(error: .invalidGroupId))] }
        guard bytes + sizeBytes <= configuration.bytesMax,
            sync.assignments.values.allSatisfy({ $0.readableBytes <= configuration.memberBytesMax })
        else { return [.answerSync(token, SyncAnswer(error: .invalidRequest))] }
        return change(sync.group, now: now) { $0.sync(sync, token: token, now: now) }
            ?? [.answerSync(token, SyncAnswer(error: .unknownMemberId))]
    }

    mutating func heartbeat(
        group: String, memberID: String, instanceID: String?, generation: Int32, now: NIODeadline
    ) -> ErrorCode {
        guard !group.isEmpty else { return .invalidGroupId }
        // The session only gets longer, so the heap need not know: it looks again at the old time.
        return groups[group]?
            .heartbeat(memberID: memberID, instanceID: instanceID, generation: generation, now: now) ?? .unknownMemberId
    }

    /// `error` is for the request as a whole; without it there is one error per member.
    mutating func leave(
        group: String, _ members: [GroupLeave], now: NIODeadline
    ) -> (error: ErrorCode, errors: [ErrorCode], actions: [GroupAction]) {
        guard !group.isEmpty else { return (.invalidGroupId, [], []) }
        var errors: [ErrorCode] = []
        let actions = change(group, now: now) { state in
            let result = state.leave(members, now: now)
            errors = result.errors
            return result.actions
        }
        guard let actions else { return (.unknownMemberId, [], []) }
        return (.none, errors, actions)
    }

    /// Whether these offsets may be committed.
    /// - Parameters:
    ///   - isKnown: the store has offsets of the group, whatever this machine knows.
    ///   - missing: the error for a commit by a member of a group that does not exist.
    mutating func checkCommit(
        group: String, memberID: String, instanceID: String?, generation: Int32, isKnown: Bool, missing: ErrorCode,
        now: NIODeadline
    ) -> ErrorCode {
        guard !group.isEmpty else { return .invalidGroupId }
        if groups[group] != nil {
            return groups[group]?
                .checkCommit(memberID: memberID, instanceID: instanceID, generation: generation, now: now) ?? .none
        }
        if generation < 0, memberID.isEmpty, instanceID == nil { return .none }
        if isKnown { return .unknownMemberId }
        return generation < 0 ? .none : missing
    }

    /// Whether the group has no members; it may then be deleted. Forgets it if so.
    mutating func forgetIfEmpty(_ group: String) -> Bool {
        guard let known = groups[group] else { return true }
        guard known.members.isEmpty && known.pendingJoins.isEmpty else { return false }
        groups[group] = nil
        return true
    }

    /// Nil for a group that nobody has joined.
    func use(of group: String) -> GroupUse? { groups[group]?.use }

    func describe(_ group: String) -> GroupDescription? { groups[group]?.description() }

    /// The sum of a group's members, counted anew: what `sizeBytes` must agree with.
    func measuredBytes(of group: String) -> Int? { groups[group]?.members.values.reduce(0) { $0 + $1.sizeBytes } }

    func describeAll() -> [GroupDescription] { groups.values.map { $0.description() } }

    /// State and type only, for lists.
    func summaries() -> [(group: String, state: GroupState, protocolType: String)] {
        groups.values.map { ($0.name, $0.state, $0.protocolType ?? "") }
    }

    mutating func timePassed(now: NIODeadline) -> [GroupAction] {
        var actions: [GroupAction] = []
        while let (deadline, name) = deadlines.popFirst(through: now) {
            guard groups[name]?.scheduledAt == deadline else { continue }
            groups[name]?.scheduledAt = nil
            actions += change(name, now: now) { $0.timePassed(now: now) } ?? []
        }
        return actions
    }

    // MARK: Inside

    private mutating func admit(_ join: GroupJoin) -> ErrorCode {
        if join.group.isEmpty { return .invalidGroupId }
        if !configuration.sessionTimeoutMs.contains(join.sessionTimeoutMs) { return .invalidSessionTimeout }
        let bytes = join.protocols.reduce(0) { $0 + $1.name.utf8.count + $1.metadata.readableBytes }
        if bytes > configuration.memberBytesMax || join.rebalanceTimeoutMs < 0 { return .invalidRequest }
        if sizeBytes + bytes > configuration.bytesMax { return .groupMaxSizeReached }
        if groups[join.group] != nil { return .none }
        guard join.memberID.isEmpty else { return .unknownMemberId }
        if groups.count >= configuration.groupsMax { forgetSomeEmptyGroup() }
        if groups.count >= configuration.groupsMax { return .groupMaxSizeReached }
        groups[join.group] = ClassicGroup(name: join.group, configuration: configuration)
        return .none
    }

    private mutating func forgetSomeEmptyGroup() {
        guard let name = groups.first(where: { $0.value.members.isEmpty && $0.value.pendingJoins.isEmpty })?.key
        else { return }
        groups[name] = nil
    }

    /// Applies a change and keeps the sums and the deadline of the group. Nil if there is no such group.
    private mutating func change(
        _ name: String, now: NIODeadline, _ body: (inout ClassicGroup) -> [GroupAction]
    ) -> [GroupAction]? {
        guard var group = groups.removeValue(forKey: name) else { return nil }
        let before = group.sizeBytes
        let actions = body(&group)
        sizeBytes += group.sizeBytes - before
        if let next = group.nextDeadline, next < group.scheduledAt ?? .distantFuture {
            deadlines.insert(next, name)
            group.scheduledAt = next
        }
        groups[name] = group
        return actions
    }
}
