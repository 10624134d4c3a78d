public import GNSS

/// Settings of the caster that GNSS base stations send to. Plain values.
public struct NTRIPConfiguration: Sendable, Equatable {
    public var name = "ntrip"
    public var host: String
    public var port: Int
    public var connectionsMax = 256
    /// Of those, connections that have not logged in yet.
    public var loginsMax = 64
    /// A source that sends nothing for so long is dropped.
    public var idleTimeout: Duration = .seconds(60)
    /// A new source takes the mountpoint of one that has been silent for longer, as a half-open connection is. Ten epochs of the
    /// usual one a second: a link that stalls comes back sooner, a base that starts again needs as long to have satellites.
    public var takeoverSilence: Duration = .seconds(10)
    /// From connecting to being logged in.
    public var loginTimeout: Duration = .seconds(10)
    public var headBytesMax = 8192
    /// How long ``NTRIPListener/shutdown()`` waits for records to become durable.
    public var shutdownLimit: Duration = .seconds(10)
    /// The `CAS` and `NET` lines of the sourcetable.
    public var casters: [Sourcetable.Caster] = []
    public var networks: [Sourcetable.Network] = []

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

/// A mountpoint that sources may send to.
public struct Mountpoint: Sendable, Equatable {
    /// `*` in a ``MountpointTable`` stands for every name that has no entry of its own.
    public var name: String
    /// Demanded of version 2 sources if set; version 1 has no user names.
    public var user: String?
    public var password: String
    public var stream: StreamConfiguration
    /// What the sourcetable says; format and details come from the source while it has none.
    public var description: Sourcetable.Stream?

    public init(name: String, user: String? = nil, password: String, stream: StreamConfiguration) {
        self.name = name
        self.user = user
        self.password = password
        self.stream = stream
    }
}

/// Who wants to send.
public struct SourceLogin: Sendable, Equatable {
    public var mountpoint: String
    /// Nil in version 1.
    public var user: String?
    /// Nil if a version 2 source sent none.
    public var password: String?

    public init(mountpoint: String, user: String?, password: String?) {
        self.mountpoint = mountpoint
        self.user = user
        self.password = password
    }
}

public enum LoginDecision: Sendable, Equatable {
    case accepted(Mountpoint)
    case badPassword
    case unknownMountpoint
    /// Nothing can be said now: the socket is closed without an answer, because casters' errors stop some sources for good.
    case unavailable
}

/// Decides who may send. Called on event loops: it must not block.
public protocol MountpointAuthority: Sendable {
    func decide(_ login: SourceLogin) -> LoginDecision
    /// What the sourcetable lists.
    var mountpoints: [Mountpoint] { get }
}

/// The mountpoints of a configuration file.
public struct MountpointTable: MountpointAuthority {
    public let mountpoints: [Mountpoint]
    private let byName: [String: Mountpoint]

    /// Of two entries with the same name the last one counts.
    public init(_ mountpoints: [Mountpoint]) {
        self.mountpoints = mountpoints.filter { $0.name != "*" }
        byName = Dictionary(mountpoints.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    public func decide(_ login: SourceLogin) -> LoginDecision {
        guard var mountpoint = byName[login.mountpoint] ?? byName["*"], login.mountpoint != "*" else {
            return .unknownMountpoint
        }
        mountpoint.name = login.mountpoint
        let isUser = mountpoint.user == nil || login.user == nil || isSame(login.user ?? "", mountpoint.user ?? "")
        guard let password = login.password, isSame(password, mountpoint.password), isUser else { return .badPassword }
        return .accepted(mountpoint)
    }

    /// Takes as long for a nearly right secret as for a wrong one of the same length.
    private func isSame(_ a: String, _ b: String) -> Bool {
        let a = Array(a.utf8)
        let b = Array(b.utf8)
        guard a.count == b.count else { return false }
        return zip(a, b).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
