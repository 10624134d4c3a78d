import KafkaProtocol
public import NIOCore
import WriteAheadLog

/// Puts terminals' records into the lanes: one uncompressed batch for each partition they fall into.
///
/// - Partition: murmur2 of the key as Java's default partitioner, so that a terminal stays in one; records without a key go
///   to partition 0, all of them, because a terminal's order is worth more than their spread.
/// - Not half done: see ``LaneDelivery``.
/// - Compression is the uplink's business: it sees more data at once and costs no latency here.
public final class LaneSink: TerminalSink {
    private let lanes: [Lane]
    private let topics: LocalTopics
    private let sources: SourceLanes
    private let clock: any WallClock
    private let mailboxes: LoopMailboxes
    private let batchBytesMax: Int

    init(
        lanes: [Lane], topics: LocalTopics, sources: SourceLanes, clock: any WallClock, mailboxes: LoopMailboxes,
        batchBytesMax: Int
    ) {
        self.lanes = lanes
        self.sources = sources
        self.topics = topics
        self.clock = clock
        self.mailboxes = mailboxes
        self.batchBytesMax = batchBytesMax
    }

    public func deliver(_ records: [TerminalRecord], topic: String, from source: String, on eventLoop: any EventLoop)
        -> EventLoopFuture<DeliveryOutcome>
    {
        if records.isEmpty { return eventLoop.makeSucceededFuture(.durable) }
        do {
            let topic = try find(topic)
            let waves = try waves(for: records, of: topic)
            let promise = eventLoop.makePromise(of: DeliveryOutcome.self)
            let delivery = LaneDelivery(
                waves: waves, lane: lanes[sources.lane(of: source) ?? topic.lane],
                mailbox: mailboxes.mailbox(of: eventLoop), promise: promise)
            delivery.next()
            return promise.futureResult
        } catch {
            return eventLoop.makeSucceededFuture(.refused(reason: error.reason))
        }
    }

    private func find(_ name: String) throws(DeliveryRefusal) -> LocalTopic {
        do {
            return try topics.findOrCreate(name)
        } catch {
            throw DeliveryRefusal("topic \(name): \(error)")
        }
    }

    /// The first batch of every partition, then the second of those that have one, and so on.
    private func waves(for records: [TerminalRecord], of topic: LocalTopic) throws(DeliveryRefusal) -> [[LogEntry]] {
        let now = clock.read()
        var builders: [Int32: TerminalBatches] = [:]
        for record in records {
            let partition = record.key.map { Partitioner.partition(forKey: $0, count: topic.partitionCount) } ?? 0
            try builders[partition, default: TerminalBatches(batchBytesMax: batchBytesMax, now: now)].append(record)
        }
        var waves: [[LogEntry]] = []
        for (partition, var builder) in builders.sorted(by: { $0.key < $1.key }) {
            for (wave, batch) in try builder.finish().enumerated() {
                if wave == waves.count { waves.append([]) }
                waves[wave].append(
                    LogEntry(
                        topic: topic.name, partition: partition, batch: batch.bytes, header: batch.header,
                        wallMs: now.wallMs, monotonicNs: now.monotonicNs, clockQuality: now.quality,
                        hasGatewayTimes: batch.hasGatewayTimes))
            }
        }
        return waves
    }
}

/// Why records can never be stored as they are.
struct DeliveryRefusal: Error, Equatable {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }
}
