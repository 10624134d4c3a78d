import NIOCore

/// The records of one terminal for one topic on their way to the sink: one delivery at a time, so that they stay in order.
///
/// A delivery that found the lane full stays at the head and is offered again unchanged. No I/O, no clock.
struct DeliveryQueue {
    /// What to do after a delivery has been answered.
    enum Action: Equatable {
        /// Call ``next()`` again.
        case goOn
        /// Call ``rested()`` after this time.
        case rest(Duration)
        /// These records will never be stored.
        case drop(records: Int, reason: String)
    }
    private enum State {
        case idle, delivering, resting
    }
    private var state = State.idle
    /// The current delivery, while it is delivered or rests.
    private var current = TerminalStream.Output()
    private var waiting = TerminalStream.Output()
    private let deliveryCostMax: Int

    private static let restMin = Duration.milliseconds(10)
    private static let restMax = Duration.seconds(60)

    init(deliveryCostMax: Int = 256 * 1024) {
        self.deliveryCostMax = deliveryCostMax
    }

    var costBytes: Int { current.costBytes + waiting.costBytes }
    var isEmpty: Bool { current.records.isEmpty && waiting.records.isEmpty }
    /// The lane had no room for the delivery at the head.
    var isResting: Bool { state == .resting }

    mutating func append(_ output: TerminalStream.Output) {
        guard !output.records.isEmpty else { return }
        if waiting.records.isEmpty {
            waiting = output
        } else {
            waiting.records.append(contentsOf: output.records)
            waiting.costBytes += output.costBytes
        }
    }

    /// The records to deliver now; nil if a delivery is under way, rests, or there is nothing.
    mutating func next() -> [TerminalRecord]? {
        guard state == .idle, !isEmpty else { return nil }
        if current.records.isEmpty { fill() }
        state = .delivering
        return current.records
    }

    /// The sink answered. `current.records.count` of them are durable on `.durable`.
    mutating func answered(_ outcome: DeliveryOutcome) -> Action {
        guard state == .delivering else { preconditionFailure("answered() in \(state)") }
        switch outcome {
        case .durable:
            state = .idle
            current = TerminalStream.Output()
            return .goOn
        case .full(let retryAfter):
            state = .resting
            return .rest(min(max(retryAfter, Self.restMin), Self.restMax))
        case .refused(let reason):
            state = .idle
            let count = current.records.count
            current = TerminalStream.Output()
            return .drop(records: count, reason: reason)
        }
    }

    mutating func rested() {
        if state == .resting { state = .idle }
    }

    private mutating func fill() {
        if waiting.costBytes <= deliveryCostMax {
            swap(&current, &waiting)
            return
        }
        var count = 0
        while count < waiting.records.count {
            let cost = TerminalStream.cost(waiting.records[count])
            if count > 0 && current.costBytes + cost > deliveryCostMax { break }
            current.costBytes += cost
            count += 1
        }
        current.records = Array(waiting.records[..<count])
        waiting.records.removeFirst(count)
        waiting.costBytes -= current.costBytes
    }
}
