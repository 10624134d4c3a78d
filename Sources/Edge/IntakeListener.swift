public import NIOCore

/// A socket of the gateway that takes terminal data in: NTRIP, plain TCP, UDP. ``EdgeGateway`` starts and stops it.
public protocol IntakeListener: Sendable {
    /// Unique within a gateway, as in the configuration.
    var name: String { get }
    /// Where it listens; `nil` before ``start()`` returned.
    var address: SocketAddress? { get }
    /// A consistent copy, cheap enough for a status page that polls.
    var counters: IntakeCounters { get }

    /// Binds and begins to accept. Throws when the address cannot be bound.
    func start() async throws
    /// Stops accepting, lets what was taken in become durable within a bound, closes every connection. Idempotent.
    func shutdown() async
}

/// What an intake listener has done since it started.
public struct IntakeCounters: Sendable, Equatable {
    public var connectionsAccepted: UInt64 = 0
    /// Refused: over a limit, unknown mountpoint, wrong password.
    public var connectionsRefused: UInt64 = 0
    public var connectionsOpen: UInt64 = 0
    /// Sources that were given the mountpoint of one that had fallen silent.
    public var takeovers: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Frames with a right checksum.
    public var framesAccepted: UInt64 = 0
    /// Bytes that belonged to no frame and went to the stream of unknown bytes.
    public var bytesUnframed: UInt64 = 0
    /// Records that are durable in the log.
    public var recordsDurable: UInt64 = 0
    /// Records that the sink refused for good, and datagrams there was no room for.
    public var recordsRefused: UInt64 = 0
    /// Times a connection was not read because its lane was full.
    public var pauses: UInt64 = 0

    public init() {}
}
