import Ledger
import NIOCore

/// Spreads reading over time: what was read is paid for before the next read.
struct Pacer: Sendable {
    /// 0 is without limit.
    let bytesPerSecond: Int
    /// Pauses shorter than this are saved up.
    static let pauseMin = TimeAmount.milliseconds(20)
    private var freeAt = NIODeadline.uptimeNanoseconds(0)

    init(bytesPerSecond: Int) {
        self.bytesPerSecond = bytesPerSecond
    }

    /// How long to wait now that `bytes` have been read.
    mutating func read(_ bytes: Int, at now: NIODeadline) -> TimeAmount? {
        guard bytesPerSecond > 0 else { return nil }
        freeAt = max(freeAt, now) + .nanoseconds(Int64(Double(bytes) / Double(bytesPerSecond) * 1e9))
        let pause = freeAt - now
        return pause >= Self.pauseMin ? pause : nil
    }
}

/// Which partitions rest after a failure, and for how long: twice as long each time, up to an hour.
struct Rests: Sendable {
    private struct Rest {
        var until: NIODeadline
        var times: Int
    }

    let first: TimeAmount
    private static let longest = TimeAmount.hours(1)
    private var all: [TopicPartition: Rest] = [:]

    init(first: TimeAmount) {
        self.first = first
    }

    func isResting(_ place: TopicPartition, at now: NIODeadline) -> Bool {
        all[place].map { now < $0.until } ?? false
    }

    /// True the first time in a row: worth a line in the log.
    mutating func failed(_ place: TopicPartition, at now: NIODeadline) -> Bool {
        let times = all[place]?.times ?? 0
        let pauseNs = min(first.nanoseconds << Int64(min(times, 20)), Self.longest.nanoseconds)
        all[place] = Rest(until: now + .nanoseconds(pauseNs), times: times + 1)
        return times == 0
    }

    mutating func succeeded(_ place: TopicPartition) { all[place] = nil }
}
