import KafkaProtocol

@testable import Ledger

// Shorthands for transcripts of transactions, logs and rewrites.

func initialise(
    _ id: String = "t", timeoutMs: Int32 = 60_000, as producerID: Int64 = -1, _ epoch: Int16 = -1, nowMs: Int64 = 1_000
) -> LedgerCommand {
    .initTransaction(
        InitTransaction(
            transactionalID: id, timeoutMs: timeoutMs, producerID: producerID, epoch: epoch, nowMs: nowMs))
}

func add(
    id: String = "t", as producerID: Int64 = 1, _ epoch: Int16 = 0, _ partitions: [TopicPartition] = [],
    group: String = "", nowMs: Int64 = 1_000
) -> LedgerCommand {
    .addToTransaction(
        AddToTransaction(
            transactionalID: id, producerID: producerID, epoch: epoch, partitions: partitions, group: group,
            nowMs: nowMs))
}

/// The same for producer 1 at epoch 0.
func add(
    id: String = "t", _ partitions: [TopicPartition], group: String = "", nowMs: Int64 = 1_000
) -> LedgerCommand {
    add(id: id, as: 1, 0, partitions, group: group, nowMs: nowMs)
}

func addOffset(
    id: String = "t", as producerID: Int64 = 1, epoch: Int16 = 0, group: String = "g", topic: UInt64 = 1,
    at partition: Int32 = 0, _ offset: Int64, addsGroup: Bool, nowMs: Int64 = 1_000
) -> LedgerCommand {
    .commitTransactionOffsets(
        CommitTransactionOffsets(
            transactionalID: id, producerID: producerID, epoch: epoch, group: group,
            items: [.init(topicID: topicID(topic), partition: partition, offset: offset)], addsGroup: addsGroup,
            nowMs: nowMs))
}

enum End { case commit, abort }

/// `raising`: the second protocol.
func end(
    _ end: End, _ id: String = "t", as producerID: Int64 = 1, _ epoch: Int16 = 0, raising: Bool = false,
    nowMs: Int64 = 1_000
) -> LedgerCommand {
    .endTransaction(
        EndTransaction(
            transactionalID: id, producerID: producerID, epoch: epoch, commits: end == .commit, raisesEpoch: raising,
            nowMs: nowMs))
}

func overdue(_ id: String = "t", nowMs: Int64) -> LedgerCommand {
    .abortOverdueTransaction(AbortOverdueTransaction(transactionalID: id, nowMs: nowMs))
}

func accepted(_ producerID: Int64, _ epoch: Int16) -> LedgerAnswer {
    .transaction(.accepted(producerID: producerID, epoch: epoch))
}

func rejected(_ code: ErrorCode) -> LedgerAnswer { .transaction(.rejected(code)) }

let volumeID = topicID(900)

func register(_ node: Int32 = 1) -> LedgerCommand {
    .registerVolume(RegisterVolume(volume: volumeID, nodeID: node, nowMs: 1_000))
}

/// `run(at:)` gives the LSN.
func log(_ runs: RunCommit..., node: Int32 = 1, epoch: Int64 = 1, nowMs: Int64 = 5_000) -> LedgerCommand {
    .commitLog(LogCommit(volume: volumeID, nodeID: node, nodeEpoch: epoch, runs: runs, nowMs: nowMs))
}

extension LedgerState {
    /// One object under a key never used before.
    mutating func produce(_ runs: RunCommit..., nowMs: Int64 = 5_000) throws -> [RunOutcome] {
        let commit = ObjectCommit(
            key: "k\(objects.nextNumber)", sizeBytes: 10_000, nodeID: 1, nodeEpoch: 1, runs: runs, nowMs: nowMs)
        guard case .runs(let outcomes) = try submit(.commitObject(commit)) else { return [] }
        return outcomes
    }

    func partition(_ topic: UInt64 = 1, _ index: Int32 = 0) -> PartitionState? {
        topics.partition(topicID(topic), index)
    }

    func lastStable(_ topic: UInt64 = 1, _ index: Int32 = 0) -> Int64? { partition(topic, index)?.lastStableOffset }

    func shown(_ topic: UInt64 = 1, _ index: Int32 = 0) -> [Extent] {
        extents(topicID(topic), index, from: watermarks(topic, index)?[0] ?? 0, maxBytes: .max, maxCount: .max)
    }

    func markers(_ topic: UInt64 = 1, _ index: Int32 = 0) -> [TransactionMarker] {
        shown(topic, index).compactMap { extent in
            guard case .marker(let marker) = extent.source else { return nil }
            return marker
        }
    }

    /// One run of a rewrite of what is there now.
    func rewritten(
        topic: UInt64 = 1, _ partition: Int32 = 0, from first: Int64, through last: Int64, at position: Int64 = 0
    ) -> RewrittenRun {
        let range = extentRange(topicID(topic), partition, from: first, through: last)
        return RewrittenRun(
            topicID: topicID(topic), partition: partition, baseOffset: first, lastOffset: last,
            fingerprint: range?.fingerprint ?? 0, position: position, lengthBytes: 50, minTimestampMs: 1_000,
            maxTimestampMs: 2_000)
    }

    func rewrite(
        _ key: String, topic: UInt64 = 1, _ partition: Int32 = 0, from first: Int64, through last: Int64,
        holdsOffsets: Bool = false, nowMs: Int64 = 7_000
    ) -> LedgerCommand {
        rewrite(
            key, [rewritten(topic: topic, partition, from: first, through: last)], holdsOffsets: holdsOffsets,
            nowMs: nowMs)
    }

    func rewrite(
        _ key: String, _ runs: [RewrittenRun], holdsOffsets: Bool = false, nowMs: Int64 = 7_000
    ) -> LedgerCommand {
        .rewriteExtents(
            ExtentRewrite(
                key: key, sizeBytes: 10_000, nodeID: 1, nodeEpoch: 1, holdsOffsets: holdsOffsets, committedMs: 4_000,
                runs: runs, nowMs: nowMs))
    }
}
