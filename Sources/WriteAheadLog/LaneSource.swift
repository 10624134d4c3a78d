/// A lane as the uplink sees it: read what is durable, record what has been planned and uploaded.
///
/// `LaneLog` is the real one; a simulation adapts `LaneCore`. LSNs are dense, start at 1 and never go back.
public protocol LaneSource: Sendable {
    var laneName: String { get }
    /// Everything up to here survives a power cut and may be read. 0 when nothing has been written.
    var durableLSN: UInt64 { get }
    var uploadState: UploadState { get }
    /// Durable batches from `lsn` on, at least one if there is any, in LSN order. `maxBytes` counts batch bytes.
    func read(from lsn: UInt64, maxBytes: Int, maxCount: Int) throws(WALError) -> LogSlice
    /// Durable when it returns. To be repeated for an open plan that a restart has found, before anything relies on it.
    func recordPlan(_ plan: UploadPlan) async throws(WALError)
    /// Durable when it returns. Repeating a finished upload is allowed and does nothing.
    func recordUploaded(sequence: UInt64, lastLSN: UInt64) async throws(WALError)
    /// `listener` is called on the writer's thread with the new durable LSN after each group; it must not block.
    func addDurableListener(_ listener: @escaping @Sendable (UInt64) -> Void)
    /// Recorded gaps that lie in the range, wholly or in part. Those in an open plan never change.
    func gapRecords(from first: UInt64, through last: UInt64) -> [GapRecord]
    /// What was lost in ranges that `read` could not read, as far as it can be told.
    func describe(lost gaps: [LSNGap]) -> [GapRecord]
}

extension LaneSource {
    public func gapRecords(from first: UInt64, through last: UInt64) -> [GapRecord] { [] }

    public func describe(lost gaps: [LSNGap]) -> [GapRecord] {
        gaps.map { GapRecord(reason: .unreadable, firstLSN: $0.firstLSN, lastLSN: $0.lastLSN) }
    }
}

/// One site object to be: a contiguous range of LSNs under a sequence number, durable before the first PUT.
public struct UploadPlan: Sendable, Equatable, Hashable {
    /// Dense from 1 in one lane.
    public var sequence: UInt64
    public var firstLSN: UInt64
    public var lastLSN: UInt64
    /// What is done about times that a doubtful clock gave; nil: nothing, they are right as far as anybody knows.
    public var clock: PlanClock?
    /// A random number of the start of the gateway that made it, which its object bears too: where a disk was copied, the plans of
    /// two gateways agree in all else. 0: not known, as of an older program's.
    public var author: UInt64

    public init(sequence: UInt64, firstLSN: UInt64, lastLSN: UInt64, clock: PlanClock? = nil, author: UInt64 = 0) {
        self.sequence = sequence
        self.firstLSN = firstLSN
        self.lastLSN = lastLSN
        self.clock = clock
        self.author = author
    }
}

/// What was known, when a plan was made, of the clock by which batches in it were stamped while nobody believed it. It is
/// durable with the plan, so that the object comes out the same however often it is built.
public struct PlanClock: Sendable, Equatable, Hashable {
    /// Batches of this start of the log are meant, and no others.
    public var bootEpoch: UInt64
    /// A reading of the same clock that is believed; nil: there is none.
    public var reading: ClockReading?

    public init(bootEpoch: UInt64, reading: ClockReading?) {
        self.bootEpoch = bootEpoch
        self.reading = reading
    }
}

/// The wall time and the time since the start of the machine at one moment.
public struct ClockReading: Sendable, Equatable, Hashable {
    /// Since 1970-01-01 UTC.
    public var wallMs: Int64
    public var monotonicNs: UInt64

    public init(wallMs: Int64, monotonicNs: UInt64) {
        self.wallMs = wallMs
        self.monotonicNs = monotonicNs
    }

    /// A wall clock whose offset to the monotonic one moved by more has been stepped, or was wrong; neither slewing (500 ppm at
    /// most) nor a leap second comes to that.
    public static let stepMs: Int64 = 1_500

    /// Wall time less monotonic time: the same for every right reading on one run of the machine.
    public var offsetMs: Int64 { wallMs &- Int64(clamping: monotonicNs / 1_000_000) }
}

/// Where the uplink goes on after a restart.
public struct UploadState: Sendable, Equatable {
    /// Sequence of the next new plan.
    public var nextSequence: UInt64 = 1
    /// All LSNs up to here are in objects that are stored. Segments are freed up to here.
    public var uploadedThrough: UInt64 = 0
    /// Planned, not yet recorded as uploaded; by ascending sequence. To be repeated exactly as they are.
    public var openPlans: [UploadPlan] = []
    /// Last LSN of the newest plan where that is uploaded and one before it is open, as after the loss of a record; else 0.
    public var uploadedAheadThrough: UInt64 = 0

    public init(
        nextSequence: UInt64 = 1, uploadedThrough: UInt64 = 0, openPlans: [UploadPlan] = [],
        uploadedAheadThrough: UInt64 = 0
    ) {
        self.nextSequence = nextSequence
        self.uploadedThrough = uploadedThrough
        self.openPlans = openPlans
        self.uploadedAheadThrough = uploadedAheadThrough
    }

    /// First LSN no plan covers yet; the next plan starts here.
    public var nextPlanLSN: UInt64 { max(openPlans.last?.lastLSN ?? uploadedThrough, uploadedAheadThrough) + 1 }
}
