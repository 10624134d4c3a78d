/// Decides whether a role still does its work, or only looks alive. Facts in, stalls out; no clock, no threads.
///
/// A store, a link or a disk that fails is no stall: attempts that end, in success or in failure, are progress. A stall is
/// work that is there and that nobody has touched for longer than its limit, and then only a restart helps.
struct ProgressJudge: Sendable {
    struct Limits: Sendable, Equatable {
        /// Something waits for the log's writer, which neither took nor refused anything.
        var intake: Duration = .seconds(30)
        /// One step of an upload in which no byte of any lane leaves: far longer than `uplink.progress-timeout`.
        var uplinkStep: Duration = .seconds(900)
        /// Data waits and nothing holds it back, and no upload began or ended anywhere.
        var uplinkIdle: Duration = .seconds(1800)
        /// An event loop that was asked to run something.
        var eventLoop: Duration = .seconds(30)
    }

    /// What one lane shows from outside.
    struct Lane: Sendable, Equatable {
        var name: String
        /// Bytes that wait for the writer.
        var pendingBytes: Int
        /// Changes whenever the writer decided anything.
        var decided: UInt64
        var uplink: Uplink?
    }

    struct Uplink: Sendable, Equatable {
        /// In the middle of a step that ends by itself.
        var isBusy: Bool
        var backlogLSNs: UInt64
        /// An operator, a schedule or a budget keeps it from sending: whatever waits, waits rightly.
        var isHeld: Bool
        /// Changes with every step begun or ended, and with every piece of a body that leaves.
        var steps: UInt64
    }

    struct Facts: Sendable, Equatable {
        var lanes: [Lane] = []
        /// When each event loop last ran what it was asked to, on the clock of `now`.
        var loopBeats: [Duration] = []
    }

    struct Stall: Sendable, Equatable, CustomStringConvertible {
        var what: String
        var lasts: Duration

        var description: String { "\(what) for \(lasts.components.seconds) s" }
    }

    let limits: Limits
    private var intakes: [String: Watch] = [:]
    private var uplinks: [String: Watch] = [:]
    private var uplinkSteps: UInt64 = 0
    private var uplinkStepsSince: Duration?

    /// A value that must change while there is work, and since when it has not.
    private struct Watch {
        var token: UInt64
        var since: Duration
    }

    init(limits: Limits = Limits()) { self.limits = limits }

    /// - Parameter now: any clock that never steps.
    mutating func stalls(_ facts: Facts, now: Duration) -> [Stall] {
        var stalls: [Stall] = []
        for (index, beat) in facts.loopBeats.enumerated() where now - beat > limits.eventLoop {
            stalls.append(Stall(what: "event loop \(index) runs nothing", lasts: now - beat))
        }
        let steps = facts.lanes.reduce(UInt64(0)) { $0 &+ ($1.uplink?.steps ?? 0) }
        if steps != uplinkSteps || uplinkStepsSince == nil { (uplinkSteps, uplinkStepsSince) = (steps, now) }
        for lane in facts.lanes {
            let isWaiting = lane.pendingBytes > 0
            if let lasts = Self.age(&intakes[lane.name], lane.decided, counts: isWaiting, now), lasts > limits.intake {
                stalls.append(Stall(what: "lane \(lane.name): the log takes nothing of what waits", lasts: lasts))
            }
            guard let uplink = lane.uplink else { continue }
            if let lasts = Self.age(&uplinks[lane.name], uplink.steps, counts: uplink.isBusy, now),
                lasts > limits.uplinkStep
            {
                stalls.append(Stall(what: "lane \(lane.name): one step of the uplink lasts", lasts: lasts))
            }
            // Lanes share what may be sent at once: that others go on is progress too.
            let idle = now - (uplinkStepsSince ?? now)
            if !uplink.isBusy, !uplink.isHeld, uplink.backlogLSNs > 0, idle > limits.uplinkIdle {
                stalls.append(Stall(what: "lane \(lane.name): nothing is uploaded of what waits", lasts: idle))
            }
        }
        return stalls
    }

    /// How long `token` has stood still while it counts; nil while it does not.
    private static func age(_ watch: inout Watch?, _ token: UInt64, counts: Bool, _ now: Duration) -> Duration? {
        guard counts else {
            watch = nil
            return nil
        }
        guard let before = watch, before.token == token else {
            watch = Watch(token: token, since: now)
            return nil
        }
        return now - before.since
    }
}
