public import WriteAheadLog

/// One open lane of the gateway: its log, and who waits for what it makes durable.
public final class Lane: Sendable {
    public let settings: LaneSettings
    public let log: LaneLog
    private let watchers: PartitionWatchers

    init(settings: LaneSettings, log: LaneLog, watchers: PartitionWatchers) {
        self.settings = settings
        self.log = log
        self.watchers = watchers
    }

    /// Wall time of the newest batch, of the last few, that was stamped by a clock that was believed. Blocks on a read.
    var newestBelievedMs: Int64? {
        let last = log.durableLSN
        guard let slice = try? log.read(from: last > 64 ? last - 64 : 1, maxBytes: 1 << 20, maxCount: 64) else {
            return nil
        }
        return slice.batches.last { $0.clockQuality == .synchronized || $0.clockQuality == .gnss }?.wallMs
    }

    /// Appends entries that stay together; `completion` runs on `mailbox`'s event loop with one outcome for each entry,
    /// after the fdatasync that decided them.
    func append(
        _ entries: [LogEntry], mailbox: LoopMailbox, completion: @escaping @Sendable ([AppendOutcome]) -> Void
    ) {
        let watchers = watchers
        log.append(entries) { outcomes in
            mailbox.post { completion(outcomes) }
            if watchers.isEmpty { return }
            watchers.advanced(
                zip(entries, outcomes).compactMap { entry, outcome in
                    guard case .appended = outcome else { return nil }
                    return TopicPartition(topic: entry.topic, partition: entry.partition)
                })
        }
    }
}
