import NIOCore
import Synchronization

/// Whether a request still gets on. Facts in: what the connection took, and when. A half-open connection takes bytes until buffers are full,
/// and then nothing more; a slow one takes a little from time to time, and may go on for hours.
///
/// Waiting for the pace is no silence of the connection. Times are nanoseconds of one monotonic clock.
struct UploadProgress: Sendable, Equatable {
    struct Limits: Sendable, Equatable {
        /// From the call until the body may begin: a connection is made, the head is sent.
        var beginning: TimeAmount
        /// From a piece to the time when there is room for another.
        var piece: TimeAmount
        /// From the last piece to the reply's head: what is in buffers must still go out, and the store must do its work.
        var reply: TimeAmount
    }

    private enum State: Sendable, Equatable {
        case beginning(since: NIODeadline)
        /// The next piece may not leave yet.
        case pacing
        case offered(since: NIODeadline)
        case awaitingReply(since: NIODeadline)
    }

    let limits: Limits
    private var state: State

    init(limits: Limits, hasBody: Bool, now: NIODeadline) {
        self.limits = limits
        state = hasBody ? .beginning(since: now) : .awaitingReply(since: now)
    }

    /// The connection has room, which says that it took what it had been offered.
    mutating func asked(at now: NIODeadline) { state = .pacing }
    mutating func offered(at now: NIODeadline) { state = .offered(since: now) }
    mutating func bodyDone(at now: NIODeadline) { state = .awaitingReply(since: now) }

    func isStuck(at now: NIODeadline) -> Bool {
        switch state {
        case .beginning(let since): now - since >= limits.beginning
        case .pacing: false
        case .offered(let since): now - since >= limits.piece
        case .awaitingReply(let since): now - since >= limits.reply
        }
    }
}

/// ``UploadProgress`` between the task that sends and the timer that looks.
final class UploadWatch: Sendable {
    private let progress: Mutex<UploadProgress>

    init(_ progress: UploadProgress) { self.progress = Mutex(progress) }

    func note(_ event: (inout UploadProgress, NIODeadline) -> Void) {
        let now = NIODeadline.now()
        progress.withLock { event(&$0, now) }
    }

    var isStuck: Bool {
        let now = NIODeadline.now()
        return progress.withLock { $0.isStuck(at: now) }
    }
}
