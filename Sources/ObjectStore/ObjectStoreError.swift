/// The step of an ``ObjectStore`` that failed.
public enum ObjectStoreOperation: String, Sendable, Hashable, CaseIterable {
    case put, get, head, list, delete, open, probe
}

/// Why a store did not do what it was asked: operation, key, reason, and what a caller may do about it.
///
/// Never holds a credential, a signature or a signed URL.
public struct ObjectStoreError: Error, Equatable {
    public enum Kind: Sendable, Equatable {
        /// No such object. Final, save for a store without read-after-write.
        case notFound
        /// The object ends before the asked range does. Final.
        case rangeOutsideObject
        /// Credentials, policy, bucket or region are wrong: an operator must act. Do not hammer; alarm, and look again slowly.
        case denied
        /// The store wants less. Wait, at least `retryAfter` where it is given.
        case throttled(retryAfter: Duration?)
        /// Another writer of the same key was under way (S3: 409 ConditionalRequestConflict). Try again.
        case conflict
        /// No connection, a connection that broke, or a failure inside the store. Try again; the effect is unknown.
        case unavailable
        /// No answer in time. Try again; the effect is unknown.
        case timeout
        /// The store has no room. Try again slowly; alarm.
        case full
        /// The request can never work as it is: a bad key, an unsupported feature, an impossible range. Final.
        case invalid(String)
        /// The answer contradicts itself or the bytes changed on the way (length, digest, unreadable reply). Try again, then alarm.
        case corrupt(String)
        /// The caller's task was cancelled. The effect is unknown.
        case cancelled
    }

    public var operation: ObjectStoreOperation
    /// The object, or the prefix of a listing.
    public var key: String
    public var kind: Kind
    /// The HTTP status, or the errno of a directory store.
    public var status: Int?
    /// What the store said, shortened; for people.
    public var detail: String

    public init(
        _ operation: ObjectStoreOperation, key: String, _ kind: Kind, status: Int? = nil, detail: String = ""
    ) {
        self.operation = operation
        self.key = key
        self.kind = kind
        self.status = status
        self.detail = String(detail.prefix(Self.detailCharactersMax))
    }

    private static let detailCharactersMax = 300

    /// Whether the same call may succeed later without anybody changing anything.
    public var isRetryable: Bool {
        switch kind {
        case .throttled, .conflict, .unavailable, .timeout, .full, .corrupt: true
        case .notFound, .rangeOutsideObject, .denied, .invalid, .cancelled: false
        }
    }

    /// Whether the store may have done it all the same.
    public var effectUnknown: Bool {
        switch kind {
        case .unavailable, .timeout, .corrupt, .cancelled: true
        case .notFound, .rangeOutsideObject, .denied, .throttled, .conflict, .full, .invalid: false
        }
    }

    /// The least pause the store asked for.
    public var retryAfter: Duration? {
        if case .throttled(let pause) = kind { pause } else { nil }
    }
}

extension ObjectStoreError: CustomStringConvertible {
    /// One line, such as `put sites/a/1: throttled, retry after 2.0 seconds (status 503) SlowDown: reduce your rate`.
    public var description: String {
        var text = "\(operation.rawValue) \(key.isEmpty ? "(no key)" : key): \(reason)"
        if let status { text += " (status \(status))" }
        if !detail.isEmpty { text += " \(detail)" }
        return text
    }

    private var reason: String {
        switch kind {
        case .notFound: "not found"
        case .rangeOutsideObject: "range outside the object"
        case .denied: "denied"
        case .throttled(nil): "throttled"
        case .throttled(let pause?): "throttled, retry after \(pause)"
        case .conflict: "conflicting write under way"
        case .unavailable: "unavailable"
        case .timeout: "no answer in time"
        case .full: "store is full"
        case .invalid(let why): "invalid: \(why)"
        case .corrupt(let why): "corrupt: \(why)"
        case .cancelled: "cancelled"
        }
    }
}
