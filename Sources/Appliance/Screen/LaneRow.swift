/// What one lane has done, in log sequence numbers (LSN, one a record batch) and bytes, at one moment.
struct LaneRow: Sendable, Equatable {
    var name: String
    var records: UInt64 = 0
    var bytes: UInt64 = 0
    /// Each is the newest LSN that has come so far; they follow one another.
    var acceptedLSN: UInt64 = 0
    var durableLSN: UInt64 = 0
    var uploadedLSN: UInt64 = 0
    var visibleLSN: UInt64 = 0
    var diskBytes: Int = 0
    var quotaBytes: Int = 0
    /// How old the newest data that consumers see is; nil while nothing waits.
    var lagMs: Int64?
    var trouble: String?
}

/// Finds how far consumers are behind intake: remembers when each LSN was accepted, bounded.
struct LagClock: Sendable {
    private var marks: [(lsn: UInt64, atMs: Int64)] = []
    private let marksMax: Int

    init(marksMax: Int = 4096) { self.marksMax = marksMax }

    /// - Returns: the age in ms of the oldest accepted LSN that is not visible yet; nil when all is.
    mutating func lag(accepted: UInt64, visible: UInt64, nowMs: Int64) -> Int64? {
        if accepted > (marks.last?.lsn ?? 0) {
            if marks.count == marksMax { marks = marks.enumerated().filter { $0.offset % 2 == 1 }.map(\.element) }
            marks.append((accepted, nowMs))
        }
        marks.removeAll { $0.lsn <= visible }
        return marks.first.map { max(0, nowMs - $0.atMs) }
    }
}
