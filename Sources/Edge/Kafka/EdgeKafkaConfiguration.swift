public import GroupCoordination

/// What a gateway says to Kafka clients, and how much they may ask of it. Sizes are bytes.
public struct EdgeKafkaConfiguration: Sendable, Equatable {
    public var nodeID: Int32 = 1
    /// Where clients shall connect; `nil` tells each client the address that it reached us at.
    public var advertisedHost: String?
    public var advertisedPort: Int?
    /// `nil` takes the installation's incarnation.
    public var clusterID: String?
    /// Whether a client may make a topic by asking for it or producing to it.
    public var autoCreatesTopics = true
    public var defaultPartitions: Int32 = 1
    public var topicsMax = 1000
    /// Kafka's `max.message.bytes`.
    public var batchBytesMax = 1_048_588
    /// One Fetch response; a client that asks for more gets this much.
    public var fetchBytesMax = 8 * 1024 * 1024
    /// All Fetch responses that are being read or sent.
    public var fetchBytesInFlightMax = 48 * 1024 * 1024
    /// Longest time a Fetch may wait for records, whatever it asks.
    public var fetchWaitMaxMs: Int32 = 60_000
    /// Consumer groups on the site; a gateway has few.
    public var groups = Self.groupsOfASite

    public init() {}

    private static var groupsOfASite: GroupConfiguration {
        var groups = GroupConfiguration()
        groups.membersMax = 200
        groups.groupsMax = 1_000
        groups.memberBytesMax = 256 << 10
        groups.bytesMax = 16 << 20
        return groups
    }
}
