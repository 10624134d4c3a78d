import KafkaListener
import KafkaProtocol
import NIOCore

/// DescribeGroups, ListGroups and DeleteGroups. A group that only has offsets is one in state Empty.
struct GroupAdminHandler: Sendable {
    let groups: GroupService
    let store: any GroupOffsetStore

    func describe(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DescribeGroupsRequest.self)
        var response = DescribeGroupsResponse()
        response.groups = asked.groups.map { describe($0, request.header.apiVersion) }
        return request.answer(response, on: loop)
    }

    private func describe(_ name: String, _ version: Int16) -> DescribeGroupsResponse.Group {
        var group = DescribeGroupsResponse.Group()
        group.groupID = name
        if name.isEmpty {
            group.errorCode = .invalidGroupId
        } else if let known = groups.describe(name) {
            group.groupState = known.state.rawValue
            group.protocolType = known.protocolType
            group.protocolData = known.protocolName
            group.members = known.members.map { Self.member($0) }
        } else if let code = store.unavailable {
            group.errorCode = code
        } else if store.groupExists(name) {
            group.groupState = GroupState.empty.rawValue
        } else {
            group.groupState = GroupState.dead.rawValue
            if version >= 6 {
                group.errorCode = .groupIdNotFound
                group.errorMessage = "Group \(name) not found."
            }
        }
        return group
    }

    private static func member(_ known: GroupDescription.Member) -> DescribeGroupsResponse.Member {
        var member = DescribeGroupsResponse.Member()
        member.memberID = known.id
        member.groupInstanceID = known.instanceID
        member.clientID = known.clientID
        member.clientHost = known.clientHost
        member.metadata = known.metadata
        member.assignment = known.assignment
        return member
    }

    func list(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(ListGroupsRequest.self)
        var known: [String: (state: GroupState, type: String)] = [:]
        for name in store.groups() { known[name] = (.empty, "") }
        for summary in groups.summaries() { known[summary.group] = (summary.state, summary.protocolType) }
        let states = Set(asked.statesFilter.map { $0.lowercased() })
        let types = Set(asked.typesFilter.map { $0.lowercased() })
        var response = ListGroupsResponse()
        if let code = store.unavailable { response.errorCode = code }
        guard types.isEmpty || types.contains("classic") else { return request.answer(response, on: loop) }
        response.groups = known.sorted { $0.key < $1.key }
            .filter { states.isEmpty || states.contains($0.value.state.rawValue.lowercased()) }
            .map { name, facts in
                var group = ListGroupsResponse.Group()
                group.groupID = name
                group.protocolType = facts.type
                group.groupState = facts.state.rawValue
                group.groupType = "classic"
                return group
            }
        return request.answer(response, on: loop)
    }

    func delete(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(DeleteGroupsRequest.self)
        let results = asked.groupIDs.map { delete($0, loop) }
        return EventLoopFuture.whenAllSucceed(results, on: loop).map { results in
            var response = DeleteGroupsResponse()
            response.results = results
            return response
        }.answer(request)
    }

    private func delete(_ name: String, _ loop: any EventLoop) -> EventLoopFuture<DeleteGroupsResponse.Result> {
        var result = DeleteGroupsResponse.Result(groupID: name, errorCode: .none)
        guard !name.isEmpty else {
            result.errorCode = .invalidGroupId
            return loop.makeSucceededFuture(result)
        }
        if let code = store.unavailable {
            result.errorCode = code
            return loop.makeSucceededFuture(result)
        }
        let wasKnown = groups.describe(name) != nil
        guard groups.forgetIfEmpty(name) else {
            result.errorCode = .nonEmptyGroup
            return loop.makeSucceededFuture(result)
        }
        guard store.groupExists(name) else {
            result.errorCode = wasKnown ? .none : .groupIdNotFound
            return loop.makeSucceededFuture(result)
        }
        return store.delete(name, on: loop).map { DeleteGroupsResponse.Result(groupID: name, errorCode: $0) }
    }
}
