import Testing

@testable import Uplink

/// Whose bytes leave next, by transcript and by bytes counted over simulated time.
@Suite("Link schedule")
struct LinkScheduleTests {
    func schedule(rate: Int?, share: Double = 0.1) -> LinkSchedule {
        LinkSchedule(bytesPerSecond: rate, burstBytes: 64 << 10, share: share, now: .zero)
    }

    @Test("without a cap pieces leave at once; who goes behind waits while one before it is sending")
    func uncapped() {
        var schedule = schedule(rate: nil, share: 0)
        let bulk = schedule.begin(lane: "bulk", rank: 2, now: .zero)
        #expect(schedule.admit(bulk, bytesMax: 1 << 20, now: .zero) == .granted(64 << 10))
        let critical = schedule.begin(lane: "critical", rank: 0, now: .zero)
        #expect(schedule.admit(critical, bytesMax: 1000, now: .zero) == .granted(1000))
        #expect(schedule.admit(bulk, bytesMax: 1 << 20, now: .zero) == .wait(until: .milliseconds(20)))
        schedule.bodyDone(critical)  // awaits its reply, and the link is free meanwhile
        #expect(schedule.admit(bulk, bytesMax: 1 << 20, now: .milliseconds(20)) == .granted(64 << 10))
        schedule.end(bulk)
        #expect(schedule.admit(bulk, bytesMax: 1, now: .seconds(1)) == .ended)
    }

    @Test("a connection that takes nothing for two seconds holds up nobody")
    func stalled() {
        var schedule = schedule(rate: nil, share: 0)
        let critical = schedule.begin(lane: "critical", rank: 0, now: .zero)
        _ = schedule.admit(critical, bytesMax: 1 << 20, now: .zero)
        let bulk = schedule.begin(lane: "bulk", rank: 2, now: .zero)
        #expect(schedule.admit(bulk, bytesMax: 1 << 20, now: .milliseconds(1999)) != .granted(64 << 10))
        #expect(schedule.admit(bulk, bytesMax: 1 << 20, now: .seconds(2)) == .granted(64 << 10))
    }

    @Test("even without a share nobody waits longer than five seconds: stores close uploads in which nothing comes")
    func held() {
        var schedule = schedule(rate: nil, share: 0)
        let critical = schedule.begin(lane: "critical", rank: 0, now: .zero)
        let bulk = schedule.begin(lane: "bulk", rank: 2, now: .zero)
        var granted: [Int] = []
        for tick in 0..<1200 {
            let now = Duration.milliseconds(tick * 10)
            _ = schedule.admit(critical, bytesMax: 1 << 20, now: now)
            if case .granted = schedule.admit(bulk, bytesMax: 1 << 20, now: now) { granted.append(tick / 100) }
        }
        #expect(granted == [5, 10])
    }

    /// Plays sessions that always have more to send; returns the bytes of each.
    private func play(_ schedule: inout LinkSchedule, _ ids: [LinkSchedule.ID], seconds: Int) -> [Int] {
        var bytes = [Int](repeating: 0, count: ids.count)
        var next = [Duration](repeating: .zero, count: ids.count)
        var now = Duration.zero
        while now < .seconds(seconds) {
            for (index, id) in ids.enumerated() where next[index] <= now {
                switch schedule.admit(id, bytesMax: 1 << 20, now: now) {
                case .granted(let count):
                    bytes[index] += count
                    next[index] = now + .milliseconds(1)
                case .wait(let until): next[index] = until
                case .ended: return bytes
                }
            }
            now = max(now + .microseconds(100), next.min() ?? now)
        }
        return bytes
    }

    @Test("the live lane gets all but the share of a backlog, and the cap holds", arguments: [0.0, 0.1, 0.3])
    func share(share: Double) {
        var schedule = schedule(rate: 200_000, share: share)
        let ids = [
            schedule.begin(lane: "bulk", rank: Pacing.rank(priority: 2, isBacklog: true), now: .zero),
            schedule.begin(lane: "critical", rank: 0, now: .zero),
        ]
        let bytes = play(&schedule, ids, seconds: 60)
        let all = bytes.reduce(0, +)
        #expect(all <= 200_000 * 60 + 2 * 65_536 && all >= 195_000 * 60, "\(bytes)")
        let got = Double(bytes[0]) / Double(all)
        // What a lane gets by being held for five seconds comes on top.
        #expect(got >= share * 0.9 && got <= share * 1.15 + 0.06, "\(share): \(got)")
    }

    @Test(
        "fresh data of any lane goes before the backlog of a better one; a lane's own order is not its business (P10, fluent-bit #2849)"
    )
    func liveFirst() {
        let ranks = [
            Pacing.rank(priority: 0, isBacklog: false), Pacing.rank(priority: 2, isBacklog: false),
            Pacing.rank(priority: 0, isBacklog: true), Pacing.rank(priority: 2, isBacklog: true),
        ]
        #expect(ranks == ranks.sorted())
    }

    @Test("a backlog catches up with at least 90% of the link while live data trickles (P23, nanomq #1980)")
    func catchesUp() {
        var schedule = schedule(rate: 1_000_000)
        let backlog = schedule.begin(lane: "standard", rank: Pacing.rank(priority: 1, isBacklog: true), now: .zero)
        var sent = 0
        var live = 0
        for tick in 0..<60_000 {
            let now = Duration.milliseconds(tick)
            if tick % 1000 == 0 {
                let id = schedule.begin(lane: "critical", rank: 0, now: now)
                // 20 kB of live data each second, asked for as soon as it may.
                if case .granted(let bytes) = schedule.admit(id, bytesMax: 20_000, now: now) { live += bytes }
                schedule.end(id)
            }
            if case .granted(let bytes) = schedule.admit(backlog, bytesMax: 1 << 20, now: now) { sent += bytes }
        }
        #expect(Double(sent) >= 0.9 * 60 * 1_000_000, "\(sent)")
        #expect(sent + live <= 61 * 1_000_000 + 2 * 65_536)
    }

    @Test("20,000 queued messages leave at the cap, not at once (P19, mosquitto #1359)")
    func dump() {
        var schedule = schedule(rate: 50_000)
        let id = schedule.begin(lane: "bulk", rank: 2, now: .zero)
        let bytes = play(&schedule, [id], seconds: 10)
        #expect(bytes[0] <= 50_000 * 10 + 2 * 65_536 && bytes[0] >= 490_000)
    }

    @Test("a lane with a cap of its own does not hold up the others")
    func laneCap() {
        var schedule = schedule(rate: nil)
        schedule.setLaneRate("critical", 10_000, now: .zero)
        let critical = schedule.begin(lane: "critical", rank: 0, now: .zero)
        let bulk = schedule.begin(lane: "bulk", rank: 2, now: .zero)
        let bytes = play(&schedule, [critical, bulk], seconds: 20)
        #expect(bytes[0] <= 20 * 10_000 + 2 * 65_536 && bytes[0] >= 150_000, "\(bytes)")
        #expect(bytes[1] > 20_000_000, "\(bytes)")
    }

    @Test("however sessions come and go, the cap holds and somebody always gets on", arguments: 0..<20)
    func random(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let rate = Int.random(in: 10_000...1_000_000, using: &random)
        var schedule = schedule(rate: rate, share: [0, 0.1, 0.5].randomElement(using: &random) ?? 0)
        var ids: [LinkSchedule.ID] = []
        var sent = 0
        var lastGrant = Duration.zero
        for tick in 0..<20_000 {
            let now = Duration.milliseconds(tick)
            if ids.isEmpty || (ids.count < 6 && Int.random(in: 0..<100, using: &random) == 0) {
                let rank = Pacing.rank(
                    priority: Int.random(in: 0...2, using: &random), isBacklog: .random(using: &random))
                ids.append(schedule.begin(lane: "l\(rank)", rank: rank, now: now))
                if ids.count == 1 { lastGrant = now }
            }
            for id in ids.shuffled(using: &random) {
                if case .granted(let bytes) = schedule.admit(id, bytesMax: 100_000, now: now) {
                    sent += bytes
                    lastGrant = now
                }
            }
            #expect(now - lastGrant <= .milliseconds(2500), "nobody gets on")
            if Int.random(in: 0..<200, using: &random) == 0, ids.count > 1 {
                schedule.end(ids.remove(at: Int.random(in: 0..<ids.count, using: &random)))
            }
        }
        #expect(sent <= rate * 20 + 2 * 65_536)
        #expect(schedule.sessionCount == ids.count)
    }

    @Test("what is not data goes only while no upload sends or waits, however long that takes")
    func last() {
        var link = schedule(rate: nil, share: 0.5)
        let data = link.begin(lane: "bulk", rank: 5, now: .zero)
        let image = link.beginLast(now: .zero)
        for second in 0..<100 {
            let now = Duration.seconds(second)
            guard case .granted = link.admit(data, bytesMax: 1 << 20, now: now) else {
                return #expect(Bool(false), "data waits for an image at \(second) s")
            }
            guard case .wait = link.admit(image, bytesMax: 1 << 20, now: now) else {
                return #expect(Bool(false), "an image goes beside data at \(second) s")
            }
        }
        link.bodyDone(data)
        #expect(link.admit(image, bytesMax: 100, now: .seconds(100)) == .granted(100))
        // Its own bytes hold up nobody.
        #expect(link.admit(data, bytesMax: 100, now: .seconds(100)) == .granted(100))
    }

    @Test("what is not data keeps to the cap")
    func lastUnderCap() {
        var link = schedule(rate: 10_000)
        let image = link.beginLast(now: .zero)
        var granted = 0
        for tick in 0..<6000 {
            if case .granted(let bytes) = link.admit(image, bytesMax: 1 << 20, now: .milliseconds(10 * tick)) {
                granted += bytes
            }
        }
        #expect(granted <= 60 * 10_000 + (64 << 10) && granted > 59 * 10_000)
    }
}
