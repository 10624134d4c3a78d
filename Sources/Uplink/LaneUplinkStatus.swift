public import WriteAheadLog

/// Where one lane's uploads stand, for pages, metrics and decisions. A snapshot; it costs one lock.
public struct LaneUplinkStatus: Sendable, Equatable {
    /// What the lane does at the moment.
    public enum Phase: String, Sendable, Equatable {
        /// Nothing to upload, or waiting for a flush interval or a permit.
        case waiting
        case reading, planning, putting, comparing, recording
        /// Something to upload, but no upload may begin now: ``PacingStatus`` says why.
        case held
        /// The last attempt failed; the next one comes by itself.
        case resting
        /// The last attempt failed for good: somebody must act. Tried again slowly.
        case parked
    }

    public var lane: String
    public var phase = Phase.waiting
    /// Sequence of the next new object.
    public var nextSequence: UInt64 = 1
    public var currentPlan: UploadPlan?
    /// Attempt number of the present step, from 1.
    public var attempt = 1
    public var durableLSN: UInt64 = 0
    public var uploadedThrough: UInt64 = 0
    /// Since the process started.
    public var uploadedObjects: UInt64 = 0
    public var uploadedObjectBytes: UInt64 = 0
    public var uploadedLogBytes: UInt64 = 0
    public var uploadedRecords: UInt64 = 0
    public var failedAttempts: UInt64 = 0
    /// LSNs of uploaded ranges that the log could not read any more.
    public var lostLSNs: UInt64 = 0
    /// Records whose times were moved, because the clock became known after they had come in.
    public var redatedRecords: UInt64 = 0
    /// Records that went up marked as without a time, because the clock was never known on that run of the machine, or not yet.
    public var undatedRecords: UInt64 = 0
    /// Time since the uplink started.
    public var lastSuccess: Duration?
    /// The last failure that has not been followed by a success.
    public var lastError: String?
    /// Set while somebody must act: operation and reason.
    public var alarm: String?
    /// Nil until an object was sent.
    public var linkBytesPerSecond: Double?
    /// Bytes of object for one byte of log.
    public var compressionRatio = 1.0
    public var isBacklog = false
    /// When the next attempt or the next object is due, since the uplink started.
    public var nextTry: Duration?
    /// Sequence of the last object the cloud says it has adopted.
    public var adoptedThrough: UInt64?
    public var isAnnouncing = false
    public var lastAnnounceError: String?
    /// The cloud refuses this site, or knows of objects that this log does not: somebody must act.
    public var announceAlarm: String?

    public init(lane: String) { self.lane = lane }

    /// Durable LSNs (batches and a few control frames) that are not known to be in the store.
    public var backlogLSNs: UInt64 { durableLSN > uploadedThrough ? durableLSN - uploadedThrough : 0 }
}
