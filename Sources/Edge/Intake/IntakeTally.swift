import GNSS
import Synchronization

/// More than the gateway's page needs of a listener: for metrics and for finding out what a terminal sends.
public struct IntakeDetails: Sendable, Equatable {
    /// Frames with a right checksum by type, `rtcm:1077`; types beyond a bound count as `other`.
    public var framesByType: [String: UInt64] = [:]
    /// Wrong passwords and unknown mountpoints.
    public var loginsRejected: UInt64 = 0
    /// Datagrams there was no room for.
    public var datagramsDropped: UInt64 = 0
    /// Payload of those datagrams.
    public var bytesDropped: UInt64 = 0
    /// Deliveries that failed without an answer: their records may be stored or not.
    public var deliveriesUncertain: UInt64 = 0
    public init() {}
}

/// The counters of one listener. Connections add to it once for each read, not for each frame.
final class IntakeTally: Sendable {
    private struct State {
        var counters = IntakeCounters()
        var details = IntakeDetails()
        var frames: [FrameType: UInt64] = [:]
        var otherFrames: UInt64 = 0
    }
    private let state = Mutex(State())
    /// A terminal can invent types; the table cannot grow without end.
    private static let typesMax = 512

    var counters: IntakeCounters { state.withLock { $0.counters } }

    var details: IntakeDetails {
        state.withLock { state in
            var details = state.details
            for (type, count) in state.frames { details.framesByType[type.description, default: 0] += count }
            if state.otherFrames > 0 { details.framesByType["other"] = state.otherFrames }
            return details
        }
    }

    func count(_ change: (inout IntakeCounters) -> Void) {
        state.withLock { change(&$0.counters) }
    }

    func detail(_ change: (inout IntakeDetails) -> Void) {
        state.withLock { change(&$0.details) }
    }

    func framed(_ frames: [FrameType: Int], unknownBytes: Int) {
        guard !frames.isEmpty || unknownBytes > 0 else { return }
        state.withLock { state in
            state.counters.bytesUnframed += UInt64(unknownBytes)
            for (type, count) in frames {
                state.counters.framesAccepted += UInt64(count)
                if state.frames[type] != nil || state.frames.count < Self.typesMax {
                    state.frames[type, default: 0] += UInt64(count)
                } else {
                    state.otherFrames += UInt64(count)
                }
            }
        }
    }
}
