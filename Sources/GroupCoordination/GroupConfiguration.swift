public import NIOCore

/// Settings of the group coordinator. Names of the Kafka settings they stand for are beside them.
public struct GroupConfiguration: Sendable, Equatable {
    /// group.initial.rebalance.delay.ms
    public var initialRebalanceDelay: TimeAmount = .seconds(3)
    /// group.min.session.timeout.ms and group.max.session.timeout.ms
    public var sessionTimeoutMs: ClosedRange<Int32> = 6_000...1_800_000
    /// group.max.size
    public var membersMax = 1_000
    /// Groups with members, or remembered empty ones, on this node.
    public var groupsMax = 10_000
    /// Protocols and their metadata that one member may send, and one assignment.
    public var memberBytesMax = 1 << 20
    /// The same over all groups.
    public var bytesMax = 64 << 20
    /// How long a new member may wait in a rebalance without having shown any sign of life.
    public var newMemberJoinTimeout: TimeAmount = .minutes(5)

    public init() {}
}
