import NIOCore
import Synchronization

/// When each event loop last ran what it was asked to: a loop that is blocked stops beating.
final class LoopBeats: Sendable {
    private let loops: [any EventLoop]
    private let beats: Mutex<[UInt64]>

    init(_ group: any EventLoopGroup) {
        loops = Array(group.makeIterator())
        beats = Mutex(Array(repeating: monotonicNanoseconds(), count: loops.count))
    }

    /// Asks every loop once more. At most one request of each waits: a blocked loop gets no pile of them.
    func ask() {
        let asked = askedAt.withLock { asked in
            let before = asked
            asked = Array(repeating: true, count: loops.count)
            return before
        }
        for (index, loop) in loops.enumerated() where !(index < asked.count && asked[index]) {
            loop.execute { [self] in
                let now = monotonicNanoseconds()
                beats.withLock { $0[index] = now }
                askedAt.withLock { $0[index] = false }
            }
        }
    }

    private let askedAt = Mutex<[Bool]>([])

    /// On the clock of `monotonicNanoseconds()`.
    var lastBeats: [Duration] { beats.withLock { $0.map { .nanoseconds(Int64(clamping: $0)) } } }
}
