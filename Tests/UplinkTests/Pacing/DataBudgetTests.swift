import Testing

@testable import Uplink

@Suite("Data plan")
struct DataBudgetTests {
    let settings = DataBudget.Settings(
        monthBytes: 1000, slowBytesPerSecond: 2048, at80: ["bulk": .slow],
        at100: ["critical": .goOn, "bulk": .stop, "*": .slow])

    func time(_ year: Int, _ month: Int, _ day: Int) -> CalendarTime {
        CalendarTime(secondOfDay: 0, month: year * 12 + month - 1, day: day)
    }

    @Test("at 80% and at 100% each lane does what it was told")
    func levels() {
        var budget = DataBudget(settings: settings)
        budget.look(time(2026, 11, 3))
        budget.spent(799)
        #expect(budget.action(lane: "bulk") == .goOn)
        budget.spent(1)
        #expect(["critical", "standard", "bulk"].map { budget.action(lane: $0) } == [.goOn, .goOn, .slow])
        budget.spent(200)
        #expect(["critical", "standard", "bulk"].map { budget.action(lane: $0) } == [.goOn, .slow, .stop])
    }

    @Test("a new month begins with nothing used, on the plan's own day")
    func month() {
        var settings = settings
        settings.firstDay = 15
        var budget = DataBudget(settings: settings)
        budget.look(time(2026, 12, 31))
        budget.spent(1000)
        budget.look(time(2027, 1, 1))
        budget.look(time(2027, 1, 14))
        #expect(budget.count.usedBytes == 1000)
        budget.look(time(2027, 1, 15))
        #expect(budget.count.usedBytes == 0)
        #expect(budget.action(lane: "bulk") == .goOn)
    }

    @Test("a clock that falls to 1970 neither ends the month nor gives it back")
    func reset() {
        var budget = DataBudget(settings: settings)
        budget.look(nil)
        budget.spent(100)
        #expect(budget.count == DataBudget.Count(usedBytes: 100))
        budget.look(time(2026, 11, 3))
        budget.spent(700)
        budget.look(CalendarTime(wallMs: 12_000, offsetSeconds: 0))
        budget.spent(100)
        #expect(budget.count.usedBytes == 900)
        budget.look(time(2026, 11, 4))
        #expect(budget.count.usedBytes == 900)
    }

    @Test("1024 weeks ahead and back again do not make the plan larger (gpsd 3.22, Debian #991739)")
    func thousandWeeks() {
        var budget = DataBudget(settings: settings)
        budget.look(time(2026, 11, 3))
        budget.spent(700)
        for _ in 0..<5 {
            budget.look(time(2046, 6, 19))
            budget.spent(100)
            budget.look(time(2026, 11, 3))
        }
        #expect(budget.count.usedBytes == 1200)
        #expect(budget.action(lane: "bulk") == .stop)
    }

    @Test("without a limit it counts and nothing else")
    func unlimited() {
        var budget = DataBudget(settings: DataBudget.Settings(at80: ["*": .stop], at100: ["*": .stop]))
        budget.spent(.max)
        #expect(budget.action(lane: "bulk") == .goOn)
    }

    @Test("a lane that is slowed down has a cap of its own, one that is stopped is held until the month is over")
    func pacing() {
        var pacing = Pacing(
            settings: PacingSettings(budget: settings), lanes: ["standard", "bulk"], isPaused: false,
            count: DataBudget.Count(month: 24_322, usedBytes: 1000), now: .zero)
        pacing.look(CalendarTime(secondOfDay: 0, month: 24_322, day: 1), now: .zero)
        #expect(pacing.schedule.laneRate("standard") == 2048)
        #expect(pacing.gate(lane: "standard", now: .zero) == .open)
        #expect(pacing.gate(lane: "bulk", now: .zero) == .held(.budget, until: .seconds(1)))
        pacing.look(CalendarTime(secondOfDay: 0, month: 24_323, day: 1), now: .seconds(1))
        #expect(pacing.schedule.laneRate("standard") == nil)
        #expect(pacing.gate(lane: "bulk", now: .seconds(1)) == .open)
    }
}
