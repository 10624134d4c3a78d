public import ObjectStore
public import WriteAheadLog

/// What happens to one lane's data on its way into the store. Facts in, one action out: no I/O, no clock, no `await`.
///
/// One object at a time, in order: gather, make the plan durable, put, make the upload durable. A failure rests and then
/// repeats the step it befell, without end; a plan, once made, is never changed or skipped. Announcing is not here
/// (``LaneAnnounce``), so that it cannot hold up an upload. Times are measured from the start of the uplink.
public struct LaneUpload: Sendable {
    public enum Action: Sendable, Equatable {
        /// Nothing to do before `durable`.
        case awaitData
        /// Until then, or until `durable` says that `bytes` are there.
        case awaitMore(until: Duration, bytes: Int)
        /// Read batches from this LSN on; answer `gathered`.
        case gather(from: UInt64, logBytesMax: Int)
        /// Make the plan durable; answer `planRecorded`.
        case recordPlan(UploadPlan)
        /// Build the object of exactly this range, again if need be, and PUT it create-only; answer `putSucceeded` or
        /// `putExisted`.
        case put(UploadPlan, attempt: Int)
        /// The same, but over what is there, which is the torn part of an earlier attempt; answer `putSucceeded`.
        case replace(UploadPlan)
        /// Read the footer of what is there under the plan's key; answer `compared`.
        case compare(UploadPlan)
        /// Make it durable that the plan is done; answer `uploadRecorded`.
        case recordUploaded(UploadPlan)
        /// Until then. The object need not be kept: the same bytes can be built again.
        case rest(until: Duration)
    }

    /// What is there under our key.
    public enum Comparison: Sendable, Equatable {
        /// An object of the same site, incarnation, lane, sequence, LSN range and data.
        case same
        /// The beginning of our object: a store that keeps part of a PUT that broke off (SeaweedFS 4.48 does when the
        /// sender dies). Nobody can have adopted it.
        case torn(String)
        /// Something else. Never overwritten.
        case foreign(String)
        /// Nothing: it has been deleted since.
        case absent
    }

    enum Step: Sendable, Equatable {
        case reading
        case planning(UploadPlan)
        case putting(UploadPlan)
        case replacing(UploadPlan)
        case comparing(UploadPlan)
        case recording(UploadPlan)
    }

    enum State: Sendable, Equatable {
        case idle
        /// Data is there and may become more until the flush interval has passed.
        case gathering(until: Duration)
        /// The action of this step is under way.
        case busy(Step)
        case resting(Step, until: Duration)
    }

    public internal(set) var settings: LaneUploadSettings
    var state = State.idle
    /// Of the plans that it makes; ``UploadPlan/author``.
    let author: UInt64
    var openPlans: ArraySlice<UploadPlan>
    var nextSequence: UInt64
    var nextPlanLSN: UInt64
    var durableLSN: UInt64 = 0
    var durableBytes: UInt64 = 0
    /// What `durable` had said when the last gathering began: it has been looked at.
    var seenLSN: UInt64 = 0
    var seenBytes: UInt64 = 0
    /// When the last object with anything in it was gathered.
    var lastGatheredAt: Duration?
    /// The last object was full, so there is more to send than waits for an interval.
    public internal(set) var isBacklog = false
    public internal(set) var isFlushing = false
    /// It was seen to be so: before the first gathering nobody knows, and the lane is treated as live.
    public var isKnownBacklog: Bool { isBacklog && lastGatheredAt != nil }
    /// Attempts at the present step that failed.
    public internal(set) var failures = 0
    public internal(set) var sizing: ObjectSizing

    /// `upload` is what the log knows after a restart; open plans are repeated first.
    public init(settings: LaneUploadSettings, upload: UploadState, author: UInt64 = 0) {
        self.settings = settings
        self.author = author
        openPlans = upload.openPlans[...]
        nextSequence = max(upload.nextSequence, (upload.openPlans.last?.sequence).map { $0 + 1 } ?? 0)
        nextPlanLSN = upload.nextPlanLSN
        sizing = ObjectSizing(limits: settings.sizing)
        isBacklog = true
    }

    /// The plan whose object is not known to be stored yet.
    public var currentPlan: UploadPlan? {
        switch state {
        case .busy(let step), .resting(let step, _): step.plan
        case .idle, .gathering: openPlans.first
        }
    }

    /// What all lanes together know of the link, for a lane that has not sent anything yet.
    public mutating func believe(linkBytesPerSecond: Double?) { sizing.linkBytesPerSecond = linkBytesPerSecond }

    /// Everything through `durableLSN` has been looked at, and what there was is in the store.
    public func isDrained(durableLSN: UInt64) -> Bool {
        state == .idle && durableLSN <= max(seenLSN, nextPlanLSN - 1)
    }
}

extension LaneUpload.Step {
    var plan: UploadPlan? {
        switch self {
        case .reading: nil
        case .planning(let plan), .putting(let plan), .replacing(let plan), .comparing(let plan), .recording(let plan):
            plan
        }
    }
}

/// Values a user may change.
public struct LaneUploadSettings: Sendable, Equatable {
    /// How long data waits for company before it becomes an object.
    public var flushInterval: Duration
    public var sizing: ObjectSizing.Limits
    public var retry: RetryPolicy

    public init(
        flushInterval: Duration, sizing: ObjectSizing.Limits = ObjectSizing.Limits(), retry: RetryPolicy = RetryPolicy()
    ) {
        precondition(flushInterval >= .zero, "flush interval \(flushInterval)")
        self.flushInterval = flushInterval
        self.sizing = sizing
        self.retry = retry
    }

    /// Critical lanes: after a second. Standard: after five. Bulk: after thirty.
    public static let critical = LaneUploadSettings(flushInterval: .seconds(1))
    public static let standard = LaneUploadSettings(flushInterval: .seconds(5))
    public static let bulk = LaneUploadSettings(flushInterval: .seconds(30))
}
