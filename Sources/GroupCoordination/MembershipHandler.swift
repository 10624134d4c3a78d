import KafkaListener
import KafkaProtocol
import NIOCore

/// FindCoordinator, JoinGroup, SyncGroup, Heartbeat and LeaveGroup on the wire.
struct MembershipHandler: Sendable {
    let groups: GroupService
    let directory: any CoordinatorDirectory
    let memberID: @Sendable () -> KafkaUUID

    func findCoordinator(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(FindCoordinatorRequest.self)
        let keys = request.header.apiVersion >= 4 ? asked.coordinatorKeys : [asked.key]
        let coordinators = keys.map { coordinator($0, type: asked.keyType, seenFrom: connection) }
        var response = FindCoordinatorResponse()
        if request.header.apiVersion >= 4 {
            response.coordinators = coordinators
        } else if let only = coordinators.first {
            response.errorCode = only.errorCode
            response.errorMessage = only.errorMessage
            response.nodeID = only.nodeID
            response.host = only.host
            response.port = only.port
        }
        return request.answer(response, on: connection.eventLoop)
    }

    private func coordinator(
        _ key: String, type: Int8, seenFrom connection: KafkaConnection
    ) -> FindCoordinatorResponse.Coordinator {
        var coordinator = FindCoordinatorResponse.Coordinator()
        coordinator.key = key
        coordinator.nodeID = -1
        coordinator.port = -1
        guard let kind = CoordinatorKind(rawValue: type) else {
            coordinator.errorCode = .invalidRequest
            coordinator.errorMessage = "key type \(type) is not supported"
            return coordinator
        }
        guard !key.isEmpty else {
            coordinator.errorCode = kind == .group ? .invalidGroupId : .invalidRequest
            return coordinator
        }
        switch directory.coordinator(kind, seenFrom: connection) {
        case .success(let address):
            coordinator.nodeID = address.nodeID
            coordinator.host = address.host
            coordinator.port = address.port
        case .failure(let refusal):
            coordinator.errorCode = refusal.code
            coordinator.errorMessage = refusal.message
        }
        return coordinator
    }

    func join(_ request: KafkaRequest, on connection: KafkaConnection) throws(WireError) -> EventLoopFuture<
        KafkaResponse?
    > {
        let asked = try request.decode(JoinGroupRequest.self)
        let version = request.header.apiVersion
        let clientID = request.header.clientID ?? ""
        let prefix = asked.groupInstanceID ?? clientID
        let join = GroupJoin(
            group: asked.groupID, memberID: asked.memberID, instanceID: asked.groupInstanceID,
            newMemberID: "\(prefix)-\(memberUUID())", clientID: clientID, clientHost: Self.host(connection),
            sessionTimeoutMs: asked.sessionTimeoutMs,
            rebalanceTimeoutMs: version >= 1 ? asked.rebalanceTimeoutMs : asked.sessionTimeoutMs,
            protocolType: asked.protocolType,
            protocols: asked.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata.ownCopy()) },
            requiresKnownMemberID: version >= 4, supportsSkippingAssignment: version >= 9)
        return groups.join(join, on: connection.eventLoop).map { Self.response($0, version) }.answer(request)
    }

    private static func response(_ answer: JoinAnswer, _ version: Int16) -> JoinGroupResponse {
        var response = JoinGroupResponse()
        response.errorCode = answer.error
        response.generationID = answer.generation
        response.protocolType = answer.protocolType
        response.protocolName = answer.protocolName ?? (version >= 7 ? nil : "")
        response.leader = answer.leader
        response.skipsAssignment = answer.skipAssignment
        response.memberID = answer.memberID
        response.members = answer.members.map {
            JoinGroupResponse.Member(memberID: $0.id, groupInstanceID: $0.instanceID, metadata: $0.metadata)
        }
        return response
    }

    func sync(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(SyncGroupRequest.self)
        let assignments = asked.assignments.map { ($0.memberID, $0.assignment.ownCopy()) }
        let sync = GroupSync(
            group: asked.groupID, generation: asked.generationID, memberID: asked.memberID,
            instanceID: asked.groupInstanceID, protocolType: asked.protocolType, protocolName: asked.protocolName,
            assignments: Dictionary(assignments) { _, last in last })
        return groups.sync(sync, on: loop).map { answer in
            var response = SyncGroupResponse()
            response.errorCode = answer.error
            response.protocolType = answer.protocolType
            response.protocolName = answer.protocolName
            response.assignment = answer.assignment
            return response
        }.answer(request)
    }

    func heartbeat(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?>
    {
        let asked = try request.decode(HeartbeatRequest.self)
        var response = HeartbeatResponse()
        response.errorCode = groups.heartbeat(
            group: asked.groupID, memberID: asked.memberID, instanceID: asked.groupInstanceID,
            generation: asked.generationID)
        return request.answer(response, on: loop)
    }

    func leave(_ request: KafkaRequest, _ loop: any EventLoop) throws(WireError) -> EventLoopFuture<KafkaResponse?> {
        let asked = try request.decode(LeaveGroupRequest.self)
        let isBatch = request.header.apiVersion >= 3
        let leaving =
            isBatch
            ? asked.members.map { GroupLeave(memberID: $0.memberID, instanceID: $0.groupInstanceID) }
            : [GroupLeave(memberID: asked.memberID, instanceID: nil)]
        let (error, errors) = groups.leave(group: asked.groupID, leaving)
        var response = LeaveGroupResponse()
        response.errorCode = error == .none && !isBatch ? errors.first ?? .none : error
        response.members = zip(leaving, errors).map { one, code in
            var member = LeaveGroupResponse.Member()
            member.memberID = one.memberID
            member.groupInstanceID = one.instanceID
            member.errorCode = code
            return member
        }
        return request.answer(response, on: loop)
    }

    /// As Kafka shows it: a slash, then the address.
    private static func host(_ connection: KafkaConnection) -> String {
        "/" + (connection.peer?.ipAddress ?? "")
    }

    /// The familiar form with dashes.
    private func memberUUID() -> String {
        let id = memberID()
        let hex = [id.high, id.low].map { value in
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        var parts: [Substring] = []
        var rest = hex[...]
        for length in [8, 4, 4, 4, 12] {
            parts.append(rest.prefix(length))
            rest = rest.dropFirst(length)
        }
        return parts.joined(separator: "-")
    }
}

extension ByteBuffer {
    /// A copy of its own: kept for long, a slice would keep the whole request alive.
    func ownCopy() -> ByteBuffer {
        ByteBuffer(bytes: readableBytesView)
    }
}
