import Testing

@testable import Uplink

@Suite("Link meter")
struct LinkMeterTests {
    /// One upload by itself.
    private func upload(
        _ meter: inout LinkMeter, _ bytes: Int, from start: Duration, took: Duration, isWhole: Bool = true
    ) {
        meter.began(now: start)
        meter.sent(bytes)
        meter.ended(isWhole: isWhole, now: start + took)
    }

    @Test("comes to what the link carries, and follows it")
    func follows() {
        var meter = LinkMeter()
        var now = Duration.zero
        for rate in [100_000, 20_000, 500_000] {
            for _ in 0..<10 {
                upload(&meter, rate * 10, from: now, took: .seconds(10))
                now += .seconds(11)
            }
            let known = meter.bytesPerSecond ?? 0
            #expect(abs(known - Double(rate)) < 0.05 * Double(rate), "\(rate): \(known)")
        }
    }

    @Test("a thousand tiny objects say nothing about the rate")
    func tiny() {
        var meter = LinkMeter()
        upload(&meter, 5_000_000, from: .zero, took: .seconds(10))
        for index in 0..<1000 { upload(&meter, 300, from: .seconds(20 + index), took: .milliseconds(300)) }
        #expect(meter.bytesPerSecond == 500_000)
    }

    @Test("uploads at the same time share the link")
    func overlap() {
        var meter = LinkMeter()
        meter.began(now: .zero)
        meter.began(now: .seconds(5))
        meter.sent(2_000_000)
        meter.ended(isWhole: true, now: .seconds(10))
        #expect(meter.bytesPerSecond == 200_000)
        meter.ended(isWhole: true, now: .seconds(11))
    }

    @Test("an attempt that failed is not measured")
    func failed() {
        var meter = LinkMeter()
        upload(&meter, 5_000_000, from: .zero, took: .seconds(10))
        upload(&meter, 64 << 10, from: .seconds(20), took: .seconds(60), isWhole: false)
        #expect(meter.bytesPerSecond == 500_000)
    }
}
