import NIOCore
import NIOEmbedded
import Testing

@testable import KafkaListener

@Suite("Wake-ups of an event loop")
struct LoopTimerTests {
    private final class Woken {
        var names: [Int] = []
    }

    @Test("a thousand waiters cost one scheduled task, and each is woken at its time")
    func oneTask() {
        let loop = EmbeddedEventLoop()
        let timer = LoopTimer(eventLoop: loop)
        let woken = Woken()
        let start = loop.now
        // The earliest first: none of the others needs a task of its own.
        for number in 0..<1_000 {
            _ = timer.schedule(start + .milliseconds(Int64(10 + number % 10))) { woken.names.append(number % 10) }
        }
        #expect(timer.tasksScheduled == 1)
        loop.advanceTime(by: .milliseconds(9))
        #expect(woken.names.isEmpty)
        for step in 0..<10 {
            loop.advanceTime(by: .milliseconds(1))
            #expect(woken.names.count == 100 * (step + 1))
            #expect(woken.names.last == step)
        }
        #expect(timer.count == 0)
        #expect(timer.tasksScheduled == 10, "one for each time at which there was something to do")
    }

    @Test("an earlier waiter is not woken late, whatever was scheduled before it")
    func earlier() {
        let loop = EmbeddedEventLoop()
        let timer = LoopTimer(eventLoop: loop)
        let woken = Woken()
        let start = loop.now
        _ = timer.schedule(start + .seconds(5)) { woken.names.append(5) }
        _ = timer.schedule(start + .seconds(1)) { woken.names.append(1) }
        loop.advanceTime(by: .seconds(1))
        #expect(woken.names == [1])
        loop.advanceTime(by: .seconds(4))
        #expect(woken.names == [1, 5])
    }

    @Test("a cancelled waiter is not woken, not even by one that is woken in the same turn")
    func cancelled() {
        let loop = EmbeddedEventLoop()
        let timer = LoopTimer(eventLoop: loop)
        let woken = Woken()
        let time = loop.now + .seconds(1)
        var second: LoopTimer.Token?
        _ = timer.schedule(time) { if let second { timer.cancel(second) } }
        second = timer.schedule(time + .nanoseconds(1)) { woken.names.append(2) }
        let third = timer.schedule(time) { woken.names.append(3) }
        timer.cancel(third)
        loop.advanceTime(by: .seconds(2))
        #expect(woken.names.isEmpty)
        #expect(timer.count == 0)
    }

    @Test("a waiter that waits again at once does not keep the loop from other work")
    func again() {
        let loop = EmbeddedEventLoop()
        let timer = LoopTimer(eventLoop: loop)
        let woken = Woken()
        let time = loop.now + .seconds(1)
        _ = timer.schedule(time) {
            woken.names.append(1)
            _ = timer.schedule(time) { woken.names.append(2) }
            loop.execute { woken.names.append(9) }
        }
        loop.advanceTime(by: .seconds(1))
        loop.advanceTime(by: .seconds(1))
        #expect(woken.names.sorted() == [1, 2, 9])
    }

    @Test("long polls that end early leave nothing behind for the time they asked for")
    func bounded() {
        let loop = EmbeddedEventLoop()
        let timer = LoopTimer(eventLoop: loop)
        for _ in 0..<10_000 {
            let token = timer.schedule(loop.now + .hours(1)) {}
            timer.cancel(token)
        }
        #expect(timer.count == 0)
        #expect(timer.heapCount <= 65)
        #expect(timer.tasksScheduled == 1)
    }
}
