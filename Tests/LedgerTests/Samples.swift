import KafkaProtocol

@testable import Ledger

/// A small generator whose sequence depends on its seed only (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

func topicID(_ number: UInt64) -> KafkaUUID { KafkaUUID(high: 0xCA1, low: number) }

func place(_ topic: UInt64, _ partition: Int32) -> TopicPartition {
    TopicPartition(topicID: topicID(topic), partition: partition)
}

func run(
    _ topic: UInt64 = 1, _ partition: Int32 = 0, at position: Int64 = 0, bytes: Int64 = 100, records: Int64 = 10,
    minMs: Int64 = 1_000, maxMs: Int64 = 2_000, stamps: [RunCommit.ProducerStamp] = [],
    _ transaction: TransactionUse = .none
) -> RunCommit {
    RunCommit(
        topicID: topicID(topic), partition: partition, position: position, lengthBytes: bytes, recordCount: records,
        minTimestampMs: minMs, maxTimestampMs: maxMs, stamps: stamps, transaction: transaction)
}

func stamp(_ producer: Int64, epoch: Int16 = 0, _ sequences: ClosedRange<Int32>, at offset: Int64 = 0)
    -> RunCommit.ProducerStamp
{
    RunCommit.ProducerStamp(
        producerID: producer, epoch: epoch, firstSequence: sequences.lowerBound, lastSequence: sequences.upperBound,
        relativeOffset: offset)
}

func object(
    _ key: String, node: Int32 = 1, epoch: Int64 = 1, size: Int64 = 10_000, nowMs: Int64 = 5_000, _ runs: RunCommit...
) -> LedgerCommand {
    .commitObject(
        ObjectCommit(key: key, sizeBytes: size, nodeID: node, nodeEpoch: epoch, runs: runs, nowMs: nowMs))
}

func siteRun(
    _ topic: String, _ partition: Int32 = 0, at position: Int64 = 0, bytes: Int64 = 100, records: Int64 = 10
) -> SiteRun {
    SiteRun(
        topic: topic, partition: partition, position: position, lengthBytes: bytes, recordCount: records,
        minTimestampMs: 1_000, maxTimestampMs: 2_000)
}

func adoption(
    _ sequence: UInt64, lsn: ClosedRange<UInt64>, incarnation: String = "i1", lane: String = "standard",
    creating: [NewTopic] = [], gaps: [SiteGap] = [], nowMs: Int64 = 6_000, _ runs: SiteRun...
) -> LedgerCommand {
    .adoptSiteObject(
        SiteAdoption(
            site: "pier", incarnation: incarnation, lane: lane, sequence: sequence, firstLSN: lsn.lowerBound,
            lastLSN: lsn.upperBound, key: "sites/pier/\(incarnation)/\(lane)/\(sequence)", sizeBytes: 10_000,
            runs: runs, topicsToCreate: creating, gaps: gaps, nowMs: nowMs))
}

func create(_ name: String, _ number: UInt64, partitions: Int32 = 3) -> LedgerCommand {
    .createTopic(CreateTopic(name: name, id: topicID(number), partitionCount: partitions, nowMs: 100))
}

func advance(_ topic: UInt64, _ partition: Int32, to offset: Int64, nowMs: Int64 = 9_000) -> LedgerCommand {
    let item = AdvanceLogStart.Item(topicID: topicID(topic), partition: partition, newLogStart: offset)
    return .advanceLogStart(AdvanceLogStart(items: [item], nowMs: nowMs))
}

extension LedgerState {
    /// Decides and applies: a sequencer without a log.
    @discardableResult
    mutating func submit(_ command: LedgerCommand) throws(LedgerRefusal) -> LedgerAnswer {
        let decision = try decide(command)
        for record in decision.records { apply(record) }
        return decision.answer
    }

    func refusal(of command: LedgerCommand) -> LedgerRefusal? {
        do {
            _ = try decide(command)
            return nil
        } catch { return error }
    }

    /// With the topic "gnss" (id 1) of three partitions.
    static func withTopic() throws -> LedgerState {
        var state = LedgerState()
        try state.submit(create("gnss", 1))
        return state
    }

    func watermarks(_ topic: UInt64 = 1, _ partition: Int32 = 0) -> [Int64]? {
        topics.partition(topicID(topic), partition).map { [$0.logStart, $0.highWatermark] }
    }
}

/// One of each command, with every field set to something.
let sampleCommands: [LedgerCommand] = [
    .createTopic(
        CreateTopic(
            topic: NewTopic(name: "a.b", id: topicID(7), partitionCount: 4, configs: ["z": "1", "a": "ü"]),
            validateOnly: true, nowMs: 12)),
    .deleteTopic(DeleteTopic(topic: .name("a.b"), nowMs: -1)),
    .deleteTopic(DeleteTopic(topic: .id(topicID(7)), nowMs: 9)),
    .createPartitions(CreatePartitions(topic: .id(topicID(7)), partitionCount: 9, validateOnly: true, nowMs: 1)),
    .setTopicConfigs(SetTopicConfigs(topic: .name("x"), configs: ["retention.ms": "7200000"], nowMs: 3)),
    object(
        "data/1/2/3", node: -1, epoch: 1 << 40, run(1, 2, stamps: [stamp(1 << 50, epoch: 3, 5...9, at: 7)]),
        run(1, 0, at: 100, minMs: .min, maxMs: .max), run(2, 5, at: 4_000_000_000)),
    adoption(
        3, lsn: 10...99, creating: [NewTopic(name: "n", id: topicID(3), partitionCount: 1)], siteRun("n"),
        siteRun("o", 4, at: 100)),
    .allocateProducerID(count: 1_000),
    .commitGroupOffsets(
        CommitGroupOffsets(
            group: "g",
            items: [.init(topicID: topicID(1), partition: 2, offset: 1 << 60, leaderEpoch: 4, metadata: "m")],
            nowMs: 77)),
    .deleteGroup(group: "g"),
    .deleteGroupOffsets(group: "g", partitions: [place(1, 0), place(1, 1), place(2, 0)]),
    advance(1, 2, to: 1 << 55),
    .markObjectsDeleting(keys: ["a", "b"], nowMs: 8), .forgetObjects(keys: ["a"], nowMs: 9),
    .expireProducers(idleSinceMs: 5, nowMs: 10), .registerNode(nodeID: 4, nowMs: 11),
    .registerSite(site: "pier", nowMs: 12),
    .setSiteState(SetSiteState(site: "pier", suspended: true, fencedIncarnation: "i0", nowMs: 13)),
    .setSiteState(SetSiteState(site: "pier", suspended: false, nowMs: 14)),
    .initTransaction(InitTransaction(transactionalID: "t", timeoutMs: 60_000, producerID: 5, epoch: 3, nowMs: 15)),
    .addToTransaction(
        AddToTransaction(
            transactionalID: "t", producerID: 5, epoch: 3, partitions: [place(1, 0), place(1, 2)], group: "g",
            nowMs: 16)),
    .commitTransactionOffsets(
        CommitTransactionOffsets(
            transactionalID: "t", producerID: 5, epoch: 3, group: "g",
            items: [.init(topicID: topicID(1), partition: 2, offset: 9, leaderEpoch: 0, metadata: "m")],
            addsGroup: true, nowMs: 17)),
    .endTransaction(
        EndTransaction(transactionalID: "t", producerID: 5, epoch: 3, commits: true, raisesEpoch: true, nowMs: 18)),
    .abortOverdueTransaction(AbortOverdueTransaction(transactionalID: "t", nowMs: 19)),
    .writeMarkers(WriteMarkers(producerID: 5, epoch: 3, commits: false, partitions: [place(1, 1)], nowMs: 20)),
    .expireTransactions(idleSinceMs: 21, nowMs: 22),
    .registerVolume(RegisterVolume(volume: topicID(77), nodeID: 3, nowMs: 23)),
    .commitLog(
        LogCommit(
            volume: topicID(77), nodeID: 3, nodeEpoch: 4,
            runs: [run(1, 0, at: 1), run(1, 1, at: 1 << 40, stamps: [stamp(5, epoch: 3, 0...9)], .adds)], nowMs: 24)),
    .rewriteExtents(
        ExtentRewrite(
            key: "merged/1", sizeBytes: 1 << 20, nodeID: 3, nodeEpoch: 4, holdsOffsets: true, committedMs: 25,
            runs: [sampleRewrittenRun], nowMs: 26)),
    .setSiteRegistration(SetSiteRegistration(site: "pier", registration: sampleRegistration, nowMs: 16)),
    .noteSiteBoot(NoteSiteBoot(site: "pier", incarnation: "i1", boot: sampleBoot, nowMs: 17)),
]

private let sampleRewrittenRun = RewrittenRun(
    topicID: topicID(1), partition: 0, baseOffset: 0, lastOffset: 9, fingerprint: .max, position: 50, lengthBytes: 70,
    minTimestampMs: -1, maxTimestampMs: 1 << 50,
    forgotten: [
        AbortedTransaction(producerID: 9, firstOffset: 1), AbortedTransaction(producerID: 8, firstOffset: 1 << 40),
    ])

/// One of each record.
let sampleRecords: [LedgerRecord] = [
    .topicCreated(
        TopicCreated(topic: NewTopic(name: "a", id: topicID(1), partitionCount: 2, configs: ["k": "v"]), nowMs: 1)),
    .topicDeleted(TopicDeleted(id: topicID(1), partitionCount: 2, nowMs: 2)),
    .partitionsGrown(PartitionsGrown(id: topicID(1), formerCount: 2, partitionCount: 5, nowMs: 3)),
    .topicConfigsSet(TopicConfigsSet(id: topicID(2), configs: ["a": "b", "c": "d"], nowMs: 4)),
    .objectCommitted(ObjectCommitted(object: samplePlacement, nodeID: 5, nodeEpoch: 6)),
    .siteObjectAdopted(
        SiteObjectAdopted(
            object: samplePlacement, site: "s", incarnation: "i", lane: "l", sequence: 1, firstLSN: 2, lastLSN: 3)),
    .producerIDsAllocated(ProducerIDsAllocated(first: 1 << 61, count: 10)),
    .groupOffsetsCommitted(
        GroupOffsetsCommitted(
            group: "g", items: [.init(topicID: topicID(1), partition: 0, offset: 4, metadata: "x")], nowMs: 5)),
    .groupDeleted(GroupDeleted(group: "g")),
    .groupOffsetsDeleted(GroupOffsetsDeleted(group: "g", partitions: [place(1, 0)])),
    .logStartsAdvanced(
        LogStartsAdvanced(items: [.init(topicID: topicID(1), partition: 3, newLogStart: 77)], nowMs: 6)),
    .objectsMarked(ObjectsMarked(keys: ["a", "b"], nowMs: 7)),
    .objectsForgotten(ObjectsForgotten(keys: ["a"], nowMs: 8)),
    .producersExpired(ProducersExpired(idleSinceMs: 9, nowMs: 10)),
    .nodeRegistered(NodeRegistered(nodeID: 1, epoch: 2, nowMs: 11)),
    .siteSeen(SiteSeen(site: "s", nowMs: 12)),
    .siteStateSet(SiteStateSet(site: "s", isSuspended: true, fencedIncarnation: "i", nowMs: 13)),
    .transactionInitialised(
        TransactionInitialised(
            transactionalID: "t", producerID: 9, epoch: 2, formerEpoch: 1, timeoutMs: 60_000, nowMs: 14)),
    .transactionExtended(
        TransactionExtended(transactionalID: "t", partitions: [place(1, 0), place(1, 1)], group: "g", nowMs: 15)),
    .transactionOffsetsAdded(
        TransactionOffsetsAdded(
            transactionalID: "t", group: "g", items: [.init(topicID: topicID(1), partition: 0, offset: 4)], nowMs: 16)),
    .markersWritten(
        MarkersWritten(producerID: 9, epoch: 2, commits: true, partitions: [place(1, 1), place(1, 9)], nowMs: 17)),
    .transactionEnded(
        TransactionEnded(
            transactionalID: "t", producerID: 9, epoch: 3, commits: true, partitions: [place(1, 0), place(1, 1)],
            nextProducerID: 10, nextEpoch: 0, formerEpoch: 2, nowMs: 18)),
    .transactionsExpired(TransactionsExpired(idleSinceMs: 19, nowMs: 20)),
    .volumeRegistered(VolumeRegistered(volume: topicID(77), number: 3, nodeID: 1, nowMs: 21)),
    .logCommitted(
        LogCommitted(volume: topicID(77), lastLSN: 1 << 40, object: samplePlacement, nodeID: 1, nodeEpoch: 2)),
    .extentsRewritten(
        ExtentsRewritten(
            key: "merged/1", sizeBytes: 1 << 20, holdsOffsets: true, committedMs: 22, nowMs: 23,
            outcomes: [.committed(baseOffset: 0, logStart: 0), .rejected(.offsetOutOfRange)],
            runs: [sampleRewrittenRun], nodeID: 1, nodeEpoch: 2)),
    .siteRegistered(SiteRegistered(site: "pier", registration: sampleRegistration)),
    .siteBooted(SiteBooted(site: "pier", incarnation: "i1", boot: sampleBoot, isContender: true)),
    .siteGapsNoted(
        SiteGapsNoted(
            site: "s", incarnation: "i", lane: "l", sequence: 1,
            gaps: [
                SiteGap(
                    reason: 3, firstLSN: 2, lastLSN: 3,
                    items: [
                        SiteGapItem(
                            topic: "t", partition: 1, firstLocalOffset: 7, lastLocalOffset: 9, recordCount: 3,
                            batchCount: 1, sizeBytes: 99, firstWallMs: 5, lastWallMs: 6, cloudOffset: 4)
                    ], rest: SiteGapRest(partitionCount: 2, totals: SiteGapTotals(records: 8)))
            ], nowMs: 9))
]

private let samplePlacement = PlacedObject(
    key: "data/1", sizeBytes: 1 << 31, nowMs: 99,
    outcomes: [
        .committed(baseOffset: 5, logStart: 1), .duplicate(baseOffset: 1 << 60, timestampMs: -1),
        .rejected(.outOfOrderSequenceNumber), .committed(baseOffset: 15, logStart: 1),
    ],
    committed: [run(1, 0, stamps: [stamp(9, 0...9)]), run(1, 0, at: 100)])

var sampleRegistration: SiteRegistration {
    var registration = SiteRegistration(
        topics: ["gnss.*", "log"], lanes: ["bulk"],
        keys: [.init(generation: 3, salt: "aa", fingerprint: "bb", createdMs: 4, expiresMs: 9)], nowMs: 5)
    registration.isRevoked = true
    registration.directives = ["log.level": "debug", "a": ""]
    registration.directivesVersion = 1
    return registration
}

let sampleBoot = SiteBoot(number: 1 << 40, nonce: "n", address: "host at 10.0.0.1", seenMs: 6)
