/// Settings of one lane: values a user may change, nothing that acts.
///
/// Sizes are bytes. `validate()` names the first value that cannot work.
public struct LaneConfiguration: Sendable, Equatable {
    /// Name of the lane as the uplink and the cloud know it, e.g. `critical`.
    public var name: String
    /// Directory of this lane's segments and index; made when absent.
    public var directory: String
    public var segmentSizeBytes: Int
    /// Most bytes the live segments may take; reaching it rejects data, never control frames.
    public var quotaBytes: Int
    /// Under load at most one group commit in this time; an idle lane commits at once.
    public var commitWindow: Duration
    /// Most bytes of one group: one write and one fdatasync.
    public var groupBytesMax: Int
    /// Most bytes that may wait for the writer; more is answered `.overloaded`.
    public var pendingBytesMax: Int
    /// What stays on disk although it has been uploaded. The quota goes before it.
    public var localRetention: LocalRetention
    /// Idempotent producers remembered, over all partitions; the one unused longest is forgotten first.
    public var producersMax: Int
    /// Topic-partitions of this lane; a batch for one more is rejected.
    public var partitionsMax: Int
    /// Freed segments kept for reuse.
    public var spareSegmentsMax: Int
    public var engine: EngineChoice
    /// What a lane at its quota does with new data.
    public var fullPolicy: FullPolicy
    /// Data that has waited longer for its upload is dropped; nil keeps it for ever. Needs `FullPolicy.dropOldest`.
    public var quotaAge: Duration?

    /// What gives way when the lane is full.
    public enum FullPolicy: String, Sendable, CaseIterable {
        /// New data is rejected until the uplink has made room.
        case reject
        /// The oldest data that is in no plan is given up, and a gap record says so.
        case dropOldest = "drop-oldest"
    }

    /// The flash's erase block, or a multiple of it: segments are whole multiples. 4096 where it does not matter.
    public var eraseBlockBytes: Int
    public var scrub: Scrub

    /// Reading closed segments again, to find rot before a reader does.
    public struct Scrub: Sendable, Equatable {
        /// Most bytes read in a second; 0 switches it off.
        public var bytesPerSecond: Int
        /// From the start of one round over all segments to the start of the next.
        public var interval: Duration

        public init(bytesPerSecond: Int = 1 << 20, interval: Duration = .seconds(86_400)) {
            self.bytesPerSecond = bytesPerSecond
            self.interval = interval
        }
    }

    /// How group commits reach the disk.
    public enum EngineChoice: String, Sendable, CaseIterable {
        /// io_uring when the kernel lets us, else pwrite. `CAIRN_WAL_ENGINE=pwrite` forces the fallback.
        case automatic
        /// pwrite and fdatasync, two system calls a group.
        case pwrite
    }

    /// Uploaded segments kept for local readers.
    public struct LocalRetention: Sendable, Equatable {
        public var keepBytes: Int
        /// Counted from the moment the segment was closed, by the monotonic clock; a restart counts anew.
        public var keepAge: Duration

        public init(keepBytes: Int = 0, keepAge: Duration = .zero) {
            self.keepBytes = keepBytes
            self.keepAge = keepAge
        }
    }

    public init(
        name: String, directory: String, segmentSizeBytes: Int = 64 << 20, quotaBytes: Int = 8 << 30,
        commitWindow: Duration = .milliseconds(1), groupBytesMax: Int = 8 << 20, pendingBytesMax: Int = 64 << 20,
        localRetention: LocalRetention = LocalRetention(), producersMax: Int = 8192, partitionsMax: Int = 8192,
        spareSegmentsMax: Int = 2, engine: EngineChoice = .automatic, eraseBlockBytes: Int = Block.sizeBytes,
        scrub: Scrub = Scrub(), fullPolicy: FullPolicy = .reject,
        quotaAge: Duration? = nil
    ) {
        self.name = name
        self.directory = directory
        self.segmentSizeBytes = segmentSizeBytes
        self.quotaBytes = quotaBytes
        self.commitWindow = commitWindow
        self.groupBytesMax = groupBytesMax
        self.pendingBytesMax = pendingBytesMax
        self.localRetention = localRetention
        self.producersMax = producersMax
        self.partitionsMax = partitionsMax
        self.spareSegmentsMax = spareSegmentsMax
        self.engine = engine
        self.fullPolicy = fullPolicy
        self.quotaAge = quotaAge
        self.eraseBlockBytes = eraseBlockBytes
        self.scrub = scrub
    }
}

extension LaneConfiguration {
    /// Largest record batch one frame can carry.
    public var batchBytesMax: Int {
        groupBytesMax - GroupHeader.sealedSizeBytes - FrameHeader.sizeBytes - Int(UInt8.max) * 4
    }

    /// Bytes at the end of a segment that only control frames may use, so that uploads can be recorded on a full disk.
    var controlReserveBytes: Int { min(1 << 20, segmentSizeBytes / 16) / Block.sizeBytes * Block.sizeBytes }

    /// Most bytes that the gap records waiting for their upload may take, in memory and in a checkpoint.
    var gapBytesMax: Int { min(256 << 10, segmentSizeBytes / 32) }

    /// Most bytes the checkpoint at the head of a segment can take.
    var checkpointBytesMax: Int {
        partitionsMax * Checkpoint.partitionBytesMax + (producersMax + producersMax / 16 + 1)
            * Checkpoint.producerBytesMax
            + UploadLedger.openPlansMax * Checkpoint.openPlanBytes + 3 * Block.sizeBytes
            + 4 + UploadLedger.clockPlansMax * Checkpoint.planClockBytes
            + 4 + UploadLedger.authorsMax * Checkpoint.authorBytes
            + GapLedger.encodedBytesMax(limitBytes: gapBytesMax)
    }

    /// Data is refused above this, so that control frames always still fit under the quota.
    var dataQuotaBytes: Int { quotaBytes - min(segmentSizeBytes / 2, quotaBytes / 4) }

    public func validate() throws(WALError) {
        func demand(_ holds: Bool, _ message: String) throws(WALError) {
            if !holds { throw .configuration("lane \(name): \(message)") }
        }
        try demand(
            segmentSizeBytes % Block.sizeBytes == 0, "segmentSizeBytes \(segmentSizeBytes) is no multiple of 4096")
        try demand(segmentSizeBytes >= 16 * Block.sizeBytes, "segmentSizeBytes \(segmentSizeBytes) is below 65536")
        try demand(
            eraseBlockBytes >= Block.sizeBytes && eraseBlockBytes % Block.sizeBytes == 0,
            "eraseBlockBytes \(eraseBlockBytes) is no multiple of 4096")
        try demand(
            segmentSizeBytes % eraseBlockBytes == 0,
            "segmentSizeBytes \(segmentSizeBytes) is no multiple of an erase block, \(eraseBlockBytes)")
        try demand(scrub.bytesPerSecond >= 0 && scrub.interval > .zero, "scrub: negative rate, or no interval")
        try demand(segmentSizeBytes <= 1 << 30, "segmentSizeBytes \(segmentSizeBytes) is above 1 GiB")
        try demand(groupBytesMax % Block.sizeBytes == 0, "groupBytesMax \(groupBytesMax) is no multiple of 4096")
        try demand(groupBytesMax >= 2 * Block.sizeBytes, "groupBytesMax \(groupBytesMax) is below 8192")
        let largest = segmentSizeBytes - controlReserveBytes
        try demand(
            groupBytesMax <= largest / 2, "groupBytesMax \(groupBytesMax) is above half a segment, \(largest / 2)")
        try demand(
            quotaBytes >= 2 * segmentSizeBytes,
            "quotaBytes \(quotaBytes) is below two segments, \(2 * segmentSizeBytes)")
        try demand(
            checkpointBytesMax <= largest / 2,
            "checkpoints of \(checkpointBytesMax) bytes do not fit half a segment; lower producersMax or partitionsMax")
        try demand(pendingBytesMax >= groupBytesMax, "pendingBytesMax \(pendingBytesMax) is below groupBytesMax")
        try demand(producersMax > 0 && partitionsMax > 0, "producersMax and partitionsMax must be above 0")
        try demand(producersMax <= 1 << 20 && partitionsMax <= 1 << 20, "producersMax, partitionsMax: at most 1048576")
        try demand(spareSegmentsMax >= 0, "spareSegmentsMax \(spareSegmentsMax) is negative")
        try demand(
            fullPolicy == .reject || quotaBytes >= 4 * segmentSizeBytes,
            "quotaBytes \(quotaBytes) is below four segments, \(4 * segmentSizeBytes), which dropping the oldest needs")
        try demand(
            quotaAge == nil || fullPolicy == .dropOldest,
            "an age limit needs the policy \(FullPolicy.dropOldest.rawValue)")
        try demand(quotaAge.map { $0 > .zero } ?? true, "the age limit must be above 0")
        try demand(commitWindow >= .zero && commitWindow <= .seconds(10), "commitWindow is not in 0...10 s")
    }
}
