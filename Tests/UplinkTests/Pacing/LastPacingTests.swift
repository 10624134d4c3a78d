import Testing

@testable import Uplink

/// What is not data: when it may move at all, and that the data plan counts it.
@Suite("Pacing of what is not data")
struct LastPacingTests {
    private func pacing(
        windows: [DailyWindow] = [], monthBytes: UInt64? = nil, used: UInt64 = 0, isPaused: Bool = false
    ) -> Pacing {
        var budget = DataBudget.Settings()
        budget.monthBytes = monthBytes
        let settings = PacingSettings(windows: windows, budget: budget)
        var pacing = Pacing(
            settings: settings, lanes: ["bulk"], isPaused: isPaused, count: DataBudget.Count(usedBytes: used),
            now: .zero)
        pacing.look(CalendarTime(secondOfDay: 12 * 3600, month: 24_000, day: 5), now: .zero)
        return pacing
    }

    @Test("a pause, a closed window, a store that wants a rest and the last fifth of the plan hold it")
    func holds() {
        #expect(pacing().lastHold(now: .zero) == nil)
        #expect(pacing(isPaused: true).lastHold(now: .zero) == .paused)
        let closed = DailyWindow(startMinute: 11 * 60, endMinute: 13 * 60, rule: .closed)
        #expect(pacing(windows: [closed]).lastHold(now: .zero) == .window)
        var resting = pacing()
        resting.throttled(for: .seconds(5), now: .zero)
        #expect(resting.lastHold(now: .seconds(4)) == .throttled && resting.lastHold(now: .seconds(5)) == nil)
        #expect(pacing(monthBytes: 1_000_000, used: 700_000).lastHold(now: .zero) == nil)
        #expect(pacing(monthBytes: 1_000_000, used: 800_000).lastHold(now: .zero) == .budget)
    }

    @Test("its bytes are counted, and the last fifth of the plan stays for data")
    func counted() {
        var pacing = pacing(monthBytes: 10_000_000)
        var granted = 0
        for _ in 0..<1000 {
            let id = pacing.beginLast(now: .zero)
            var moved = 0
            if case .granted(let bytes) = pacing.admitLast(id, bytesMax: 64 << 10, now: .zero) { moved = bytes }
            pacing.endLast(id, grantedBytes: moved)
            granted += moved
        }
        #expect(granted > 7_500_000 && granted <= 8_100_000)
        #expect(pacing.budget.count.usedBytes >= UInt64(granted))
        // Asking in vain costs nothing.
        let used = pacing.budget.count.usedBytes
        pacing.endLast(pacing.beginLast(now: .zero), grantedBytes: 0)
        #expect(pacing.budget.count.usedBytes == used)
        // A lane is not stopped by it: what the plan means for lanes is set by itself.
        #expect(pacing.gate(lane: "bulk", now: .zero) == .open)
    }
}
