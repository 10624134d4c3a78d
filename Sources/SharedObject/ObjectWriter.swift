import KafkaProtocol
public import NIOCore

/// Lays record batches out as one object.
///
/// - Batches may come in any order of topic-partitions; those of one partition must come in offset order. They are held as
///   slices and copied once, into the body, by ``finish()``.
/// - Bytes: the same header and the same batches in the same order of each partition give the same bytes. In the object
///   the base offset of each batch is its local offset (its CRC does not cover that field); nothing else is changed.
/// - With a header of kind `cloudWithOffsets` batches keep the base offsets that they have, which rise and may leave holes, and
///   may hold fewer records than offsets; a partition then has one run.
/// - Bound: `sizeBytesMax` for the whole object.
public struct ObjectWriter: Sendable {
    private struct PartitionKey: Hashable {
        var topic: String
        var partition: Int32
    }

    private struct PendingRun {
        var firstLocalOffset: Int64
        var endLocalOffset: Int64
        var tally = RunTally()
        var batches: [ByteBuffer] = []
    }

    public let header: ObjectHeader
    public let gaps: [ObjectGap]
    public let sizeBytesMax: Int
    /// What the finished object would measure.
    public private(set) var sizeBytes: Int
    private var partitions: [PartitionKey: [PendingRun]] = [:]

    /// Throws ``ObjectFormatError`` if `header` holds a text over 255 bytes or an empty LSN range.
    public init(
        header: ObjectHeader, gaps: [ObjectGap] = [], sizeBytesMax: Int = ObjectFormat.objectBytesMax
    ) throws(ObjectFormatError) {
        try header.validate()
        self.header = header
        self.gaps = gaps
        self.sizeBytesMax = sizeBytesMax
        let empty = ObjectFooter(header: header, runs: [], gaps: gaps, objectSizeBytes: 0)
        sizeBytes = header.encodedBytes + empty.encodedTailBytes
    }

    public var isEmpty: Bool { partitions.isEmpty }
    private var holdsOffsets: Bool { header.kind == .cloudWithOffsets }

    /// Takes one whole record batch of `topic`, `partition`.
    ///
    /// `localOffset` is the offset of its first record; without it the batch follows the one before (a cloud object, which
    /// counts from 0). Where it does not follow the one before, a new run begins.
    /// Throws `invalidBatch`, `invalidText` (topic), `invalidField`, `runsOutOfOrder` or `objectTooLarge`;
    /// the writer is then as it was before.
    public mutating func append(
        _ batch: ByteBuffer, topic: String, partition: Int32, localOffset: Int64? = nil
    ) throws(ObjectFormatError) {
        let batchHeader = try Self.header(of: batch, isSparse: holdsOffsets)
        guard ObjectFormat.isTopic(topic) else {
            throw .invalidText(part: "run", field: "topic", lengthBytes: topic.utf8.count)
        }
        guard partition >= 0 else { throw .invalidField(part: "run", field: "partition", value: Int64(partition)) }
        let key = PartitionKey(topic: topic, partition: partition)
        let previous = partitions[key]?.last
        let offset = holdsOffsets ? batchHeader.baseOffset : localOffset ?? previous?.endLocalOffset ?? 0
        let offsetCount = Int64(batchHeader.lastOffsetDelta) + 1
        guard offset >= 0, offset <= Int64.max - offsetCount else {
            throw .invalidField(part: "run", field: "first local offset", value: offset)
        }
        if let previous, offset < previous.endLocalOffset { throw .runsOutOfOrder(index: partitions.count) }
        let beginsRun = previous.map { !holdsOffsets && $0.endLocalOffset != offset } ?? true
        try reserve(batch: batch.readableBytes, header: batchHeader, topicOfNewRun: beginsRun ? topic : nil)
        if beginsRun {
            partitions[key, default: []].append(PendingRun(firstLocalOffset: offset, endLocalOffset: offset))
        }
        let last = partitions[key, default: []].count - 1
        partitions[key]?[last].endLocalOffset = offset + offsetCount
        if holdsOffsets {
            partitions[key]?[last].tally.addWithOffsets(batchHeader)
        } else {
            partitions[key]?[last].tally.add(batchHeader)
        }
        partitions[key]?[last].batches.append(batch)
    }

    /// The object's bytes and its index.
    public consuming func finish() -> (body: ByteBuffer, footer: ObjectFooter) {
        var body = ByteBufferAllocator().buffer(capacity: sizeBytes)
        header.encode(into: &body)
        var runs: [Run] = []
        for key in sortedKeys {
            for pending in partitions[key] ?? [] {
                runs.append(write(pending, topic: key.topic, partition: key.partition, into: &body))
            }
        }
        let footer = ObjectFooter(header: header, runs: runs, gaps: gaps, objectSizeBytes: sizeBytes)
        footer.encodeTail(into: &body)
        precondition(body.readableBytes == sizeBytes, "wrote \(body.readableBytes) bytes, planned \(sizeBytes)")
        return (body, footer)
    }

    private var sortedKeys: [PartitionKey] {
        partitions.keys.sorted {
            $0.topic == $1.topic
                ? $0.partition < $1.partition : $0.topic.utf8.lexicographicallyPrecedes($1.topic.utf8)
        }
    }

    /// The same bytes without copying or reading those of the batches: checksums of runs are joined from those that the
    /// batches carry, which must be right. Of each batch there are two pieces: its base offset, and the rest of it.
    /// Not for a header of kind `cloudWithOffsets`.
    public consuming func finishInPieces(_ take: (ByteBuffer) -> Void) -> ObjectFooter {
        precondition(!holdsOffsets, "offsets are in the batches")
        let keys = sortedKeys
        var small = ByteBufferAllocator().buffer(capacity: header.encodedBytes)
        header.encode(into: &small)
        take(small)
        var position = small.readableBytes
        var runs: [Run] = []
        for key in keys {
            for pending in partitions[key] ?? [] {
                var pieces = RunPieces(firstLocalOffset: pending.firstLocalOffset)
                for batch in pending.batches { pieces.add(batch, take) }
                runs.append(
                    pending.tally.run(
                        topic: key.topic, partition: key.partition, position: position,
                        firstLocalOffset: pending.firstLocalOffset, crc32c: pieces.crc32c))
                position += pieces.sizeBytes
            }
        }
        let footer = ObjectFooter(header: header, runs: runs, objectSizeBytes: sizeBytes)
        var tail = ByteBufferAllocator().buffer(capacity: sizeBytes - position)
        footer.encodeTail(into: &tail)
        take(tail)
        precondition(position + tail.readableBytes == sizeBytes, "laid out \(position), planned \(sizeBytes)")
        return footer
    }

    private func write(
        _ pending: PendingRun, topic: String, partition: Int32, into body: inout ByteBuffer
    ) -> Run {
        let position = body.writerIndex
        var offset = pending.firstLocalOffset
        var crc32c: UInt32 = 0
        for batch in pending.batches {
            let start = body.writerIndex
            if holdsOffsets {
                crc32c = body.append(batch, continuing: crc32c)
                continue
            }
            body.writeInteger(offset)  // the base offset is the first field of a batch
            crc32c = body.crc32c(at: start, length: MemoryLayout<Int64>.size, continuing: crc32c)
            var rest = batch
            rest.moveReaderIndex(forwardBy: MemoryLayout<Int64>.size)
            crc32c = body.append(rest, continuing: crc32c)
            // The record count is its last header field, at byte 57; header(of:) has checked it.
            offset += Int64(batch.getInteger(at: batch.readerIndex + 57, as: Int32.self) ?? 0)
        }
        return pending.tally.run(
            topic: topic, partition: partition, position: position, firstLocalOffset: pending.firstLocalOffset,
            crc32c: crc32c)
    }

    private static func header(of batch: ByteBuffer, isSparse: Bool) throws(ObjectFormatError) -> RecordBatchHeader {
        let header: RecordBatchHeader
        do {
            header = try RecordBatchHeader(reading: batch, at: batch.readerIndex)
        } catch {
            throw .invalidBatch(reason: "\(error)")
        }
        guard header.totalSizeBytes == batch.readableBytes else {
            throw .invalidBatch(reason: "batch of \(header.totalSizeBytes) bytes in \(batch.readableBytes)")
        }
        let isWhole =
            isSparse
            ? header.recordCount >= 0 && header.lastOffsetDelta >= 0 && header.recordCount - 1 <= header.lastOffsetDelta
            : header.recordCount > 0 && header.recordCount - 1 == header.lastOffsetDelta
        guard isWhole else {
            throw .invalidBatch(reason: "\(header.recordCount) records, last offset delta \(header.lastOffsetDelta)")
        }
        return header
    }

    private mutating func reserve(
        batch batchBytes: Int, header: RecordBatchHeader, topicOfNewRun: String?
    ) throws(ObjectFormatError) {
        var more = RunTally()
        if holdsOffsets { more.addWithOffsets(header) } else { more.add(header) }
        var neededBytes = batchBytes + more.stamps.count * ObjectFormat.stampBytes
        if let topicOfNewRun { neededBytes += ObjectFormat.runBytesMin - 1 + topicOfNewRun.utf8.count }
        guard sizeBytes + neededBytes <= sizeBytesMax else {
            throw .objectTooLarge(sizeBytes: sizeBytes + neededBytes, limitBytes: sizeBytesMax)
        }
        sizeBytes += neededBytes
    }
}
