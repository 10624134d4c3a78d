import Foundation
import KafkaProtocol
import Logging
import NIOCore
import Synchronization

@testable import Edge

/// Keeps what it is given; answers by script, durable when the script is over.
final class RecordingSink: TerminalSink {
    struct Delivery: Sendable, Equatable {
        var topic: String
        var records: [TerminalRecord]
    }
    private struct State {
        var durable: [Delivery] = []
        var attempts: [Delivery] = []
        var script: [DeliveryOutcome] = []
        var held: [(EventLoopPromise<DeliveryOutcome>, Delivery)] = []
        var isHolding = false
    }
    private let state = Mutex(State())

    init(script: [DeliveryOutcome] = [], isHolding: Bool = false) {
        state.withLock {
            $0.script = script
            $0.isHolding = isHolding
        }
    }

    var durable: [Delivery] { state.withLock { $0.durable } }
    var attempts: [Delivery] { state.withLock { $0.attempts } }
    var heldCount: Int { state.withLock { $0.held.count } }

    func records(_ topic: String) -> [TerminalRecord] { durable.filter { $0.topic == topic }.flatMap(\.records) }

    func deliver(
        _ records: [TerminalRecord], topic: String, from source: String, on eventLoop: any EventLoop
    ) -> EventLoopFuture<DeliveryOutcome> {
        let delivery = Delivery(topic: topic, records: records)
        return state.withLock { state in
            state.attempts.append(delivery)
            if state.isHolding {
                let promise = eventLoop.makePromise(of: DeliveryOutcome.self)
                state.held.append((promise, delivery))
                return promise.futureResult
            }
            let outcome = state.script.isEmpty ? .durable : state.script.removeFirst()
            if outcome == .durable { state.durable.append(delivery) }
            return eventLoop.makeSucceededFuture(outcome)
        }
    }

    /// Answers the oldest delivery that is held.
    func answer(_ outcome: DeliveryOutcome) {
        let promise = state.withLock { state -> EventLoopPromise<DeliveryOutcome>? in
            guard !state.held.isEmpty else { return nil }
            let (promise, delivery) = state.held.removeFirst()
            if outcome == .durable { state.durable.append(delivery) }
            return promise
        }
        promise?.succeed(outcome)
    }

    func failOldest() {
        let held = state.withLock { $0.held.isEmpty ? nil : $0.held.removeFirst() }
        held?.0.fail(ChannelError.ioOnClosedChannel)
    }
}

/// 2026-02-03 04:05:06 UTC, and sessions that are known beforehand.
let fixedWorld = IntakeWorld(nowMs: { 1_770_091_506_000 }, makeSessionID: { "5e55" }, random: { 0.5 })
let quietLogger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

func surroundings(_ sink: RecordingSink) -> TerminalPump.Surroundings {
    TerminalPump.Surroundings(sink: sink, world: fixedWorld, tally: IntakeTally(), logger: quietLogger)
}

extension TerminalRecord {
    func header(_ name: String) -> String? {
        headers.first { $0.key == name }?.value.map { String(buffer: $0) }
    }
}

/// What the terminal sent, put together again from the records of both topics by session and position. Nil if there are gaps.
func merged(_ records: [TerminalRecord]) -> ByteBuffer? {
    let ordered = records.sorted { UInt64($0.header("position") ?? "") ?? 0 < UInt64($1.header("position") ?? "") ?? 0 }
    var whole = ByteBuffer()
    for record in ordered {
        guard record.header("position") == String(whole.readableBytes) else { return nil }
        whole.writeImmutableBuffer(record.value)
    }
    return whole
}

/// A receiver capture from `Tests/Fixtures/gnss`.
func capturePath(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/gnss/\(name)").path
}

func capture(_ name: String) throws -> ByteBuffer {
    ByteBuffer(bytes: try Data(contentsOf: URL(fileURLWithPath: capturePath(name))))
}

/// Waits until `condition` holds; false if it does not within a minute, which only a broken build needs.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    for _ in 0..<6000 {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// Counts how often a handler asked for bytes.
final class ReadCounter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    var count = 0

    func read(context: ChannelHandlerContext) {
        count += 1
        context.read()
    }
}

/// SplitMix64: the same seed gives the same test.
struct IntakeRandom: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
