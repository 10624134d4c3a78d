import Testing
import WriteAheadLog

@testable import Edge

/// Scripted clocks: what a gateway meets in the field, as transcripts.
@Suite("The judge of the wall clock")
struct ClockJudgeTests {
    /// 2026-11-26, as good a day as any.
    static let today: Int64 = 1_795_651_200_000
    static let week: Int64 = 7 * 86_400_000

    private struct Script {
        var judge = ClockJudge()
        var monotonicMs: Int64 = 5_000
        var wallMs: Int64

        mutating func step(_ milliseconds: Int64) { wallMs += milliseconds }

        mutating func after(_ milliseconds: Int64, _ discipline: ClockJudge.Discipline) -> ClockQuality {
            monotonicMs += milliseconds
            wallMs += milliseconds
            return judge.judge(wallMs: wallMs, monotonicMs: monotonicMs, discipline: discipline)
        }
    }

    @Test("systemd #36498, iotedge #4062: boot in 1970, then NTP steps to now: unknown, settling, synchronised")
    func noBattery() {
        var script = Script(wallMs: 12_000)
        #expect(script.after(0, .unsynchronized) == .unknown)
        #expect(script.after(30_000, .unsynchronized) == .unknown)
        #expect(script.after(1_000, .synchronized) == .unknown, "the kernel's word does not make 1970 possible")
        script.step(Self.today - 12_000)
        #expect(script.after(1_000, .unsynchronized) == .freeRunning)
        #expect(script.after(1_000, .synchronized) == .freeRunning)
        #expect(script.after(58_999, .synchronized) == .freeRunning)
        #expect(script.after(1, .synchronized) == .synchronized)
        #expect(script.judge.steps == 1)
    }

    @Test("gpsd 3.22: a clock that jumps back 1024 weeks is not believed although it says it is synchronised")
    func weekRollover() {
        var script = Script(wallMs: Self.today)
        #expect(script.after(0, .synchronized) == .synchronized)
        script.step(-1024 * Self.week)
        #expect(script.after(1_000, .synchronized) == .unknown)
        #expect(script.after(3_600_000, .synchronized) == .unknown)
        script.step(1024 * Self.week)
        #expect(script.after(1_000, .synchronized) == .freeRunning)
        #expect(script.after(60_000, .synchronized) == .synchronized)
        #expect(script.judge.steps == 2)
    }

    @Test("a time that was believed once is a floor, also for a clock that is back by less than the program's age")
    func floor() {
        var script = Script(wallMs: Self.today + 100 * Self.week)
        script.judge.learn(notBeforeMs: Self.today + 150 * Self.week)
        #expect(script.after(0, .synchronized) == .unknown)
        script.step(50 * Self.week - 60_000)
        #expect(script.after(0, .unsynchronized) == .freeRunning, "a minute before the newest frame is possible")
    }

    @Test("ten years ahead is not possible, whatever the kernel says; and it does not become the floor")
    func tenYears() {
        var script = Script(wallMs: Self.today)
        #expect(script.after(0, .synchronized) == .synchronized)
        script.step(520 * Self.week)
        #expect(script.after(1_000, .synchronized) == .unknown)
        script.step(-520 * Self.week)
        #expect(script.after(60_000, .synchronized) == .freeRunning)
        #expect(script.after(60_000, .synchronized) == .synchronized)
    }

    @Test("a step of 5 s back under way costs the word of the clock until it has settled")
    func smallStep() {
        var script = Script(wallMs: Self.today)
        #expect(script.after(0, .synchronized) == .synchronized)
        #expect(script.judge.isSteady(wallMs: script.wallMs + 20, monotonicMs: script.monotonicMs + 20))
        script.step(-5_000)
        #expect(!script.judge.isSteady(wallMs: script.wallMs, monotonicMs: script.monotonicMs))
        #expect(script.after(1_000, .synchronized) == .freeRunning)
        #expect(script.after(30_000, .synchronized) == .freeRunning)
        script.step(2_000)
        #expect(script.after(1_000, .synchronized) == .freeRunning, "stepped again: the minute begins anew")
        #expect(script.after(59_000, .synchronized) == .freeRunning)
        #expect(script.after(1_000, .synchronized) == .synchronized)
    }

    @Test("leap seconds and slewing are no steps")
    func leap() {
        var script = Script(wallMs: Self.today)
        #expect(script.after(0, .synchronized) == .synchronized)
        for leap in [-1_000, 1_000] as [Int64] {
            script.step(leap)
            #expect(script.after(1_000, .synchronized) == .synchronized)
        }
        for _ in 0..<1_000 {
            script.step(5)
            #expect(script.after(10_000, .synchronized) == .synchronized)
        }
        #expect(script.judge.steps == 0)
    }

    @Test("a battery's time without NTP runs freely; a kernel that says nothing is not believed")
    func battery() {
        var script = Script(wallMs: Self.today)
        #expect(script.after(0, .unsynchronized) == .freeRunning)
        #expect(script.after(1_000, .unknown) == .unknown)
        #expect(script.after(1_000, .synchronized) == .synchronized)
        #expect(script.after(1_000, .unsynchronized) == .freeRunning)
    }

    @Test("the ends of the number range are judged, not trapped on", arguments: [Int64.min, .max, 0, -1])
    func extremes(wallMs: Int64) {
        var judge = ClockJudge()
        #expect(judge.judge(wallMs: Self.today, monotonicMs: 1, discipline: .synchronized) == .synchronized)
        #expect(judge.judge(wallMs: wallMs, monotonicMs: 2, discipline: .synchronized) == .unknown)
        #expect(!judge.isSteady(wallMs: Self.today, monotonicMs: 3))
    }
}
