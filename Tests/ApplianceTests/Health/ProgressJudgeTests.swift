import Testing
import Uplink

@testable import Appliance

/// fluent-bit #11847: up, but collecting nothing. mosquitto #2256: full once, and never connected again. A watchdog that a timer
/// feeds sees neither.
@Suite("Progress judge")
struct ProgressJudgeTests {
    private func lane(
        pending: Int = 0, decided: UInt64 = 0, busy: Bool = false, backlog: UInt64 = 0, held: Bool = false,
        steps: UInt64 = 0, name: String = "standard"
    ) -> ProgressJudge.Lane {
        ProgressJudge.Lane(
            name: name, pendingBytes: pending, decided: decided,
            uplink: ProgressJudge.Uplink(isBusy: busy, backlogLSNs: backlog, isHeld: held, steps: steps))
    }

    /// Feeds the same facts at each time; the stalls at the last one.
    private func stalls(_ judge: inout ProgressJudge, _ facts: ProgressJudge.Facts, at seconds: [Int]) -> [String] {
        var last: [ProgressJudge.Stall] = []
        for second in seconds { last = judge.stalls(facts, now: .seconds(second)) }
        return last.map(\.description)
    }

    @Test("a gateway where nothing happens is well for ever")
    func idle() {
        var judge = ProgressJudge()
        #expect(stalls(&judge, .init(lanes: [lane()]), at: [0, 10, 100_000, 10_000_000]).isEmpty)
    }

    @Test("data that waits for a writer which decides nothing is a stall; a refusal is a decision")
    func intake() {
        var judge = ProgressJudge()
        let stuck = ProgressJudge.Facts(lanes: [lane(pending: 10, decided: 5)])
        #expect(stalls(&judge, stuck, at: [0, 30]).isEmpty)
        #expect(stalls(&judge, stuck, at: [31]) == ["lane standard: the log takes nothing of what waits for 31 s"])
        // The disk refuses everything: that is an alarm, not a reason to kill the process.
        for second in 32..<200 {
            let refusing = ProgressJudge.Facts(lanes: [lane(pending: 10, decided: UInt64(second))])
            #expect(stalls(&judge, refusing, at: [second]).isEmpty)
        }
        // Empty in between: what waits now is new.
        #expect(stalls(&judge, .init(lanes: [lane()]), at: [210]).isEmpty)
        #expect(stalls(&judge, stuck, at: [211, 240]).isEmpty)
    }

    @Test("a store that is away for days is no stall: attempts end")
    func outage() {
        var judge = ProgressJudge()
        var found: [ProgressJudge.Stall] = []
        for minute in 0..<(3 * 24 * 60) {
            let facts = ProgressJudge.Facts(lanes: [lane(busy: minute % 2 == 0, backlog: 9, steps: UInt64(minute))])
            found += judge.stalls(facts, now: .seconds(minute * 60))
        }
        #expect(found.isEmpty)
    }

    @Test("one step that never ends is a stall")
    func endlessStep() {
        var judge = ProgressJudge()
        let facts = ProgressJudge.Facts(lanes: [lane(busy: true, backlog: 9, steps: 7)])
        #expect(stalls(&judge, facts, at: [0, 900]).isEmpty)
        #expect(stalls(&judge, facts, at: [901]) == ["lane standard: one step of the uplink lasts for 901 s"])
    }

    @Test("a PUT that lasts for hours over a slow link is no stall while bytes leave")
    func slowLink() {
        var status = LaneUplinkStatus(lane: "standard")
        status.phase = .putting
        var judge = ProgressJudge()
        var found: [ProgressJudge.Stall] = []
        for minute in 0..<180 {
            let uplink = ProgressJudge.Uplink(status, isHeld: false, sentBytes: UInt64(minute) * 60_000)
            #expect(uplink.isBusy)
            let lane = ProgressJudge.Lane(name: "standard", pendingBytes: 0, decided: 0, uplink: uplink)
            found += judge.stalls(.init(lanes: [lane]), now: .seconds(minute * 60))
        }
        #expect(found.isEmpty)
        // The last byte has left, and the store never answers.
        let silent = ProgressJudge.Uplink(status, isHeld: false, sentBytes: 179 * 60_000)
        let lane = ProgressJudge.Lane(name: "standard", pendingBytes: 0, decided: 0, uplink: silent)
        #expect(judge.stalls(.init(lanes: [lane]), now: .seconds(179 * 60 + 901)).count == 1)
    }

    @Test("a backlog that nobody touches is a stall, unless it is held back, or other lanes go on")
    func forgottenBacklog() {
        let forgotten = ProgressJudge.Facts(lanes: [lane(backlog: 9, steps: 3)])
        var judge = ProgressJudge()
        #expect(
            stalls(&judge, forgotten, at: [0, 1801])
                == ["lane standard: nothing is uploaded of what waits for 1801 s"])
        let held = ProgressJudge.Facts(lanes: [lane(backlog: 9, held: true, steps: 3)])
        judge = ProgressJudge()
        #expect(stalls(&judge, held, at: [0, 1801, 86_400]).isEmpty)
        judge = ProgressJudge()
        var found: [ProgressJudge.Stall] = []
        for minute in 0..<300 {
            let facts = ProgressJudge.Facts(lanes: [
                lane(busy: true, backlog: 99, steps: UInt64(minute), name: "critical"), lane(backlog: 9, steps: 3),
            ])
            found += judge.stalls(facts, now: .seconds(minute * 60))
        }
        #expect(found.isEmpty)
    }

    @Test("an event loop that runs nothing is a stall")
    func eventLoop() {
        var judge = ProgressJudge()
        #expect(judge.stalls(.init(loopBeats: [.seconds(10), .seconds(39)]), now: .seconds(40)).isEmpty)
        let stalls = judge.stalls(.init(loopBeats: [.seconds(10), .seconds(39)]), now: .seconds(41))
        #expect(stalls.map(\.description) == ["event loop 0 runs nothing for 31 s"])
    }
}

@Suite("Gateway trends")
struct GatewayTrendsTests {
    @Test("rates come from what was taken and what is left; a backlog that grows has no end")
    func rates() {
        var trends = GatewayTrends()
        let second: UInt64 = 1_000_000_000
        trends.note(["l": (taken: 0, backlog: 1000)], nowNs: 0)
        trends.note(["l": (taken: 1000, backlog: 700)], nowNs: 10 * second)
        // 100 a second came, 130 a second went: 700 left at 30 a second.
        #expect(
            trends.rates(of: "l", taken: 1000, backlog: 700, nowNs: 10 * second)
                == GatewayTrends.Rates(inBytesPerSecond: 100, outBytesPerSecond: 130, etaSeconds: 23))
        #expect(trends.rates(of: "l", taken: 1000, backlog: 0, nowNs: 10 * second).etaSeconds == 0)
        #expect(trends.rates(of: "l", taken: 5000, backlog: 5000, nowNs: 10 * second).etaSeconds == nil)
        #expect(trends.rates(of: "other", taken: 1, backlog: 1, nowNs: 10 * second) == GatewayTrends.Rates())
    }

    @Test("only the last minute counts")
    func window() {
        var trends = GatewayTrends()
        let second: UInt64 = 1_000_000_000
        for step in UInt64(0)...30 {
            trends.note(["l": (taken: step < 15 ? 0 : (step - 15) * 1000, backlog: 0)], nowNs: step * 10 * second)
        }
        let rates = trends.rates(of: "l", taken: 15_000, backlog: 0, nowNs: 300 * second)
        #expect(abs(rates.inBytesPerSecond - 100) < 1)
    }
}
