import Testing

@testable import Uplink

@Suite("Object sizing")
struct ObjectSizingTests {
    let limits = ObjectSizing.Limits()

    @Test("before anything was sent the link is believed slow")
    func initial() {
        let sizing = ObjectSizing(limits: limits)
        #expect(sizing.bytesPerSecond == nil)
        #expect(sizing.logBytesMax(isBacklog: true) == 10 * 128 << 10)
    }

    @Test("on a steady link objects come to take ten seconds", arguments: [40_000, 125_000, 600_000])
    func converges(bytesPerSecond: Int) {
        var sizing = ObjectSizing(limits: limits)
        for _ in 0..<20 {
            let bytes = sizing.logBytesMax(isBacklog: true)
            sizing.sent(objectBytes: bytes, logBytes: bytes, took: .seconds(Double(bytes) / Double(bytesPerSecond)))
        }
        let seconds = Double(sizing.logBytesMax(isBacklog: true)) / Double(bytesPerSecond)
        #expect(seconds > 9 && seconds < 11)
    }

    @Test("a fast link is bounded by the limits, a dead slow one by the least size")
    func bounds() {
        var fast = ObjectSizing(limits: limits)
        for _ in 0..<20 { fast.sent(objectBytes: 8 << 20, logBytes: 8 << 20, took: .milliseconds(10)) }
        #expect(fast.logBytesMax(isBacklog: true) == 32 << 20)
        #expect(fast.logBytesMax(isBacklog: false) == 8 << 20)
        var slow = ObjectSizing(limits: limits)
        for _ in 0..<20 { slow.sent(objectBytes: 256 << 10, logBytes: 256 << 10, took: .seconds(600)) }
        #expect(slow.logBytesMax(isBacklog: true) == 64 << 10)
    }

    @Test("small objects on a long line do not make a fast link look slow")
    func latency() {
        var sizing = ObjectSizing(limits: limits)
        sizing.sent(objectBytes: 1 << 20, logBytes: 1 << 20, took: .seconds(1))
        for _ in 0..<1000 { sizing.sent(objectBytes: 2000, logBytes: 4000, took: .milliseconds(200)) }
        #expect(sizing.bytesPerSecond == Double(1 << 20))
    }

    @Test("what compresses well goes out in larger pieces of log")
    func compression() {
        var sizing = ObjectSizing(limits: limits)
        for _ in 0..<30 { sizing.sent(objectBytes: 500_000, logBytes: 2_500_000, took: .seconds(10)) }
        #expect(abs(sizing.compressionRatio - 0.2) < 0.01)
        let logBytes = sizing.logBytesMax(isBacklog: true)
        #expect(logBytes > 2_400_000 && logBytes < 2_600_000)
    }

    @Test("each timeout halves the next object, down to the least")
    func timeouts() {
        var sizing = ObjectSizing(limits: limits)
        sizing.sent(objectBytes: 4 << 20, logBytes: 4 << 20, took: .seconds(4))
        sizing.timedOut()
        #expect(sizing.logBytesMax(isBacklog: true) == 5 << 20)
        for _ in 0..<30 { sizing.timedOut() }
        #expect(sizing.logBytesMax(isBacklog: true) == 64 << 10)
    }
}
