/// What of a damaged lane can be had, and what is lost.
public struct SalvageReport: Sendable, Equatable, CustomStringConvertible {
    /// Offsets of one topic-partition, as the site gave them, that no frame holds any more.
    public struct LostOffsets: Sendable, Equatable {
        public var topic: String
        public var partition: Int32
        public var firstOffset: Int64
        public var lastOffset: Int64
    }

    public var directory = ""
    /// Nil when nothing was written.
    public var writtenTo: String?
    public var segments: [String] = []
    /// Files in which nothing of ours was found.
    public var foreign: [String] = []
    public var frameCount = 0
    public var batchCount = 0
    public var recordCount = 0
    public var batchBytes = 0
    public var firstLSN: UInt64 = 0
    public var lastLSN: UInt64 = 0
    public var lost: [LSNGap] = []
    public var lostOffsets: [LostOffsets] = []
    public var notes: [String] = []

    public var isWhole: Bool { lost.isEmpty && lostOffsets.isEmpty }

    public var description: String {
        var lines = [
            "\(directory): \(segments.count) segments, \(frameCount) frames, \(batchCount) batches, \(recordCount) records,"
                + " \(batchBytes) bytes, LSN \(firstLSN) to \(lastLSN) can be had; \(isWhole ? "nothing is lost" : "SOME ARE LOST")"
        ]
        lines += segments.map { "  " + $0 }
        lines += foreign.map { "  \($0): nothing of a log in it" }
        lines += lost.map { "lost: LSN \($0.firstLSN) to \($0.lastLSN)" }
        lines += lostOffsets.map { "lost: \($0.topic) \($0.partition), offsets \($0.firstOffset) to \($0.lastOffset)" }
        lines += notes
        if let writtenTo { lines.append("written to \(writtenTo)") }
        return lines.joined(separator: "\n")
    }
}
