/// Tells one cloud node of a new object. `HTTPAnnouncer` in a gateway, `LocalAnnouncer` within one process.
public protocol Announcer: Sendable {
    /// Bounded in time. An error means only that nobody is known to have heard; the cloud finds the object by itself later.
    func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply
}

/// Why no cloud node is known to have heard an announcement.
public struct AnnounceError: Error, Equatable, Sendable {
    public enum Kind: Sendable, Equatable {
        /// No answer from any node: no address, no connection, no time left.
        case unreachable
        /// One of the two does not accept the other's certificate: an operator must act. Another node may be well.
        case untrusted
        /// The node wants less: wait at least this long.
        case busy(retryAfter: Duration?)
        /// The node refused this announcement (unknown site, wrong credential): an operator must act.
        case refused
        /// Another start of a gateway holds this incarnation: this one is a copy, or was set back.
        case contested
        /// The node gave out a challenge to sign with.
        case challenged
        /// The node's answer is not an ``AnnounceReply``.
        case badReply
    }
    public var kind: Kind
    public var status: Int?
    /// What was tried and what was said, for people.
    public var detail: String

    public init(_ kind: Kind, status: Int? = nil, detail: String = "") {
        self.kind = kind
        self.status = status
        self.detail = String(detail.prefix(300))
    }

    /// Every other node would say the same.
    var isFinal: Bool {
        switch kind {
        case .refused, .contested: true
        case .unreachable, .untrusted, .busy, .badReply, .challenged: false
        }
    }

    public var retryAfter: Duration? {
        if case .busy(let pause) = kind { pause } else { nil }
    }
}

extension AnnounceError: CustomStringConvertible {
    public var description: String {
        "announce: \(kind)" + (status.map { " (status \($0))" } ?? "") + (detail.isEmpty ? "" : " \(detail)")
    }
}

/// Announces to a cloud role in the same process.
public struct LocalAnnouncer: Announcer {
    private let adopt: @Sendable (Announcement) async throws(AnnounceError) -> AnnounceReply

    public init(_ adopt: @escaping @Sendable (Announcement) async throws(AnnounceError) -> AnnounceReply) {
        self.adopt = adopt
    }

    public func announce(_ announcement: Announcement) async throws(AnnounceError) -> AnnounceReply {
        try await adopt(announcement)
    }
}
