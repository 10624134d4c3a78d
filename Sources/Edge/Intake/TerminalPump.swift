import Logging
import NIOCore

/// Moves one terminal's bytes to the sink: framing, one delivery in flight for each topic, retry while the lane is full, and the
/// timers that end an epoch. Bound to one event loop; the caller decides what happens when there is no room.
final class TerminalPump {
    /// What a pump needs besides its configuration; shared by the connections of a listener.
    struct Surroundings: Sendable {
        let sink: any TerminalSink
        let world: IntakeWorld
        let tally: IntakeTally
        let logger: Logger
    }

    private let eventLoop: any EventLoop
    private let configuration: StreamConfiguration
    private let identity: StreamIdentity
    private let surroundings: Surroundings
    private let source: String
    private var stream: TerminalStream
    private var known = DeliveryQueue()
    private var unknown = DeliveryQueue()
    private var isEnded = false
    private var timer: Scheduled<Void>?
    private var lastReceived = NIODeadline.uptimeNanoseconds(0)
    private var claim: (position: UInt64, since: NIODeadline)?

    /// Something was stored or dropped: there may be room again.
    var onProgress: () -> Void = {}
    /// The sink refused records for good. They are gone, and counted.
    var onRefused: () -> Void = {}
    /// After ``end()``: nothing is left. Called once.
    var onDrained: () -> Void = {}

    init(
        _ configuration: StreamConfiguration, identity: StreamIdentity, surroundings: Surroundings,
        eventLoop: any EventLoop
    ) {
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.identity = identity
        self.surroundings = surroundings
        source = identity.name
        stream = TerminalStream(configuration, identity: identity)
    }

    /// All that is held for this terminal.
    var heldBytes: Int { stream.heldBytes + known.costBytes + unknown.costBytes }
    /// Whether more bytes should be read. The unfinished frame does not count: only reading on can finish it.
    var hasRoom: Bool { known.costBytes + unknown.costBytes < configuration.inFlightBytesMax }

    func received(_ bytes: ByteBuffer) {
        precondition(!isEnded, "bytes after end()")
        lastReceived = eventLoop.now
        surroundings.tally.count { $0.bytesReceived += UInt64(bytes.readableBytes) }
        stream.received(bytes, at: surroundings.world.arrival())
        collect()
    }

    /// All that arrived together is in: deliver it.
    func push() {
        deliver(topic: configuration.topic, \.known)
        deliver(topic: configuration.unknownTopic, \.unknown)
        noteClaim()
        armTimer()
    }

    /// The terminal is gone; what it sent is still delivered.
    func end() {
        guard !isEnded else { return }
        isEnded = true
        timer?.cancel()
        timer = nil
        stream.ended()
        collect()
        push()
        reportDrained()
    }

    private func collect() {
        let output = stream.takeOutput()
        known.append(output.known)
        unknown.append(output.unknown)
        let counts = stream.takeCounts()
        surroundings.tally.framed(counts.frames, unknownBytes: counts.unknownBytes)
    }

    // MARK: Delivery

    private func deliver(topic: String, _ queue: ReferenceWritableKeyPath<TerminalPump, DeliveryQueue>) {
        guard let records = self[keyPath: queue].next() else { return }
        let future = surroundings.sink.deliver(records, topic: topic, from: source, on: eventLoop).hop(to: eventLoop)
        future.assumeIsolated().whenComplete { result in
            self.answered(result, count: records.count, topic: topic, queue)
        }
    }

    private func answered(
        _ result: Result<DeliveryOutcome, any Error>, count: Int, topic: String,
        _ queue: ReferenceWritableKeyPath<TerminalPump, DeliveryQueue>
    ) {
        let outcome: DeliveryOutcome
        switch result {
        case .success(let answer): outcome = answer
        case .failure(let error):
            // Stored or not: offering them again could store them twice, so they count as lost and the terminal hears of it.
            surroundings.tally.detail { $0.deliveriesUncertain += 1 }
            outcome = .refused(reason: "\(error)")
        }
        if outcome == .durable { surroundings.tally.count { $0.recordsDurable += UInt64(count) } }
        switch self[keyPath: queue].answered(outcome) {
        case .goOn:
            deliver(topic: topic, queue)
        case .rest(let duration):
            rest(duration, topic: topic, queue)
        case .drop(let count, let reason):
            dropped(count, topic: topic, reason: reason)
            deliver(topic: topic, queue)
        }
        onProgress()
        reportDrained()
    }

    private func rest(
        _ duration: Duration, topic: String, _ queue: ReferenceWritableKeyPath<TerminalPump, DeliveryQueue>
    ) {
        eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(duration)) {
            self[keyPath: queue].rested()
            self.deliver(topic: topic, queue)
        }
    }

    private func dropped(_ count: Int, topic: String, reason: String) {
        surroundings.tally.count { $0.recordsRefused += UInt64(count) }
        surroundings.logger.warning(
            "records of a terminal were refused",
            metadata: [
                "terminal": "\(identity.key)", "peer": "\(identity.peer)", "topic": "\(topic)", "records": "\(count)",
                "reason": "\(reason)",
            ])
        onRefused()
    }

    private func reportDrained() {
        guard isEnded, known.isEmpty, unknown.isEmpty else { return }
        onDrained()
        onDrained = {}
        onProgress = {}
        onRefused = {}
    }

    // MARK: Pauses

    private func armTimer() {
        guard timer == nil, !isEnded, stream.isWaiting else { return }
        let due = lastReceived + TimeAmount(configuration.pause)
        scheduleCheck(at: max(due, eventLoop.now + .milliseconds(10)))
    }

    private func scheduleCheck(at deadline: NIODeadline) {
        timer = eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { self.check() }
    }

    private func check() {
        timer = nil
        guard !isEnded else { return }
        let now = eventLoop.now
        let claimTimeout = TimeAmount(configuration.claimTimeout)
        if lastReceived + claimTimeout <= now {
            stream.ended()
        } else if lastReceived + TimeAmount(configuration.pause) <= now {
            stream.paused()
        }
        if let claim, claim.since + claimTimeout <= now, claim.position == stream.claimPosition {
            stream.claimExpired()
        }
        collect()
        deliver(topic: configuration.topic, \.known)
        deliver(topic: configuration.unknownTopic, \.unknown)
        noteClaim()
        guard stream.isWaiting else { return }
        scheduleCheck(at: max(nextCheck(now), now + .milliseconds(10)))
    }

    private func nextCheck(_ now: NIODeadline) -> NIODeadline {
        let pause = lastReceived + TimeAmount(configuration.pause)
        return pause > now ? pause : (claim?.since ?? lastReceived) + TimeAmount(configuration.claimTimeout)
    }

    /// Remembers since when the frame at the head has been waiting for its end.
    private func noteClaim() {
        let position = stream.claimPosition
        if position != claim?.position { claim = position.map { ($0, eventLoop.now) } }
    }
}
