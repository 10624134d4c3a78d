import NIOCore
import Testing

@testable import Cloud

@Suite("Produce accumulator")
struct ProduceAccumulatorTests {
    private static func time(_ ms: UInt64) -> NIODeadline { .uptimeNanoseconds(ms * 1_000_000) }
    private static func make(_ change: (inout ProduceConfiguration) -> Void = { _ in }) -> ProduceAccumulator<String> {
        var configuration = ProduceConfiguration()
        configuration.interval = .milliseconds(250)
        configuration.objectBytes = 100
        configuration.pendingBytesMax = 250
        configuration.parkedBytesMax = 100
        configuration.uploadsMax = 2
        change(&configuration)
        return ProduceAccumulator(configuration: configuration)
    }

    @Test("the first submission sets the time, the object is sealed when it has come")
    func interval() {
        var machine = Self.make()
        let first = machine.add("a", bytes: 10, count: 1, deadline: Self.time(9_000), now: Self.time(0))
        #expect(first == (.wake(at: Self.time(250)), true))
        let second = machine.add("b", bytes: 10, count: 1, deadline: Self.time(9_000), now: Self.time(100))
        #expect(second == (.none, true))
        #expect(machine.intervalOver(now: Self.time(249)) == .none)
        #expect(machine.intervalOver(now: Self.time(250)) == .seal)
        let sealed = machine.seal()
        #expect(sealed.items == ["a", "b"])
        #expect(sealed.bytes == 20)
        #expect(machine.intervalOver(now: Self.time(999)) == .none)
    }

    @Test("a full object is sealed at once, and what is too much stays for the next")
    func full() {
        var machine = Self.make { $0.uploadsMax = 1 }
        #expect(machine.add("a", bytes: 100, count: 1, deadline: Self.time(9_000), now: Self.time(0)) == (.seal, true))
        #expect(machine.seal().items == ["a"])
        _ = machine.add("b", bytes: 60, count: 1, deadline: Self.time(9_000), now: Self.time(1))
        let third = machine.add("c", bytes: 60, count: 1, deadline: Self.time(9_000), now: Self.time(2))
        #expect(third == (.none, true), "all uploads are under way")
        _ = machine.add("d", bytes: 20, count: 1, deadline: Self.time(9_000), now: Self.time(3))
        #expect(machine.uploadEnded(bytes: 100, now: Self.time(4)).action == .seal)
        #expect(machine.seal().items == ["b", "c"])
        #expect(!machine.isDue(Self.time(5)))
        #expect(machine.openCount == 1)
    }

    @Test("without room a submission waits, in order, and is refused when too many wait")
    func parking() {
        var machine = Self.make()
        _ = machine.add("a", bytes: 200, count: 1, deadline: Self.time(9_000), now: Self.time(0))
        _ = machine.seal()
        #expect(machine.add("b", bytes: 80, count: 1, deadline: Self.time(50), now: Self.time(1)) == (.none, false))
        #expect(machine.add("c", bytes: 10, count: 1, deadline: Self.time(9_000), now: Self.time(1)) == (.none, false))
        #expect(
            machine.add("d", bytes: 20, count: 1, deadline: Self.time(9_000), now: Self.time(1)) == (.refuse, false))
        #expect(machine.nextExpiry == Self.time(50))
        #expect(machine.expire(now: Self.time(49)).isEmpty)
        #expect(machine.expire(now: Self.time(50)) == ["b"])
        let ended = machine.uploadEnded(bytes: 200, now: Self.time(60))
        #expect(ended.admitted == ["c"])
        #expect(ended.action == .wake(at: Self.time(310)))
        #expect(machine.waitingBytes == 0)
    }

    @Test("a submission larger than everything goes alone")
    func giant() {
        var machine = Self.make()
        #expect(machine.add("a", bytes: 999, count: 1, deadline: Self.time(9), now: Self.time(0)) == (.seal, true))
        #expect(machine.seal().bytes == 999)
    }

    @Test("in any order of events nothing is lost, doubled or out of order", arguments: 0..<50)
    func anyOrder(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var configuration = ProduceConfiguration()
        configuration.objectBytes = 100
        configuration.pendingBytesMax = 250
        configuration.parkedBytesMax = 200
        configuration.uploadsMax = 3
        var machine = ProduceAccumulator<Int>(configuration: configuration)
        var sealed: [Int] = []
        var expected: [Int] = []
        var uploads: [Int] = []
        var now: UInt64 = 0
        func seal() {
            repeat {
                let (items, bytes) = machine.seal()
                sealed += items
                uploads.append(bytes)
            } while machine.isDue(Self.time(now))
        }
        for step in 0..<600 {
            now += UInt64.random(in: 0..<40, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0, 1:
                let bytes = Int.random(in: 1...90, using: &random)
                let (action, _) = machine.add(
                    step, bytes: bytes, count: 1, deadline: .distantFuture, now: Self.time(now))
                if action != .refuse { expected.append(step) }
                if action == .seal { seal() }
            default:
                if machine.intervalOver(now: Self.time(now)) == .seal { seal() }
                guard let bytes = uploads.popLast() else { continue }
                if machine.uploadEnded(bytes: bytes, now: Self.time(now)).action == .seal { seal() }
            }
            #expect(uploads.count <= 3)
            #expect(machine.pendingBytes <= 250)
            #expect(machine.waitingBytes <= 200)
        }
        while !machine.isIdle {
            now += 1_000
            if machine.intervalOver(now: Self.time(now)) == .seal { seal() }
            if let bytes = uploads.popLast(), machine.uploadEnded(bytes: bytes, now: Self.time(now)).action == .seal {
                seal()
            }
        }
        #expect(sealed == expected)
    }
}
