import NIOCore
import Synchronization
import WriteAheadLog

/// One delivery of a terminal on its way into a lane.
///
/// A delivery is rarely more than one batch. Where it is, the batches of one partition go one after the other, so that the
/// log cannot take the second and be too full for the first; and once a batch is durable the delivery is finished here,
/// however long the lane stays full, because a delivery is never half done. The terminal is not read meanwhile.
final class LaneDelivery: Sendable {
    private struct State {
        var waves: ArraySlice<[LogEntry]>
        var hasStored = false
    }

    private let lane: Lane
    private let mailbox: LoopMailbox
    private let promise: EventLoopPromise<DeliveryOutcome>
    private let state: Mutex<State>

    init(waves: [[LogEntry]], lane: Lane, mailbox: LoopMailbox, promise: EventLoopPromise<DeliveryOutcome>) {
        self.lane = lane
        self.mailbox = mailbox
        self.promise = promise
        self.state = Mutex(State(waves: waves[...]))
    }

    /// Offers the first wave to the lane, or reports when there is none left.
    func next() {
        guard let wave = state.withLock({ $0.waves.first }) else { return promise.succeed(.durable) }
        lane.append(wave, mailbox: mailbox) { outcomes in self.decided(outcomes) }
    }

    private func decided(_ outcomes: [AppendOutcome]) {
        let rejections = outcomes.map(\.rejection)
        let hadStored = state.withLock { state in
            let rest = zip(state.waves.first ?? [], rejections).filter { $0.1 != nil }.map(\.0)
            if rest.count < rejections.count { state.hasStored = true }
            state.waves.removeFirst()
            if !rest.isEmpty { state.waves = ([rest] + Array(state.waves))[...] }
            return state.hasStored
        }
        guard let rejection = rejections.compactMap({ $0 }).first else { return next() }
        // What will never be taken decides: retrying the others would not make the delivery whole.
        let isHopeless = rejections.contains { $0 == .closed || ($0 != nil && $0?.retryAfter == nil) }
        switch (isHopeless && hadStored ? nil : rejection.retryAfter, hadStored) {
        case (let delay?, true): mailbox.eventLoop.scheduleTask(in: TimeAmount(delay)) { self.next() }
        case (let delay?, false): promise.succeed(.full(retryAfter: delay))
        case (nil, true): promise.fail(DeliveryRefusal("stored in part, then: \(rejection.explanation)"))
        case (nil, false): promise.succeed(.refused(reason: rejection.explanation))
        }
    }
}

extension AppendOutcome {
    var rejection: AppendRejection? {
        if case .rejected(let rejection) = self { rejection } else { nil }
    }
}

extension AppendRejection {
    /// When the same batch may be taken; `nil` when it never will be.
    var retryAfter: Duration? {
        switch self {
        case .overloaded: .milliseconds(50)
        case .quotaExceeded: .milliseconds(500)
        // After `closed` the next gateway may take it.
        case .diskFull, .diskFailed, .closed: .seconds(1)
        case .outOfOrderSequence, .producerFenced, .batchTooLarge, .invalidEntry, .tooManyPartitions: nil
        }
    }
}
