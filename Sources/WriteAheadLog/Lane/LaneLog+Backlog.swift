/// What is durable in a lane and not in the object store yet.
public struct LaneBacklog: Sendable, Equatable {
    /// Bytes of log, frames and padding included; up to a MiB more than there is.
    public var bytes = 0
    /// When its oldest batch was taken, by the wall clock that stamped it; nil when nothing waits.
    public var oldestWallMs: Int64?
    public var oldestClockQuality = ClockQuality.unknown

    public init() {}
}

extension LaneLog {
    /// Reads one frame from the disk: not for event loops.
    public func backlog() -> LaneBacklog {
        let view = published.view
        let next = uploadState.uploadedThrough + 1
        guard next <= view.durableLSN, let slice = try? read(from: next, maxBytes: 1, maxCount: 1),
            let oldest = slice.batches.first
        else { return LaneBacklog() }
        var backlog = LaneBacklog()
        backlog.bytes = view.bytes(from: oldest.lsn)
        backlog.oldestWallMs = oldest.wallMs
        backlog.oldestClockQuality = oldest.clockQuality
        return backlog
    }
}

extension LogView {
    /// Bytes of segments from the group that holds `lsn` on, or from a place before it.
    func bytes(from lsn: UInt64) -> Int {
        guard let place = place(of: lsn) else { return 0 }
        let whole = segments[(place + 1)...].reduce(0) { $0 + $1.endBytes }
        return whole + max(0, segments[place].endBytes - segments[place].mark(before: lsn).offsetBytes)
    }
}
