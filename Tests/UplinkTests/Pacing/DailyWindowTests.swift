import Testing

@testable import Uplink

@Suite("Daily windows and the calendar")
struct DailyWindowTests {
    let night = DailyWindow(startMinute: 22 * 60, endMinute: 6 * 60, rule: .cap(bytesPerSecond: 2 << 20))
    let office = DailyWindow(startMinute: 8 * 60, endMinute: 18 * 60, rule: .closed, lanes: ["bulk"])

    @Test("a window over midnight holds on both sides of it, and not at its end")
    func midnight() {
        for (hour, minute, isIn) in [(21, 59, false), (22, 0, true), (0, 0, true), (5, 59, true), (6, 0, false)] {
            #expect(night.contains(minute: hour * 60 + minute) == isIn, "\(hour):\(minute)")
        }
        let always = DailyWindow(startMinute: 60, endMinute: 60, rule: .closed)
        #expect((0..<1440).allSatisfy { always.contains(minute: $0) })
    }

    @Test("the first window that fits rules; lanes have their own")
    func order() {
        let lunch = DailyWindow(startMinute: 12 * 60, endMinute: 13 * 60, rule: .open)
        let day = DailyWindow(startMinute: 6 * 60, endMinute: 22 * 60, rule: .cap(bytesPerSecond: 50_000))
        let windows = [night, lunch, day, office]
        #expect(windows.link(minute: 12 * 60 + 30) == lunch)
        #expect(windows.link(minute: 13 * 60) == day)
        #expect(windows.link(minute: 23 * 60) == night)
        #expect(windows.lane("bulk", minute: 9 * 60) == office)
        #expect(windows.lane("critical", minute: 9 * 60) == nil)
        #expect([office].link(minute: 9 * 60) == nil)
    }

    @Test("the next change is the nearest edge, over midnight too")
    func change() {
        #expect([night].secondsToChange(second: 21 * 3600) == 3600)
        #expect([night].secondsToChange(second: 22 * 3600) == 8 * 3600)
        #expect([night].secondsToChange(second: 23 * 3600) == 7 * 3600)
        #expect([DailyWindow]().secondsToChange(second: 0) == nil)
    }

    @Test(
        "dates are right, also around leap days and offsets",
        arguments: [
            (1_709_164_800_000, 0, 2024, 2, 29, 0), (1_709_251_199_000, 0, 2024, 2, 29, 86_399),
            (1_709_251_199_000, 3600, 2024, 3, 1, 3599), (1_798_761_600_000, 0, 2027, 1, 1, 0),
            (1_798_761_600_000, -3600, 2026, 12, 31, 82_800), (4_102_444_799_000, 0, 2099, 12, 31, 86_399),
        ])
    func dates(wallMs: Int64, offset: Int, year: Int, month: Int, day: Int, second: Int) throws {
        let time = try #require(CalendarTime(wallMs: wallMs, offsetSeconds: offset))
        #expect(time == CalendarTime(secondOfDay: second, month: year * 12 + month - 1, day: day))
    }

    @Test("a clock that cannot be right is none", arguments: [0, -1, 946_684_800_000, 99_999_999_999_999, Int64.max])
    func unknown(wallMs: Int64) { #expect(CalendarTime(wallMs: wallMs, offsetSeconds: 0) == nil) }

    /// The night of 29 March 2026 in Berlin: at 01:00 UTC the clock goes from 02:00 to 03:00; on 25 October from 03:00 back to 02:00.
    @Test("an hour that does not exist is skipped, one that comes twice rules twice")
    func daylightSaving() {
        let window = DailyWindow(startMinute: 150, endMinute: 210, rule: .closed)  // 02:30 to 03:30
        func minutes(_ dayMs: Int64, change: Int64, before: Int, after: Int) -> Int {
            (0..<240).filter { minute in
                let wallMs = dayMs + Int64(minute) * 60_000
                let offset = wallMs < change ? before : after
                return CalendarTime(wallMs: wallMs, offsetSeconds: offset).map {
                    window.contains(minute: $0.minuteOfDay)
                }
                    ?? false
            }.count
        }
        let spring: Int64 = 1_774_742_400_000
        #expect(minutes(spring, change: spring + 3_600_000, before: 3600, after: 7200) == 30)
        let autumn: Int64 = 1_792_886_400_000
        #expect(minutes(autumn, change: autumn + 3_600_000, before: 7200, after: 3600) == 90)
    }

    @Test("pacing follows the clock wherever it jumps, and takes windows as open while it cannot be right")
    func jumps() {
        let settings = PacingSettings(
            bytesPerSecond: 100_000,
            windows: [DailyWindow(startMinute: 0, endMinute: 720, rule: .closed), office])
        var pacing = Pacing(
            settings: settings, lanes: ["critical", "bulk"], isPaused: false, count: DataBudget.Count(), now: .zero)
        func time(_ hour: Int) -> CalendarTime { CalendarTime(secondOfDay: hour * 3600, month: 24_322, day: 5) }
        pacing.look(time(11), now: .zero)
        #expect(pacing.gate(lane: "critical", now: .zero) == .held(.window, until: .seconds(60)))
        pacing.look(nil, now: .seconds(1))
        #expect(pacing.gate(lane: "critical", now: .seconds(1)) == .open)
        #expect(pacing.schedule.link.bytesPerSecond == 100_000, "the cap itself needs no clock")
        pacing.look(time(13), now: .seconds(2))
        #expect(pacing.gate(lane: "critical", now: .seconds(2)) == .open)
        #expect(pacing.gate(lane: "bulk", now: .seconds(2)) == .held(.window, until: .seconds(62)))
        pacing.look(time(11), now: .seconds(3))
        #expect(pacing.gate(lane: "critical", now: .seconds(3)) == .held(.window, until: .seconds(63)))
    }
}
