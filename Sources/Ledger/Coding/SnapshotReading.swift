import KafkaProtocol
import NIOCore

extension LedgerState {
    /// Reads a snapshot. Bytes that hold together but describe no possible state are refused.
    init(decodingSnapshot frame: ByteBuffer) throws(LedgerFormatError) {
        var reader = try LedgerFrame.snapshot.open(frame)
        sequence = try reader.readUnsigned()
        nextProducerID = try reader.readSigned()
        try readObjects(&reader)
        for _ in 0..<(try reader.readCount()) { topics.insert(try readTopic(&reader)) }
        for _ in 0..<(try reader.readCount()) {
            let sinceMs = try reader.readSigned()
            condemned.append(CondemnedExtents(extents: try readExtents(&reader, from: 0).extents, sinceMs: sinceMs))
        }
        try readGroups(&reader)
        try readSites(&reader)
        for _ in 0..<(try reader.readCount()) {
            var nodeID: Int32 = 0
            try reader.integer(&nodeID)
            nodes[nodeID] = NodeState(epoch: try reader.readSigned(), lastSeenMs: try reader.readSigned())
        }
        try readTransactions(&reader)
        try readSiteAuthority(&reader)
        try readGaps(&reader)
        try reader.expectEnd()
    }

    private mutating func readTransactions(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        guard reader.version >= 2 else { return }
        for _ in 0..<(try reader.readCount()) {
            let id = try reader.readText()
            transactions.set(id, try reader.read(TransactionState.self))
        }
        for _ in 0..<(try reader.readCount()) {
            let id = try reader.readTopicID()
            volumes.set(id, try reader.read(VolumeState.self))
        }
    }

    private mutating func readObjects(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        objects.nextNumber = try reader.readSigned()
        var number: Int64 = 0
        for _ in 0..<(try reader.readCount()) {
            let step = try reader.readSigned()
            let (next, overflow) = number.addingReportingOverflow(step)
            guard !overflow, step > 0, next < objects.nextNumber else { throw .invalidValue(what: "object number") }
            number = next
            try readObject(&reader, number: number)
        }
        try readAnswers(&reader)
        for _ in 0..<(try reader.readCount()) {
            let key = try reader.readText()
            var tombstone = ObjectTable.Tombstone(
                sinceMs: try reader.readSigned(), sizeBytes: try reader.readSigned(),
                committedMs: try reader.readSigned(), isForgotten: false)
            try reader.boolean(&tombstone.isForgotten)
            objects.tombstones[key] = tombstone
        }
    }

    private mutating func readObject(_ reader: inout LedgerReader, number: Int64) throws(LedgerFormatError) {
        let key = try reader.readText()
        let sizeBytes = try reader.readSigned()
        let committedMs = try reader.readSigned()
        let flags = try reader.readUnsigned()
        guard flags <= (reader.version >= 2 ? 7 : 3) else {
            throw .invalidTag(what: "object flags", tag: Int(truncatingIfNeeded: flags))
        }
        objects.all[number] = ObjectEntry(
            key: key, sizeBytes: sizeBytes, committedMs: committedMs, extentCount: 0, isQuarantined: flags & 1 != 0,
            holdsOffsets: flags & 4 != 0)
        objects.numberByKey[key] = number
        if flags & 2 != 0 { objects.unreferencedSince[number] = try reader.readSigned() }
    }

    private mutating func readAnswers(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        var former: Int64 = 0
        for _ in 0..<(try reader.readCount()) {
            let number = try reader.readSigned()
            guard number > former, objects.all[number] != nil else { throw .invalidValue(what: "answered object") }
            former = number
            let atMs = try reader.readSigned()
            var outcomes: [RunOutcome] = []
            try reader.list(&outcomes)
            objects.answers.restore(StoredAnswers.Answer(outcomes: outcomes, atMs: atMs), object: number)
        }
    }

    private mutating func readTopic(_ reader: inout LedgerReader) throws(LedgerFormatError) -> TopicState {
        let head = try reader.read(NewTopic.self)
        let createdMs = try reader.readSigned()
        guard head.partitionCount >= 0, Int(head.partitionCount) <= reader.remainingBytes,
            topics.all[head.id] == nil, topics.like(head.name) == nil
        else { throw .invalidValue(what: "topic") }
        var partitions: [PartitionState] = []
        for _ in 0..<head.partitionCount { partitions.append(try readPartition(&reader)) }
        return TopicState(
            name: head.name, id: head.id, configs: head.configs, createdMs: createdMs, partitions: partitions)
    }

    private mutating func readPartition(_ reader: inout LedgerReader) throws(LedgerFormatError) -> PartitionState {
        var partition = PartitionState()
        partition.logStart = try reader.readSigned()
        partition.highWatermark = try reader.readSigned()
        (partition.extents, partition.sizeBytes) = try readExtents(&reader, from: partition.logStart)
        let last = partition.extents.last?.baseOffset ?? partition.logStart &- 1
        guard partition.logStart >= 0, partition.logStart <= partition.highWatermark, last < partition.highWatermark
        else { throw .invalidValue(what: "partition offsets") }
        for _ in 0..<(try reader.readCount()) {
            let id = try reader.readSigned()
            let lastUsedMs = try reader.readSigned()
            let sequences = try reader.read(ProducerSequences.self)
            partition.producers[id] = ProducerEntry(sequences: sequences, lastUsedMs: lastUsedMs)
        }
        guard reader.version >= 2 else { return partition }
        var opened: [OpenedRange] = []
        try reader.list(&opened)
        partition.open = Dictionary(opened.map { ($0.producerID, $0.firstOffset) }) { _, last in last }
        try reader.list(&partition.aborted)
        return partition
    }

    /// Reads extents and lets their objects count them.
    private mutating func readExtents(
        _ reader: inout LedgerReader, from offset: Int64
    ) throws(LedgerFormatError) -> (extents: ExtentList, sizeBytes: Int64) {
        var extents = ExtentList()
        var sizeBytes: Int64 = 0
        var former = PackedExtent(
            baseOffset: offset, object: 0, minTimestampMs: 0, maxTimestampMs: 0, position: 0, lengthBytes: 0)
        for _ in 0..<(try reader.readCount()) {
            var extent = former
            extent.baseOffset &+= try reader.readSigned()
            extent.object &+= try reader.readSigned()
            extent.minTimestampMs &+= try reader.readSigned()
            extent.maxTimestampMs = extent.minTimestampMs &+ (try reader.readSigned())
            try reader.integer(&extent.position)
            try reader.integer(&extent.lengthBytes)
            let isThere = extent.object < 0 ? reader.version >= 2 : objects.all[extent.object] != nil
            guard extents.isEmpty || extent.baseOffset > former.baseOffset, isThere else {
                throw .invalidValue(what: "extent")
            }
            objects.all[extent.object]?.extentCount += 1
            extents.appendUnmerged(extent)
            sizeBytes += Int64(extent.lengthBytes)
            former = extent
        }
        return (extents, sizeBytes)
    }

    private mutating func readGroups(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        for _ in 0..<(try reader.readCount()) {
            let group = try reader.readText()
            var offsets: [TopicPartition: GroupOffset] = [:]
            for _ in 0..<(try reader.readCount()) {
                let place = try reader.read(TopicPartition.self)
                offsets[place] = try reader.read(GroupOffset.self)
            }
            groups.all[group] = offsets
        }
    }

    private mutating func readSites(_ reader: inout LedgerReader) throws(LedgerFormatError) {
        for _ in 0..<(try reader.readCount()) {
            let name = try reader.readText()
            var site = SiteState(firstSeenMs: try reader.readSigned(), lastSeenMs: try reader.readSigned())
            try reader.boolean(&site.isSuspended)
            for _ in 0..<(try reader.readCount()) {
                let incarnation = try reader.readText()
                site.incarnations[incarnation] = try readIncarnation(&reader)
            }
            sites.all[name] = site
        }
    }

    private func readIncarnation(_ reader: inout LedgerReader) throws(LedgerFormatError) -> IncarnationState {
        var incarnation = IncarnationState(firstSeenMs: try reader.readSigned())
        try reader.boolean(&incarnation.isFenced)
        for _ in 0..<(try reader.readCount()) {
            let lane = try reader.readText()
            incarnation.lanes[lane] = try reader.read(LaneState.self)
        }
        return incarnation
    }
}
