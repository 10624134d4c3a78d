import NIOCore

/// One protocol that a member offers (for consumers: an assignor's name and the encoded subscription). Bytes untouched.
struct GroupProtocol: Equatable, Sendable {
    var name: String
    var metadata: ByteBuffer
}

/// A member of a classic group.
struct GroupMember {
    let id: String
    let instanceID: String?
    var clientID: String
    var clientHost: String
    var sessionTimeout: TimeAmount
    var rebalanceTimeout: TimeAmount
    /// In the member's order of preference.
    var protocols: [GroupProtocol]
    var assignment = ByteBuffer()
    /// The parked JoinGroup.
    var joinToken: GroupToken?
    /// The parked SyncGroup.
    var syncToken: GroupToken?
    /// True until its first rebalance completes: it cannot send heartbeats yet, so waiting does not keep it alive.
    var isNew = true
    var heartbeatDeadline: NIODeadline = .distantFuture
    /// Order of arrival: the oldest member leads when the leader is gone.
    let arrival: UInt64

    var isStatic: Bool { instanceID != nil }
    var sizeBytes: Int {
        protocols.reduce(assignment.readableBytes + 512) { $0 + $1.name.utf8.count + $1.metadata.readableBytes }
    }

    /// The metadata it gave for a protocol.
    func metadata(for name: String) -> ByteBuffer? { protocols.first { $0.name == name }?.metadata }

    /// The first of its protocols that all members share.
    func vote(among candidates: Set<String>) -> String? { protocols.first { candidates.contains($0.name) }?.name }
}

/// What a caller hands in with a request that may be answered later, and gets back with the answer. Opaque here.
typealias GroupToken = UInt64
