import FoundationEssentials
import NIOCore
import Uplink

/// Where a gateway's uploads stand, as `/v1/uplink` and `cairn uplink status --json` say it.
struct UplinkReport: Codable, Equatable, Sendable {
    struct Lane: Codable, Equatable, Sendable {
        var lane: String
        var phase: String
        /// paused, throttled, window or budget; nil when nothing holds the lane.
        var hold: String?
        var backlogLSNs: UInt64
        var isBacklog: Bool
        var bytesPerSecond: Int
        var uploadedObjects: UInt64
        var uploadedObjectBytes: UInt64
        var failedAttempts: UInt64
        /// go-on, slow or stop.
        var budgetAction: String
        /// Seconds until it tries again or looks again; nil: nothing is waited for but data.
        var nextTrySeconds: Double?
        var lastError: String?
    }

    var isPaused: Bool
    var linkBytesPerSecond: Int?
    var capBytesPerSecond: Int?
    var window: String?
    var isClockKnown: Bool
    var budgetUsedBytes: UInt64
    var budgetBytes: UInt64?
    var budgetMonth: String?
    var lanes: [Lane]

    init(_ pacing: PacingStatus, lanes: [LaneUplinkStatus], sinceStart now: Duration) {
        isPaused = pacing.isPaused
        linkBytesPerSecond = pacing.linkBytesPerSecond.map { Int($0) }
        capBytesPerSecond = pacing.capBytesPerSecond
        window = pacing.window
        isClockKnown = pacing.isClockKnown
        budgetUsedBytes = pacing.budgetUsedBytes
        budgetBytes = pacing.budgetBytes
        budgetMonth = pacing.budgetMonth
        self.lanes = zip(pacing.lanes, lanes).map { paced, lane in
            let wait = paced.nextLook ?? lane.nextTry.map { max(.zero, $0 - now) }
            return Lane(
                lane: lane.lane, phase: lane.phase.rawValue, hold: paced.hold?.rawValue,
                backlogLSNs: lane.backlogLSNs, isBacklog: lane.isBacklog, bytesPerSecond: Int(paced.bytesPerSecond),
                uploadedObjects: lane.uploadedObjects, uploadedObjectBytes: lane.uploadedObjectBytes,
                failedAttempts: lane.failedAttempts, budgetAction: paced.budgetAction.rawValue,
                nextTrySeconds: wait.map { ($0 / .milliseconds(1)).rounded() / 1000 },
                lastError: lane.alarm ?? lane.lastError)
        }
    }

    var json: ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Texts and numbers always encode.
        return ByteBuffer(bytes: (try? encoder.encode(self)) ?? Data())
    }

    private func bytes(_ count: Int?) -> String { count.map { LiveScreen.bytes($0) + "/s" } ?? "-" }

    /// What holds for all lanes, for people.
    var headLines: [String] {
        [
            isPaused ? "uplink: paused by command" : "uplink: running",
            "link: \(bytes(linkBytesPerSecond)) seen, cap \(bytes(capBytesPerSecond)), window \(window ?? "-")"
                + (isClockKnown ? "" : ", clock not known: windows are open"),
            "data plan \(budgetMonth ?? "-"): \(LiveScreen.bytes(Int(budgetUsedBytes))) used of "
                + (budgetBytes.map { LiveScreen.bytes(Int($0)) } ?? "any"),
        ]
    }

    /// For people.
    var lines: [String] {
        var lines = headLines
        for lane in lanes {
            var text =
                "  \(lane.lane): \(lane.hold.map { "held, " + $0 } ?? lane.phase), \(lane.backlogLSNs) LSNs to go, "
            text += "\(bytes(lane.bytesPerSecond)), \(lane.uploadedObjects) objects"
            if lane.budgetAction != "go-on" { text += ", data plan: \(lane.budgetAction)" }
            if let next = lane.nextTrySeconds { text += ", next look in \(next) s" }
            if let error = lane.lastError { text += ", \(error)" }
            lines.append(text)
        }
        return lines
    }
}

extension PacingStatus {
    /// Sentences for `/health`. A pause somebody ordered, and a plan that is used up, are to be seen there.
    var problems: [String] {
        var problems: [String] = []
        if isPaused { problems.append("uplink: paused by command; 'cairn uplink resume' lets it go on") }
        for lane in lanes where lane.budgetAction == .stop {
            problems.append("uplink of \(lane.lane): the data plan of \(budgetMonth ?? "the month") is used up")
        }
        return problems
    }
}
