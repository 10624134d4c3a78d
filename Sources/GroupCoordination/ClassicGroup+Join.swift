import KafkaProtocol
import NIOCore

/// Joining: from JoinGroup to the start of a rebalance.
extension ClassicGroup {
    mutating func join(_ join: GroupJoin, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        guard accepts(join) else {
            let actions = remove(join.memberID)
            pendingJoins[join.memberID] = nil
            return actions + [refuse(join, token, .groupMaxSizeReached)]
        }
        guard supports(protocolType: join.protocolType, join.protocols) else {
            return [refuse(join, token, .inconsistentGroupProtocol)]
        }
        return join.memberID.isEmpty
            ? joinNewcomer(join, token: token, now: now) : joinKnown(join, token: token, now: now)
    }

    private func refuse(_ join: GroupJoin, _ token: GroupToken, _ error: ErrorCode) -> GroupAction {
        .answerJoin(token, JoinAnswer(error: error, memberID: join.memberID))
    }

    /// group.max.size. While a rebalance is being prepared those who wait count, so that a group that is too large
    /// shrinks to its size.
    private func accepts(_ join: GroupJoin) -> Bool {
        let member = members[join.memberID]
        switch state {
        case .empty, .dead: return true
        case .preparingRebalance: return member?.joinToken != nil || joinsParked < configuration.membersMax
        case .completingRebalance, .stable: return member != nil || members.count < configuration.membersMax
        }
    }

    private mutating func joinNewcomer(_ join: GroupJoin, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        if let instanceID = join.instanceID {
            if let old = staticMembers[instanceID] {
                return replaceStatic(old, with: join, token: token, now: now)
            }
            return addAndRebalance(join, id: join.newMemberID, token: token, now: now)
        }
        guard join.requiresKnownMemberID else {
            return addAndRebalance(join, id: join.newMemberID, token: token, now: now)
        }
        guard pendingJoins.count < configuration.membersMax else {
            return [refuse(join, token, .groupMaxSizeReached)]
        }
        pendingJoins[join.newMemberID] = now + .milliseconds(Int64(join.sessionTimeoutMs))
        return [.answerJoin(token, JoinAnswer(error: .memberIdRequired, memberID: join.newMemberID))]
    }

    private mutating func joinKnown(_ join: GroupJoin, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        if pendingJoins[join.memberID] != nil, join.instanceID == nil {
            return addAndRebalance(join, id: join.memberID, token: token, now: now)
        }
        let error = check(memberID: join.memberID, instanceID: join.instanceID)
        guard error == .none else { return [refuse(join, token, error)] }
        let isSame = members[join.memberID]?.protocols == join.protocols
        switch state {
        case .preparingRebalance:
            return update(join, token: token, now: now)
        case .completingRebalance where isSame:
            // Its answer was lost on the way: the generation it asks for has begun.
            renewSession(join.memberID, now: now)
            return [.answerJoin(token, joinAnswer(for: join.memberID))]
        case .stable where isSame && join.memberID != leader:
            renewSession(join.memberID, now: now)
            return [.answerJoin(token, joinAnswer(for: join.memberID))]
        case .completingRebalance, .stable:
            // A leader that joins again wants a new assignment.
            return update(join, token: token, now: now)
        case .empty, .dead:
            return [refuse(join, token, .unknownMemberId)]
        }
    }

    private mutating func addAndRebalance(
        _ join: GroupJoin, id: String, token: GroupToken, now: NIODeadline
    ) -> [GroupAction] {
        arrivals += 1
        var member = GroupMember(
            id: id, instanceID: join.instanceID, clientID: join.clientID, clientHost: join.clientHost,
            sessionTimeout: .milliseconds(Int64(join.sessionTimeoutMs)),
            rebalanceTimeout: .milliseconds(Int64(join.rebalanceTimeoutMs)), protocols: join.protocols,
            arrival: arrivals)
        member.joinToken = token
        // It has no id to send heartbeats with, so its session cannot end it while it waits.
        member.heartbeatDeadline = now + configuration.newMemberJoinTimeout
        if members.isEmpty { protocolType = join.protocolType }
        add(member)
        if case .initial = joinTimer { newMemberAdded = true }
        return rebalanceOrComplete(now: now)
    }

    private mutating func update(_ join: GroupJoin, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        let stale = park(join, id: join.memberID, token: token, now: now)
        return stale + rebalanceOrComplete(now: now)
    }

    /// Renews what the member said of itself and parks its request; an older parked one is sent to try again.
    private mutating func park(_ join: GroupJoin, id: String, token: GroupToken, now: NIODeadline) -> [GroupAction] {
        guard var member = members[id] else { return [] }
        var actions: [GroupAction] = []
        if let older = member.joinToken {
            actions.append(.answerJoin(older, JoinAnswer(error: .rebalanceInProgress, memberID: id)))
        }
        sizeBytes -= member.sizeBytes
        member.protocols = join.protocols
        member.sessionTimeout = .milliseconds(Int64(join.sessionTimeoutMs))
        member.rebalanceTimeout = .milliseconds(Int64(join.rebalanceTimeoutMs))
        member.clientID = join.clientID
        member.clientHost = join.clientHost
        member.joinToken = token
        sizeBytes += member.sizeBytes
        members[id] = member
        renewSession(id, now: now)
        return actions
    }

    /// A static member came back without its member id: the new one takes the old one's place (KIP-345).
    private mutating func replaceStatic(
        _ oldID: String, with join: GroupJoin, token: GroupToken, now: NIODeadline
    ) -> [GroupAction] {
        guard let old = members[oldID], let instanceID = join.instanceID else { return [] }
        let actions = answers(to: old, .fencedInstanceId)
        let oldLeader = leader
        members[oldID] = nil
        let wasPendingSync = pendingSyncs.remove(oldID) != nil
        if wasPendingSync { pendingSyncs.insert(join.newMemberID) }
        var member = GroupMember(
            id: join.newMemberID, instanceID: instanceID, clientID: join.clientID, clientHost: join.clientHost,
            sessionTimeout: old.sessionTimeout, rebalanceTimeout: old.rebalanceTimeout, protocols: old.protocols,
            arrival: old.arrival)
        member.assignment = old.assignment
        member.isNew = old.isNew
        members[member.id] = member
        staticMembers[instanceID] = member.id
        if leader == oldID { leader = member.id }
        _ = park(join, id: member.id, token: token, now: now)
        guard state == .stable, electedProtocol() == protocolName else {
            return actions + rebalanceOrComplete(now: now)
        }
        members[member.id]?.joinToken = nil
        return actions + [.answerJoin(token, replacedAnswer(for: member.id, join: join, oldLeader: oldLeader))]
    }

    /// Without a rebalance the leader must not assign anew: it is told so (v9), or told that another one leads.
    private func replacedAnswer(for id: String, join: GroupJoin, oldLeader: String?) -> JoinAnswer {
        var answer = joinAnswer(for: id)
        if join.supportsSkippingAssignment {
            answer.skipAssignment = id == leader
        } else {
            answer.leader = oldLeader ?? ""
            answer.members = []
        }
        return answer
    }
}
