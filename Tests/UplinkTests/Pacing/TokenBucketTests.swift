import Testing

@testable import Uplink

@Suite("Token bucket")
struct TokenBucketTests {
    @Test("the burst leaves at once, then the rate")
    func transcript() {
        var bucket = TokenBucket(bytesPerSecond: 1000, burstBytes: 500, now: .zero)
        #expect(bucket.wait(for: 500, now: .zero) == .zero)
        bucket.take(500, now: .zero)
        #expect(bucket.wait(for: 100, now: .zero) == .milliseconds(100))
        #expect(bucket.wait(for: 100, now: .milliseconds(40)) == .milliseconds(60))
        #expect(bucket.wait(for: 100, now: .milliseconds(100)) == .zero)
        bucket.take(100, now: .milliseconds(100))
        // A long pause saves up the burst and no more.
        #expect(bucket.wait(for: 500, now: .seconds(9999)) == .zero)
        bucket.take(500, now: .seconds(9999))
        #expect(bucket.wait(for: 1, now: .seconds(9999)) == .milliseconds(1))
    }

    @Test("a piece larger than the burst waits for a full bucket and leaves it in debt")
    func large() {
        var bucket = TokenBucket(bytesPerSecond: 1000, burstBytes: 500, now: .zero)
        #expect(bucket.wait(for: 2000, now: .zero) == .zero)
        bucket.take(2000, now: .zero)
        #expect(bucket.wait(for: 2000, now: .zero) == .seconds(2))
    }

    @Test("another rate counts from now on; without one nothing waits")
    func rates() {
        var bucket = TokenBucket(bytesPerSecond: 1000, burstBytes: 500, now: .zero)
        bucket.take(500, now: .zero)
        bucket.setRate(100, now: .milliseconds(100))
        #expect(bucket.wait(for: 200, now: .milliseconds(100)) == .seconds(1))
        bucket.setRate(nil, now: .milliseconds(100))
        #expect(bucket.wait(for: 1 << 30, now: .milliseconds(100)) == .zero)
    }

    @Test("a clock that goes back is no time, and gives nothing")
    func back() {
        var bucket = TokenBucket(bytesPerSecond: 1000, burstBytes: 500, now: .seconds(10))
        bucket.take(500, now: .seconds(10))
        #expect(bucket.wait(for: 100, now: .seconds(3)) == .milliseconds(100))
        #expect(bucket.wait(for: 100, now: .seconds(10)) == .milliseconds(100))
    }

    @Test("over any time no more leaves than rate and burst allow, and no less than 99% of the rate", arguments: 0..<20)
    func bound(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let rate = Int.random(in: 1000...500_000, using: &random)
        var bucket = TokenBucket(bytesPerSecond: rate, burstBytes: 8192, now: .zero)
        var now = Duration.zero
        var sent = 0
        while now < .seconds(60) {
            let bytes = Int.random(in: 1...8192, using: &random)
            let wait = bucket.wait(for: bytes, now: now)
            guard wait == .zero else {
                now += wait
                continue
            }
            bucket.take(bytes, now: now)
            sent += bytes
        }
        #expect(sent <= rate * 61 + 2 * 8192)
        #expect(sent >= rate * 59)
    }
}
