import Testing

@testable import Appliance

@Suite("Live screen")
struct ScreenTests {
    @Test("lag is the age of the oldest accepted data that consumers do not see")
    func lag() {
        var clock = LagClock()
        #expect(clock.lag(accepted: 0, visible: 0, nowMs: 0) == nil)
        #expect(clock.lag(accepted: 5, visible: 0, nowMs: 1000) == 0)
        #expect(clock.lag(accepted: 9, visible: 0, nowMs: 1400) == 400)
        #expect(clock.lag(accepted: 9, visible: 5, nowMs: 1600) == 200)
        #expect(clock.lag(accepted: 9, visible: 9, nowMs: 1700) == nil)
    }

    @Test("the lag clock keeps its oldest mark within twice the truth and stays bounded")
    func bounded() {
        var clock = LagClock(marksMax: 8)
        for step in 1...1000 { _ = clock.lag(accepted: UInt64(step), visible: 0, nowMs: Int64(step)) }
        let lag = clock.lag(accepted: 1000, visible: 0, nowMs: 1000) ?? 0
        #expect(lag > 0 && lag < 1000)
    }

    @Test("every lane has a row with its counters, and trouble is shown")
    func picture() {
        let screen = LiveScreen(title: "cairn", addresses: [("Kafka", "127.0.0.1:9093")], hints: [])
        var row = LaneRow(name: "critical")
        row.acceptedLSN = 1_234_567
        row.lagMs = 1500
        row.trouble = "store: timeout"
        let lines = screen.picture([row], rates: [:], footer: [])
        #expect(lines.contains { $0.contains("critical") && $0.contains("1 234 567") && $0.contains("1 s") })
        #expect(lines.contains { $0.contains("store: timeout") })
        #expect(lines.contains { $0.contains("127.0.0.1:9093") })
    }
}
