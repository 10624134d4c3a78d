public import GroupCoordination
public import NIOCore

/// What a user may change about the broker role. Sizes are bytes.
public struct CloudConfiguration: Sendable, Equatable {
    /// This node's number, as Kafka clients see it. Unique in a deployment; part of the keys of its objects.
    public var nodeID: Int32 = 1
    public var clusterID = "cairn"
    /// What clients are told to connect to; see also ``CloudBroker/advertise(host:port:)``.
    public var advertisedHost = "127.0.0.1"
    public var advertisedPort = 9092
    public var rack: String?
    /// auto.create.topics.enable
    public var createsTopics = true
    /// num.partitions
    public var partitionsDefault: Int32 = 1
    public var topics = TopicDefaults()
    public var groups = GroupConfiguration()
    public var produce = ProduceConfiguration()
    public var fetch = FetchConfiguration()
    public var adoption = AdoptionConfiguration()
    public var sites = SiteSettings()
    public var retention = RetentionConfiguration()
    public var housekeeping = HousekeepingConfiguration()
    public var transactions = TransactionConfiguration()
    /// The node's own log, for topics of `cairn.ack=wal`.
    public var volume = VolumeConfiguration()

    public init() {}
}

/// Values of topic options that a topic does not set itself.
public struct TopicDefaults: Sendable, Equatable {
    /// max.message.bytes
    public var batchBytesMax = 1_048_588
    /// retention.ms; -1 keeps for ever.
    public var retentionMs: Int64 = 7 * 24 * 3_600_000
    /// retention.bytes per partition; -1 is no limit.
    public var retentionBytes: Int64 = -1
    /// cairn.ack: what must have a batch before it is acknowledged.
    public var ack = AckMode.object

    public init() {}
}

/// How batches of producers become shared objects.
public struct ProduceConfiguration: Sendable, Equatable {
    /// An object is written so long after its first batch came, ...
    public var interval: TimeAmount = .milliseconds(250)
    /// ... or at this size.
    public var objectBytes = 8 << 20
    /// Batches that are not committed yet, those in uploads included. More must wait.
    public var pendingBytesMax = 64 << 20
    /// Batches that wait for room among those. More are refused at once with a retriable error.
    public var parkedBytesMax = 64 << 20
    /// Uploads at a time.
    public var uploadsMax = 8
    /// Limits of what a request may ask for as its timeout: an upload is given up after the longest of its requests.
    public var timeoutMin: TimeAmount = .seconds(5)
    public var timeoutMax: TimeAmount = .seconds(60)

    public init() {}
}

/// Long polls, caches and reads from the store.
public struct FetchConfiguration: Sendable, Equatable {
    /// Whole objects just written here, for those who read the tail.
    public var tailBytesMax = 64 << 20
    /// Blocks of objects as the store gave them.
    public var blockBytesMax = 64 << 20
    /// Batches with their offsets, verified: what responses are made of.
    public var pieceBytesMax = 128 << 20
    /// One GET reads an aligned block of this size.
    public var blockBytes = 4 << 20
    /// GETs at a time.
    public var readsMax = 16
    /// One response, whatever the client asks for (its first batch is always sent whole).
    public var responseBytesMax = 16 << 20
    /// All responses that clients have not taken yet.
    public var responsesBytesMax = 256 << 20
    /// Longest wait of a long poll, whatever the client asks for.
    public var waitMax: TimeAmount = .seconds(60)
    /// How long a fetch waits for the store before it answers with an error.
    public var storeWaitMax: TimeAmount = .seconds(10)
    /// Read-ahead of a reader that goes on where it stopped: doubles between these.
    public var readAheadBytes = (512 << 10)...(8 << 20)

    public init() {}
}

/// How site objects are found and taken over.
public struct AdoptionConfiguration: Sendable, Equatable {
    /// Between two listings of the sites' objects.
    public var interval: TimeAmount = .minutes(5)
    /// Objects read at a time, over all sites.
    public var concurrencyMax = 8
    /// Announcements that wait for the one lane that they name.
    public var waitersPerLaneMax = 16
    /// Sites that nobody registered are adopted.
    public var takesUnregisteredSites = true
    /// Reads every byte of an object and checks it before adopting it.
    public var verifiesRuns = false
    /// What stays away from Kafka's own names; see ``AdoptionConfiguration/allows(site:topic:)``.
    public var topicsRefusedPrefix = "__"
    /// An object that does not fit is looked at again after this long at the earliest.
    public var quarantineRetry: TimeAmount = .seconds(30)

    public init() {}

    /// Whether a site may write to a topic.
    func allows(site: String, topic: String) -> Bool {
        TopicName.isValid(topic) && (topicsRefusedPrefix.isEmpty || !topic.hasPrefix(topicsRefusedPrefix))
    }
}

public struct RetentionConfiguration: Sendable, Equatable {
    /// Between two looks at what has expired.
    public var interval: TimeAmount = .seconds(60)
    /// An object is deleted so long after nothing named it any more, by this process's monotonic clock.
    public var grace: TimeAmount = .minutes(10)
    /// Between two listings of all cloud objects, for those that nobody will ever name: slow, and a LIST per thousand objects.
    public var scrubInterval: TimeAmount = .hours(6)
    /// Objects deleted in one request, partitions moved in one command.
    public var chunk = 500
    /// A producer that wrote nothing for so long is forgotten: producer.id.expiration.ms.
    public var producerIdleMs: Int64 = 24 * 3_600_000

    public init() {}
}

/// What must have a batch before it is acknowledged: the topic option `cairn.ack`.
public enum AckMode: String, Sendable, CaseIterable {
    /// The object store: survives the node, costs a PUT of latency.
    case object
    /// The disk of the node: milliseconds; the object comes later.
    case wal
}

/// Limits of transactions, by Kafka's names.
public struct TransactionConfiguration: Sendable, Equatable {
    /// transaction.max.timeout.ms
    public var timeoutMsMax: Int32 = 900_000
    /// transactional.id.expiration.ms
    public var idExpirationMs: Int64 = 7 * 24 * 3_600_000
    /// transaction.abort.timed.out.transaction.cleanup.interval.ms
    public var timeoutsInterval: TimeAmount = .seconds(1)

    public init() {}
}
