import KafkaProtocol
import NIOCore

// The whole state as bytes. Every dictionary is written in the order of its keys, so that equal states are equal bytes.

extension LedgerState {
    func encodedSnapshot(version: UInt16 = LedgerFrame.version) -> ByteBuffer {
        var writer = LedgerWriter(reservedBytes: 1 << 20)
        writer.write(sequence)
        writer.write(signed: nextProducerID)
        write(objects, to: &writer)
        writer.write(UInt64(topics.all.count))
        for (_, topic) in topics.all.sorted(by: { $0.key.precedes($1.key) }) { write(topic, to: &writer) }
        writer.write(UInt64(condemned.count))
        for leftover in condemned {
            writer.write(signed: leftover.sinceMs)
            write(leftover.extents, from: 0, to: &writer)
        }
        writeGroups(to: &writer)
        writeSites(to: &writer)
        writer.write(UInt64(nodes.count))
        for (nodeID, node) in nodes.sorted(by: { $0.key < $1.key }) {
            writer.write(signed: Int64(nodeID))
            writer.write(signed: node.epoch)
            writer.write(signed: node.lastSeenMs)
        }
        writer.write(UInt64(transactions.all.count))
        for (id, transaction) in transactions.all.sorted(by: { $0.key < $1.key }) {
            writer.write(text: id)
            writer.write(transaction)
        }
        writer.write(UInt64(volumes.all.count))
        for (id, volume) in volumes.all.sorted(by: { $0.key.precedes($1.key) }) {
            writer.write(topicID: id)
            writer.write(volume)
        }
        writeSiteAuthority(to: &writer)
        writeGaps(to: &writer)
        return LedgerFrame.snapshot.wrap(writer.bytes, version: version)
    }

    private func write(_ objects: ObjectTable, to writer: inout LedgerWriter) {
        writer.write(signed: objects.nextNumber)
        writer.write(UInt64(objects.all.count))
        var former: Int64 = 0
        for (number, object) in objects.all.sorted(by: { $0.key < $1.key }) {
            writer.write(signed: number - former)
            former = number
            writer.write(text: object.key)
            writer.write(signed: object.sizeBytes)
            writer.write(signed: object.committedMs)
            let since = objects.unreferencedSince[number]
            writer.write((object.isQuarantined ? 1 : 0) | (since != nil ? 2 : 0) | (object.holdsOffsets ? 4 : 0))
            if let since { writer.write(signed: since) }
        }
        writer.write(UInt64(objects.answers.byObject.count))
        for (number, answer) in objects.answers.byObject.sorted(by: { $0.key < $1.key }) {
            writer.write(signed: number)
            writer.write(signed: answer.atMs)
            writer.write(UInt64(answer.outcomes.count))
            for outcome in answer.outcomes { writer.write(outcome) }
        }
        writer.write(UInt64(objects.tombstones.count))
        for (key, tombstone) in objects.tombstones.sorted(by: { $0.key < $1.key }) {
            writer.write(text: key)
            writer.write(signed: tombstone.sinceMs)
            writer.write(signed: tombstone.sizeBytes)
            writer.write(signed: tombstone.committedMs)
            writer.write(tombstone.isForgotten ? 1 : 0)
        }
    }

    private func write(_ topic: TopicState, to writer: inout LedgerWriter) {
        let head = NewTopic(
            name: topic.name, id: topic.id, partitionCount: Int32(topic.partitions.count), configs: topic.configs)
        writer.write(head)
        writer.write(signed: topic.createdMs)
        for partition in topic.partitions {
            writer.write(signed: partition.logStart)
            writer.write(signed: partition.highWatermark)
            write(partition.extents, from: partition.logStart, to: &writer)
            writer.write(UInt64(partition.producers.count))
            for (id, entry) in partition.producers.sorted(by: { $0.key < $1.key }) {
                writer.write(signed: id)
                writer.write(signed: entry.lastUsedMs)
                writer.write(entry.sequences)
            }
            writer.write(UInt64(partition.open.count))
            for (id, offset) in partition.open.sorted(by: { $0.key < $1.key }) {
                writer.write(OpenedRange(producerID: id, firstOffset: offset))
            }
            writer.write(UInt64(partition.aborted.count))
            for range in partition.aborted { writer.write(range) }
        }
    }

    /// Each extent as the differences to the one before it.
    private func write(_ extents: ExtentList, from offset: Int64, to writer: inout LedgerWriter) {
        writer.write(UInt64(extents.count))
        var former = PackedExtent(
            baseOffset: offset, object: 0, minTimestampMs: 0, maxTimestampMs: 0, position: 0, lengthBytes: 0)
        for index in 0..<extents.count {
            let extent = extents[index]
            writer.write(signed: extent.baseOffset &- former.baseOffset)
            writer.write(signed: extent.object &- former.object)
            writer.write(signed: extent.minTimestampMs &- former.minTimestampMs)
            writer.write(signed: extent.maxTimestampMs &- extent.minTimestampMs)
            writer.write(UInt64(extent.position))
            writer.write(UInt64(extent.lengthBytes))
            former = extent
        }
    }

    private func writeGroups(to writer: inout LedgerWriter) {
        writer.write(UInt64(groups.all.count))
        for (group, offsets) in groups.all.sorted(by: { $0.key < $1.key }) {
            writer.write(text: group)
            writer.write(UInt64(offsets.count))
            for (place, offset) in offsets.sorted(by: { $0.key < $1.key }) {
                writer.write(place)
                writer.write(offset)
            }
        }
    }

    private func writeSites(to writer: inout LedgerWriter) {
        writer.write(UInt64(sites.all.count))
        for (site, state) in sites.all.sorted(by: { $0.key < $1.key }) {
            writer.write(text: site)
            writer.write(signed: state.firstSeenMs)
            writer.write(signed: state.lastSeenMs)
            writer.write(state.isSuspended ? 1 : 0)
            writer.write(UInt64(state.incarnations.count))
            for (name, incarnation) in state.incarnations.sorted(by: { $0.key < $1.key }) {
                writer.write(text: name)
                writer.write(signed: incarnation.firstSeenMs)
                writer.write(incarnation.isFenced ? 1 : 0)
                writer.write(UInt64(incarnation.lanes.count))
                for (lane, laneState) in incarnation.lanes.sorted(by: { $0.key < $1.key }) {
                    writer.write(text: lane)
                    writer.write(laneState)
                }
            }
        }
    }
}

extension GroupOffset: LedgerCoded {
    static var blank: GroupOffset { GroupOffset(offset: 0, leaderEpoch: -1, metadata: "", committedMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.signed(&offset)
        try coder.integer(&leaderEpoch)
        try coder.text(&metadata)
        try coder.signed(&committedMs)
    }
}

extension LaneState: LedgerCoded {
    static var blank: LaneState { LaneState() }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.unsigned(&nextSequence)
        try coder.unsigned(&lastLSN)
        try coder.signed(&adoptedMs)
        try coder.signed(&recordCount)
        try coder.signed(&sizeBytes)
        try coder.signed(&rejectedRuns)
        try coder.signed(&gapCount)
        try coder.unsigned(&missingLSNs)
        try coder.list(&recentGaps)
    }
}

extension LaneGap: LedgerCoded {
    static var blank: LaneGap { LaneGap(firstLSN: 0, lastLSN: 0, sequence: 0, foundMs: 0) }

    mutating func fields(_ coder: inout some LedgerCoder) throws(LedgerFormatError) {
        try coder.unsigned(&firstLSN)
        try coder.unsigned(&lastLSN)
        try coder.unsigned(&sequence)
        try coder.signed(&foundMs)
    }
}
