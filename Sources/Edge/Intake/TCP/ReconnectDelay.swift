/// How long to wait before a connection is tried again: full jitter, also at the cap, so that many gateways behind one
/// failure do not come back together.
struct ReconnectDelay {
    private let first: Duration
    private let max: Duration
    private var ceiling: Duration

    init(first: Duration = .milliseconds(500), max: Duration = .seconds(60)) {
        self.first = first
        self.max = max
        ceiling = first
    }

    /// `random` is from 0 up to 1. The delay is never below a tenth of the first ceiling, so that it is no busy loop.
    mutating func failed(random: Double) -> Duration {
        let delay = Swift.max(ceiling * random, first / 10)
        ceiling = Swift.min(ceiling * 2, max)
        return delay
    }

    /// The connection worked.
    mutating func succeeded() {
        ceiling = first
    }
}
