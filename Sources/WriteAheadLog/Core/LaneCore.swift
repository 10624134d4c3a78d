import NIOCore
import Sealing

/// The lane without threads: admits entries, writes groups, rotates and frees segments, recovers. One owner, blocking
/// calls.
///
/// `LaneLog` drives it from its writer thread; simulation drives it directly, on a simulated disk. Nothing in here asks
/// for the time or for randomness: `saltSeed` is handed in, times come with the entries.
public struct LaneCore<D: Disk> {
    public let configuration: LaneConfiguration
    public let disk: D
    public internal(set) var alarms = LaneAlarms()
    /// Counters since the core was made.
    public internal(set) var counters = LaneCounters()

    let saltSeed: UInt64
    let sealing: LogSealing?
    /// Seals the groups of the newest segment, if that is sealed, with a data key that this process has made. No other segment is ever
    /// written, and a failed write leads to a new segment: so a place in a file is sealed once with one key.
    var sealer: GroupSealer?
    /// When the keys are looked at next, by the clock of the entries.
    var keyLookNs: UInt64 = 0
    /// This start of the log: above all that recovery has seen. Written into every segment and group.
    public internal(set) var bootEpoch: UInt64
    /// Highest boot epoch that recovery met.
    var bootEpochSeen: UInt64 = 0
    var state: LaneState
    var segments: [LiveSegment<D.File>] = []
    private(set) var closedBytes = 0
    /// Counts changes of the set of segments.
    private(set) var layoutVersion = 0
    /// Names of zeroed or used segment files ready to be taken.
    var spares: [String] = []
    /// Segments freed since the last sync of the directory, and the names of those that will be spares.
    var freedCount = 0
    var freed: [String] = []
    /// Where the next group of the newest segment goes.
    var tailBytes = 0
    /// The newest segment must not be written any more: a write failed there, or another segment may exist after it.
    var mustRotate = true
    /// The newest segment may be written, but data belongs into one that is sealed otherwise. Control frames go there when nothing else can be
    /// had: on a full disk they are what makes room.
    var wantsRotation = false
    /// The checkpoint of the newest segment cannot be read: the state came from an older one, which stays until another is written.
    var needsCheckpoint = false
    var nextSegment: UInt64 = 1
    /// Set from recovery until `settle()` has succeeded.
    var unsettled: UnsettledTail?
    /// Attempts to settle that failed.
    var settleFailures = 0
    /// Latest monotonic time seen in entries or uploads.
    var clockNs: UInt64 = 0
    /// Rows of the index for what the last commit made durable.
    var committed: [IndexEntry] = []
    var isFailing = false
    /// Submitted, and not yet known to be durable.
    var writing: StagedGroup?
    /// Being filled behind it.
    var staged: StagedGroup?
    private let stagings: (Staging, Staging)
    let reader: LogReader<D>
    /// What the segments begun in this process hold.
    var tallies = SegmentTallies()
    /// Wall time of the newest batch, and how far it may be believed.
    var lastWallMs: Int64 = 0
    var lastWallQuality: UInt8 = 0
    /// Latest monotonic time of a batch; 0 when none has come since the start.
    var lastAppendNs: UInt64 = 0
    /// Monotonic time at which the age of what recovery found is counted from.
    var ageStartNs: UInt64 = 0

    /// `saltSeed` must differ from run to run in production, so that stale blocks never verify. `bootEpoch` is what the
    /// installation counts this start as; recovery raises it above all that the segments know.
    public init(
        configuration: LaneConfiguration, disk: D, saltSeed: UInt64, bootEpoch: UInt64 = 0, sealing: LogSealing? = nil
    ) throws(WALError) {
        try configuration.validate()
        if sealing != nil, configuration.name.utf8.count > LogKeyRecord.laneBytesMax {
            throw .configuration(
                "lane \(configuration.name): a name of a sealed lane has at most \(LogKeyRecord.laneBytesMax) bytes")
        }
        self.sealing = sealing
        self.configuration = configuration
        self.disk = disk
        self.saltSeed = saltSeed
        self.bootEpoch = bootEpoch
        state = Self.emptyState(configuration)
        stagings = (
            Staging(capacityBytes: configuration.groupBytesMax), Staging(capacityBytes: configuration.groupBytesMax)
        )
        reader = LogReader(disk: disk)
    }

    static func emptyState(_ configuration: LaneConfiguration) -> LaneState {
        LaneState(
            producersMax: configuration.producersMax, partitionsMax: configuration.partitionsMax,
            gapBytesMax: configuration.gapBytesMax)
    }

    /// What is being written or staged does not count.
    public var durableLSN: UInt64 { ((writing ?? staged)?.firstLSN ?? state.nextLSN) - 1 }
    public var uploadState: UploadState { state.uploads.state }

    public var partitions: [LocalPartition] { state.durable.partitions.rows.map(LocalPartition.init) }

    /// Nothing is being written or staged: only then may control frames be written and segments begun or freed.
    var isIdle: Bool { writing == nil && staged == nil }

    /// New segments are sealed.
    var seals: Bool { sealing?.seals == true }
    /// Bytes before the first frame of a group.
    var groupHeadBytes: Int { GroupHeader.headBytes(isSealed: seals) }

    /// The buffer that the disk is not writing from.
    var idleStaging: Staging { writing?.staging === stagings.0 ? stagings.1 : stagings.0 }

    /// Durable batches from `lsn` on; see `LaneSource.read`.
    public func read(from lsn: UInt64, maxBytes: Int, maxCount: Int) throws(WALError) -> LogSlice {
        var slice = try reader.read(from: lsn, maxBytes: maxBytes, maxCount: maxCount, in: view)
        state.gaps.censor(&slice)
        return slice
    }

    /// Bytes that count against the quota: closed segments whole, the newest up to its tail.
    public var diskBytes: Int { segments.isEmpty ? 0 : closedBytes + tailBytes }

    /// To be called after `segments` gained or lost one.
    mutating func segmentsChanged() {
        closedBytes = segments.dropLast().reduce(0) { $0 + $1.sizeBytes }
        layoutVersion += 1
    }

    var view: LogView<D.File> {
        var live = segments
        if !live.isEmpty, live[live.count - 1].isReadable { live[live.count - 1].endBytes = tailBytes }
        return LogView(segments: live, durableLSN: durableLSN)
    }
}

/// What a core has done since it was made.
public struct LaneCounters: Sendable, Equatable {
    public var groups: UInt64 = 0
    public var batches: UInt64 = 0
    public var records: UInt64 = 0
    public var bytes: UInt64 = 0
    public var duplicates: UInt64 = 0
    public var rejections: UInt64 = 0
    public var written = WrittenBytes()
}

extension LocalPartition {
    init(_ row: PartitionTable.Row) {
        self.init(
            topic: row.name.topic, partition: row.name.partition, logStartOffset: row.logStart,
            highWatermark: row.nextOffset)
    }
}
