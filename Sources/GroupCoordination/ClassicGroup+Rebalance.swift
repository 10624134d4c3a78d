import KafkaProtocol
import NIOCore

/// Rebalances: from the first reason to the assignment, and what time does to a group.
extension ClassicGroup {
    mutating func rebalanceOrComplete(now: NIODeadline) -> [GroupAction] {
        switch state {
        case .stable, .completingRebalance, .empty: return prepareRebalance(now: now)
        case .preparingRebalance: return completeJoinIfAllCame(now: now)
        case .dead: return []
        }
    }

    private mutating func prepareRebalance(now: NIODeadline) -> [GroupAction] {
        var actions: [GroupAction] = []
        if state == .completingRebalance { actions = resetSyncs() }
        pendingSyncs = []
        syncDeadline = nil
        let isInitial = state == .empty
        state = .preparingRebalance
        guard isInitial else {
            joinTimer = .rebalance(deadline: now + rebalanceTimeout)
            return actions + completeJoinIfAllCame(now: now)
        }
        let delay = configuration.initialRebalanceDelay
        newMemberAdded = false
        joinTimer = .initial(
            deadline: now + delay, remaining: max(.zero, rebalanceTimeout - delay))
        return delay == .zero ? actions + completeJoin(now: now) : actions
    }

    /// Those who wait for an assignment of this generation will not get one.
    private mutating func resetSyncs() -> [GroupAction] {
        var actions: [GroupAction] = []
        for id in members.keys.sorted() {
            members[id]?.assignment = ByteBuffer()
            guard let token = members[id]?.syncToken else { continue }
            members[id]?.syncToken = nil
            actions.append(.answerSync(token, SyncAnswer(error: .rebalanceInProgress)))
        }
        sizeBytes = members.values.reduce(0) { $0 + $1.sizeBytes }
        return actions
    }

    private mutating func completeJoinIfAllCame(now: NIODeadline) -> [GroupAction] {
        guard state == .preparingRebalance, hasAllJoined else { return [] }
        // The first rebalance of a group waits its delay out, or ends when nobody is left.
        if case .initial = joinTimer, !members.isEmpty { return [] }
        return completeJoin(now: now)
    }

    /// Ends the joining phase: who has not come is out (static members stay until their session ends).
    mutating func completeJoin(now: NIODeadline) -> [GroupAction] {
        joinTimer = nil
        var actions: [GroupAction] = []
        for (id, member) in members where member.joinToken == nil && !member.isStatic { actions += remove(id) }
        if !members.isEmpty, !electJoinedLeader() {
            joinTimer = .rebalance(deadline: now + rebalanceTimeout)
            return actions
        }
        generation = generation == .max ? 1 : generation + 1
        pendingSyncs = []
        guard !members.isEmpty else {
            becomeEmpty()
            return actions
        }
        protocolName = electedProtocol()
        state = .completingRebalance
        syncDeadline = now + rebalanceTimeout
        return actions + answerJoins(now: now)
    }

    mutating func becomeEmpty() {
        state = .empty
        protocolName = nil
        leader = nil
        joinTimer = nil
        syncDeadline = nil
        pendingSyncs = []
    }

    /// The leader must be somebody who has come.
    private mutating func electJoinedLeader() -> Bool {
        if let leader, members[leader]?.joinToken != nil { return true }
        guard let next = members.values.filter({ $0.joinToken != nil }).min(by: { $0.arrival < $1.arrival }) else {
            return false
        }
        leader = next.id
        return true
    }

    private mutating func answerJoins(now: NIODeadline) -> [GroupAction] {
        var actions: [GroupAction] = []
        for member in members.values.sorted(by: { $0.arrival < $1.arrival }) {
            if let token = member.joinToken {
                actions.append(.answerJoin(token, joinAnswer(for: member.id)))
                renewSession(member.id, now: now)
            }
            members[member.id]?.joinToken = nil
            members[member.id]?.isNew = false
            pendingSyncs.insert(member.id)
        }
        return actions
    }

    // MARK: Sync

    mutating func sync(_ sync: GroupSync, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        let error = checkSync(sync)
        guard error == .none else { return [.answerSync(token, SyncAnswer(error: error))] }
        pendingSyncs.remove(sync.memberID)
        renewSession(sync.memberID, now: now)
        guard state == .completingRebalance else {
            return [.answerSync(token, syncAnswer(members[sync.memberID]?.assignment))]
        }
        var actions: [GroupAction] = []
        if let older = members[sync.memberID]?.syncToken {
            actions.append(.answerSync(older, SyncAnswer(error: .rebalanceInProgress)))
        }
        members[sync.memberID]?.syncToken = token
        return sync.memberID == leader ? actions + assign(sync.assignments, now: now) : actions
    }

    private func checkSync(_ sync: GroupSync) -> ErrorCode {
        let error = check(memberID: sync.memberID, instanceID: sync.instanceID)
        if error != .none { return error }
        if sync.generation != generation { return .illegalGeneration }
        if let type = sync.protocolType, type != protocolType { return .inconsistentGroupProtocol }
        if let name = sync.protocolName, name != protocolName { return .inconsistentGroupProtocol }
        switch state {
        case .preparingRebalance: return .rebalanceInProgress
        case .empty, .dead: return .unknownMemberId
        case .completingRebalance, .stable: return .none
        }
    }

    private mutating func assign(_ assignments: [String: ByteBuffer], now: NIODeadline) -> [GroupAction] {
        state = .stable
        var actions: [GroupAction] = []
        for member in members.values.sorted(by: { $0.arrival < $1.arrival }) {
            let assignment = assignments[member.id] ?? ByteBuffer()
            members[member.id]?.assignment = assignment
            guard let token = member.syncToken else { continue }
            members[member.id]?.syncToken = nil
            renewSession(member.id, now: now)
            actions.append(.answerSync(token, syncAnswer(assignment)))
        }
        sizeBytes = members.values.reduce(0) { $0 + $1.sizeBytes }
        return actions
    }

    private func syncAnswer(_ assignment: ByteBuffer?) -> SyncAnswer {
        SyncAnswer(protocolType: protocolType, protocolName: protocolName, assignment: assignment ?? ByteBuffer())
    }

    // MARK: Heartbeat, leave, commit

    mutating func heartbeat(
        memberID: String, instanceID: String?, generation asked: Int32, now: NIODeadline
    ) -> ErrorCode {
        let error = check(memberID: memberID, instanceID: instanceID)
        if error != .none { return error }
        if asked != generation { return .illegalGeneration }
        renewSession(memberID, now: now)
        return state == .preparingRebalance ? .rebalanceInProgress : .none
    }

    mutating func leave(_ leaving: [GroupLeave], now: NIODeadline) -> (errors: [ErrorCode], actions: [GroupAction]) {
        var actions: [GroupAction] = []
        var changed = false
        let errors = leaving.map { one -> ErrorCode in
            if pendingJoins.removeValue(forKey: one.memberID) != nil {
                changed = true
                return .none
            }
            var id = one.memberID
            if id.isEmpty, let instanceID = one.instanceID { id = staticMembers[instanceID] ?? "" }
            let error = check(memberID: id, instanceID: one.instanceID)
            guard error == .none else { return error }
            actions += remove(id)
            changed = true
            return .none
        }
        if changed { actions += membersChanged(now: now) }
        return (errors, actions)
    }

    /// Whether offsets may be committed; renews the session of a member that may.
    mutating func checkCommit(
        memberID: String, instanceID: String?, generation asked: Int32, now: NIODeadline
    ) -> ErrorCode {
        if asked < 0, state == .empty { return .none }
        guard asked >= 0 || !memberID.isEmpty || instanceID != nil else { return .unknownMemberId }
        let error = check(memberID: memberID, instanceID: instanceID)
        if error != .none { return error }
        if asked != generation { return .illegalGeneration }
        renewSession(memberID, now: now)
        return state == .completingRebalance ? .rebalanceInProgress : .none
    }

    // MARK: Time

    mutating func timePassed(now: NIODeadline) -> [GroupAction] {
        var actions = expireMembers(now: now)
        if let timer = joinTimer, timer.deadline <= now { actions += joinTimeout(timer, now: now) }
        if let deadline = syncDeadline, deadline <= now { actions += syncTimeout(now: now) }
        return actions
    }

    private mutating func expireMembers(now: NIODeadline) -> [GroupAction] {
        let forgotten = pendingJoins.filter { $0.value <= now }.keys
        for id in forgotten { pendingJoins[id] = nil }
        var actions: [GroupAction] = []
        var changed = !forgotten.isEmpty
        for (id, member) in members where member.heartbeatDeadline <= now {
            let waits = member.joinToken != nil || member.syncToken != nil
            if waits && !member.isNew {
                renewSession(id, now: now)
            } else {
                actions += remove(id)
                changed = true
            }
        }
        return changed ? actions + membersChanged(now: now) : actions
    }

    /// Somebody is gone: those who remain share the work anew, or the rebalance under way needs to wait for one less.
    private mutating func membersChanged(now: NIODeadline) -> [GroupAction] {
        switch state {
        case .stable, .completingRebalance: return prepareRebalance(now: now)
        case .preparingRebalance: return completeJoinIfAllCame(now: now)
        case .empty, .dead: return []
        }
    }

    private mutating func joinTimeout(_ timer: JoinTimer, now: NIODeadline) -> [GroupAction] {
        guard case .initial(_, let remaining) = timer, newMemberAdded, remaining > .zero else {
            return completeJoin(now: now)
        }
        newMemberAdded = false
        let step = min(configuration.initialRebalanceDelay, remaining)
        joinTimer = .initial(deadline: now + step, remaining: max(.zero, remaining - step))
        return []
    }

    private mutating func syncTimeout(now: NIODeadline) -> [GroupAction] {
        syncDeadline = nil
        guard state == .completingRebalance || state == .stable, !pendingSyncs.isEmpty else { return [] }
        var actions: [GroupAction] = []
        for id in pendingSyncs.sorted() { actions += remove(id) }
        return actions + membersChanged(now: now)
    }
}
