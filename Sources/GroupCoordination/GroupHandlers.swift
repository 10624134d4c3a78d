public import KafkaListener
public import KafkaProtocol
public import NIOCore

/// Everything that is asked of a group coordinator on the wire.
public struct GroupHandlers: Sendable {
    private let membership: MembershipHandler
    private let offsets: OffsetsHandler
    private let admin: GroupAdminHandler
    private let offsetDelete: OffsetDeleteHandler

    /// - Parameter memberID: makes the ids of members unique; a new one for every call.
    public init(
        groups: GroupService, offsets: any GroupOffsetStore, directory: any CoordinatorDirectory,
        memberID: @escaping @Sendable () -> KafkaUUID
    ) {
        membership = MembershipHandler(groups: groups, directory: directory, memberID: memberID)
        self.offsets = OffsetsHandler(groups: groups, store: offsets)
        admin = GroupAdminHandler(groups: groups, store: offsets)
        offsetDelete = OffsetDeleteHandler(groups: groups, store: offsets)
    }

    public static let apis: [SupportedAPI] = [
        SupportedAPI(OffsetCommitRequest.self),
        SupportedAPI(OffsetFetchRequest.self),
        SupportedAPI(FindCoordinatorRequest.self),
        SupportedAPI(JoinGroupRequest.self),
        SupportedAPI(HeartbeatRequest.self),
        SupportedAPI(LeaveGroupRequest.self),
        SupportedAPI(SyncGroupRequest.self),
        SupportedAPI(DescribeGroupsRequest.self),
        SupportedAPI(ListGroupsRequest.self),
        SupportedAPI(DeleteGroupsRequest.self),
        SupportedAPI(OffsetDeleteRequest.self),
    ]

    /// Nil for a request that is none of ``apis``. Throws where the body does not parse.
    public func handle(
        _ request: KafkaRequest, on connection: KafkaConnection
    ) throws(WireError) -> EventLoopFuture<KafkaResponse?>? {
        let loop = connection.eventLoop
        switch request.header.apiKey {
        case .findCoordinator: return try membership.findCoordinator(request, on: connection)
        case .joinGroup: return try membership.join(request, on: connection)
        case .syncGroup: return try membership.sync(request, loop)
        case .heartbeat: return try membership.heartbeat(request, loop)
        case .leaveGroup: return try membership.leave(request, loop)
        case .offsetCommit: return try offsets.commit(request, loop)
        case .offsetFetch: return try offsets.fetch(request, loop)
        case .describeGroups: return try admin.describe(request, loop)
        case .listGroups: return try admin.list(request, loop)
        case .deleteGroups: return try admin.delete(request, loop)
        case .offsetDelete: return try offsetDelete.handle(request, loop)
        default: return nil
        }
    }
}
