public import NIOCore
public import SharedObject
public import WriteAheadLog

/// Whose objects these are.
public struct UplinkIdentity: Sendable, Equatable {
    public let site: String
    /// Of the newest era: 32 hexadecimal digits, made once per installation, so that a cloned or rebuilt gateway never writes
    /// over its double's objects.
    public let incarnation: String
    /// Of new plans: a random number of this start of the gateway, 0 for none.
    public let author: UInt64
    private let eras: [Installation.Era]

    /// Nil if a name cannot be part of an object's key.
    public init?(site: String, incarnation: String, author: UInt64 = 0) {
        self.init(site: site, eras: [Installation.Era(incarnation: incarnation)], author: author)
    }

    /// The oldest era first.
    public init?(site: String, eras: [Installation.Era], author: UInt64 = 0) {
        guard let last = eras.last, ObjectKeys.isName(site),
            eras.allSatisfy({ ObjectKeys.isIncarnation($0.incarnation) })
        else { return nil }
        self.site = site
        self.incarnation = last.incarnation
        self.eras = eras
        self.author = author
    }

    /// The name of the object of a plan of the log: plans count on for ever, objects count from 1 in each era.
    func place(lane: String, sequence: UInt64) -> (incarnation: String, sequence: UInt64) {
        let era = eras.last { ($0.bases[lane] ?? 0) < sequence } ?? eras[0]
        let base = era.bases[lane] ?? 0
        return (era.incarnation, sequence - min(base, sequence))
    }

    /// The object of a plan of the log; nil for a name that cannot be.
    public func key(lane: String, plan: UInt64) -> SiteObjectKey? {
        let place = place(lane: lane, sequence: plan)
        return SiteObjectKey(site: site, incarnation: place.incarnation, lane: lane, sequence: place.sequence)
    }

    /// The last plan of the log that does not belong to the newest era.
    func base(lane: String) -> UInt64 { eras[eras.count - 1].bases[lane] ?? 0 }
}

/// Builds the object of a plan. The same plan and batches give the same bytes, whenever and wherever it is built.
public struct SiteObjectBuilder: Sendable {
    public let identity: UplinkIdentity
    public let lane: String
    public let merger: BatchMerger

    public init(identity: UplinkIdentity, lane: String, merger: BatchMerger = BatchMerger()) {
        self.identity = identity
        self.lane = lane
        self.merger = merger
    }

    public func key(sequence: UInt64) -> String {
        let place = identity.place(lane: lane, sequence: sequence)
        return ObjectKeys.site(
            site: identity.site, incarnation: place.incarnation, lane: lane, sequence: place.sequence)
    }

    /// `batches` are those of the plan's range in LSN order, none of them in one of `gaps`; without any the object has no
    /// runs, so that the sequence goes on. Their times are repaired by what the plan knows of the clock. It is created at the
    /// wall time of its last batch, which the log keeps.
    public func build(
        _ plan: UploadPlan, batches: consuming [StoredBatch], gaps: [GapRecord] = []
    ) throws(ObjectFormatError) -> (body: ByteBuffer, footer: ObjectFooter) {
        var repair = TimeRepair(plan.clock)
        return try build(plan, batches: batches, gaps: gaps, &repair)
    }

    func build(
        _ plan: UploadPlan, batches: consuming [StoredBatch], gaps: [GapRecord], _ repair: inout TimeRepair
    ) throws(ObjectFormatError) -> (body: ByteBuffer, footer: ObjectFooter) {
        if repair.clock != nil {
            for place in batches.indices { batches[place] = repair.apply(to: batches[place]) }
        }
        let place = identity.place(lane: lane, sequence: plan.sequence)
        let header = ObjectHeader.site(
            identity.site, incarnation: place.incarnation, lane: lane, sequence: place.sequence,
            firstLSN: plan.firstLSN, lastLSN: plan.lastLSN, createdMs: batches.last?.wallMs ?? 0,
            author: plan.author)
        let gaps = gaps.map { ObjectGap($0, reaching: plan) }
        let logBytes = batches.reduce(0) { $0 + $1.batch.readableBytes }
        // Merging never grows a group, so the log's bytes and an index entry for each batch bound the object.
        let gapBytes = gaps.reduce(0) { $0 + $1.encodedBytes }
        var writer = try ObjectWriter(
            header: header, gaps: gaps, sizeBytesMax: logBytes + batches.count * 512 + gapBytes + (1 << 20))
        var partitions = Self.byPartition(batches)
        for key in Array(partitions.keys) {
            // Taken out, so that the batches of a partition are freed as soon as they are merged.
            guard let batches = partitions.removeValue(forKey: key) else { continue }
            for output in merger.merge(batches) {
                try writer.append(
                    output.batch, topic: key.topic, partition: key.partition, localOffset: output.localOffset)
            }
        }
        return writer.finish()
    }

    private struct PartitionKey: Hashable {
        var topic: String
        var partition: Int32
    }

    private static func byPartition(_ batches: consuming [StoredBatch]) -> [PartitionKey: [StoredBatch]] {
        var partitions: [PartitionKey: [StoredBatch]] = [:]
        for batch in batches {
            partitions[PartitionKey(topic: batch.topic, partition: batch.partition), default: []].append(batch)
        }
        return partitions
    }
}

extension ObjectFooter {
    /// Whether the object behind this footer is the one that `planned` says: the same lane and range, and every record of it.
    ///
    /// Where both know their authors it must be made from the same plan, or be the same byte for byte: of a copied disk two
    /// gateways may have taken as many records each at the same times. More is not foreign: the log may have lost some since.
    /// Nil means yes, else what differs.
    func difference(from planned: ObjectFooter) -> String? {
        let (mine, theirs) = (planned.header, header)
        guard
            theirs.kind == mine.kind, theirs.site == mine.site, theirs.incarnation == mine.incarnation,
            theirs.lane == mine.lane, theirs.sequence == mine.sequence
        else { return "it names \(theirs.site)/\(theirs.incarnation)/\(theirs.lane) \(theirs.sequence)" }
        guard theirs.firstLSN == mine.firstLSN, theirs.lastLSN == mine.lastLSN else {
            return "it holds LSN \(theirs.firstLSN) to \(theirs.lastLSN), not \(mine.firstLSN) to \(mine.lastLSN)"
        }
        if theirs.author != 0, mine.author != 0, theirs.author != mine.author {
            return runs == planned.runs && gaps == planned.gaps && !hasLoss
                ? nil : "another start, perhaps of a copy of this disk, planned it"
        }
        let stored = Dictionary(grouping: runs, by: \.topic)
        for run in planned.runs where !hasLoss && !(stored[run.topic] ?? []).contains(where: { $0.holds(run) }) {
            return "it lacks \(run.recordCount) records of \(run.topic)/\(run.partition) at \(run.firstLocalOffset)"
        }
        return nil
    }

    /// What could not be read when the object was built may be readable again; the cloud knows it as lost.
    private var hasLoss: Bool { gaps.contains { $0.reason == .unreadable } }
}

extension ObjectGap {
    /// The part of a recorded gap that lies in the plan, which is all of it: plans end outside of gaps.
    init(_ record: GapRecord, reaching plan: UploadPlan) {
        self.init(
            reason: ObjectGap.Reason(rawValue: record.reason.rawValue) ?? .unreadable,
            firstLSN: max(record.firstLSN, plan.firstLSN), lastLSN: min(record.lastLSN, plan.lastLSN))
        items = record.partitions.map {
            Item(
                topic: $0.topic, partition: $0.partition, firstLocalOffset: $0.firstOffset,
                lastLocalOffset: $0.lastOffset, recordCount: $0.recordCount, batchCount: $0.batchCount,
                sizeBytes: $0.sizeBytes, firstWallMs: $0.firstWallMs, lastWallMs: $0.lastWallMs)
        }
        rest = Rest(
            partitionCount: record.rest.partitionCount, recordCount: record.rest.totals.records,
            batchCount: record.rest.totals.batches, sizeBytes: record.rest.totals.bytes)
    }
}

extension Run {
    fileprivate func holds(_ other: Run) -> Bool {
        guard partition == other.partition, firstLocalOffset <= other.firstLocalOffset,
            endLocalOffset >= other.endLocalOffset
        else { return false }
        return recordCount != other.recordCount || maxTimestampMs == other.maxTimestampMs
    }
}
