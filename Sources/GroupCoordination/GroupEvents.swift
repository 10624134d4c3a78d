import KafkaProtocol
import NIOCore

/// Facts of one JoinGroup.
struct GroupJoin {
    var group: String
    var memberID: String
    var instanceID: String?
    /// The id this member gets if it has none; the caller makes it unique.
    var newMemberID: String
    var clientID: String
    var clientHost: String
    var sessionTimeoutMs: Int32
    var rebalanceTimeoutMs: Int32
    var protocolType: String
    var protocols: [GroupProtocol]
    /// JoinGroup v4 and later: a dynamic member must come back with the id it was given.
    var requiresKnownMemberID: Bool
    /// JoinGroup v9 and later.
    var supportsSkippingAssignment: Bool
}

/// Facts of one SyncGroup.
struct GroupSync {
    var group: String
    var generation: Int32
    var memberID: String
    var instanceID: String?
    /// v5 and later; nil does not check.
    var protocolType: String?
    var protocolName: String?
    var assignments: [String: ByteBuffer]
}

/// One member that leaves.
public struct GroupLeave: Sendable {
    public var memberID: String
    public var instanceID: String?

    public init(memberID: String, instanceID: String?) {
        self.memberID = memberID
        self.instanceID = instanceID
    }
}

/// The answer to a JoinGroup.
struct JoinAnswer: Equatable {
    struct Member: Equatable {
        var id: String
        var instanceID: String?
        var metadata: ByteBuffer
    }
    var error: ErrorCode = .none
    var generation: Int32 = -1
    var protocolType: String?
    var protocolName: String?
    var leader = ""
    var skipAssignment = false
    var memberID = ""
    /// Everybody, for the leader; empty for others.
    var members: [Member] = []
}

/// The answer to a SyncGroup.
struct SyncAnswer: Equatable {
    var error: ErrorCode = .none
    var protocolType: String?
    var protocolName: String?
    var assignment = ByteBuffer()
}

/// What the driver must do: answer the request that came with the token.
enum GroupAction: Equatable {
    case answerJoin(GroupToken, JoinAnswer)
    case answerSync(GroupToken, SyncAnswer)
}

enum GroupState: String, Equatable, Sendable {
    case empty = "Empty"
    case preparingRebalance = "PreparingRebalance"
    case completingRebalance = "CompletingRebalance"
    case stable = "Stable"
    case dead = "Dead"
}

/// A group as DescribeGroups and ListGroups show it.
struct GroupDescription: Equatable {
    struct Member: Equatable {
        var id: String
        var instanceID: String?
        var clientID: String
        var clientHost: String
        var metadata: ByteBuffer
        var assignment: ByteBuffer
    }
    var group: String
    var state: GroupState
    var protocolType = ""
    var protocolName = ""
    var members: [Member] = []
}
