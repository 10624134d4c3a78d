import KafkaProtocol
public import NIOCore
public import WriteAheadLog

/// Turns the batches of one topic-partition into fewer, larger, compressed ones without changing a record.
///
/// - Merged: small uncompressed batches without a producer id, not transactional, not control, with timestamps of the producer
///   (CreateTime), whose local offsets follow each other. Records, their order, keys, values, headers and timestamps stay;
///   record `i` of a merged batch has local offset `localOffset + i`.
/// - Everything else, and whatever cannot be decoded or does not get smaller, is passed on byte for byte.
/// - The same batches give the same bytes.
public struct BatchMerger: Sendable {
    /// Values a user may change.
    public struct Settings: Sendable, Equatable {
        /// Bytes of batches that one merged batch is made of at most.
        public var mergedBytesMax: Int
        public var mergedRecordsMax: Int
        /// A larger batch stays as it is: a client that sends so much at a time chose its codec, and compressing a
        /// fast stream for it would cost two CPU-seconds a gigabyte.
        public var mergeableBytesMax: Int
        /// A batch of this size or less is not worth compressing by itself.
        public var compressBytesMin: Int
        public var zstdLevel: Int32

        public init(
            mergedBytesMax: Int = 1 << 20, mergedRecordsMax: Int = 64 << 10, mergeableBytesMax: Int = 128 << 10,
            compressBytesMin: Int = 256, zstdLevel: Int32 = 1
        ) {
            precondition(mergedBytesMax > 0 && mergedRecordsMax > 0, "limits must be positive")
            self.mergedBytesMax = mergedBytesMax
            self.mergedRecordsMax = mergedRecordsMax
            self.mergeableBytesMax = mergeableBytesMax
            self.compressBytesMin = compressBytesMin
            self.zstdLevel = zstdLevel
        }
    }

    /// One batch for the object.
    public struct Output: Sendable, Equatable {
        public var batch: ByteBuffer
        public var localOffset: Int64
    }

    public let settings: Settings

    public init(settings: Settings = Settings()) { self.settings = settings }

    /// `batches` are of one topic-partition, in offset order.
    public func merge(_ batches: [StoredBatch]) -> [Output] {
        var outputs: [Output] = []
        var group: [StoredBatch] = []
        var groupBytes = 0
        var groupRecords = 0
        func flush() {
            outputs += output(of: group)
            group.removeAll(keepingCapacity: true)
            groupBytes = 0
            groupRecords = 0
        }
        for batch in batches {
            let bytes = batch.batch.readableBytes
            let records = Int(batch.header.recordCount)
            let fits =
                groupBytes + bytes <= settings.mergedBytesMax
                && groupRecords + records <= settings.mergedRecordsMax
            if let last = group.last, !fits || !follows(batch, last) || !isMergeable(batch) { flush() }
            group.append(batch)
            groupBytes += bytes
            groupRecords += records
            if !isMergeable(batch) { flush() }
        }
        flush()
        return outputs
    }

    private func follows(_ batch: StoredBatch, _ previous: StoredBatch) -> Bool {
        batch.baseOffset == previous.baseOffset + Int64(previous.header.recordCount)
    }

    private func isMergeable(_ batch: StoredBatch) -> Bool {
        let header = batch.header
        // No attributes: no codec, CreateTime, not transactional, not control, no delete horizon.
        return header.attributes == 0 && header.producerID < 0 && header.recordCount > 0
            && header.recordCount - 1 == header.lastOffsetDelta
            && batch.batch.readableBytes <= settings.mergeableBytesMax
    }

    /// One merged batch, or the group as it came.
    private func output(of group: [StoredBatch]) -> [Output] {
        guard let first = group.first else { return [] }
        let untouched = group.map { Output(batch: $0.batch, localOffset: $0.baseOffset) }
        let bytes = group.reduce(0) { $0 + $1.batch.readableBytes }
        guard isMergeable(first), group.count > 1 || bytes > settings.compressBytesMin else { return untouched }
        guard let merged = merged(group), merged.readableBytes < bytes else { return untouched }
        return [Output(batch: merged, localOffset: first.baseOffset)]
    }

    /// Nil if a batch does not decode to what its header says.
    private func merged(_ group: [StoredBatch]) -> ByteBuffer? {
        var splice = RecordSplice(
            batchBytes: group.reduce(0) { $0 + $1.batch.readableBytes },
            recordCount: group.reduce(0) { $0 + Int($1.header.recordCount) })
        for stored in group where !splice.append(stored.batch, header: stored.header) { return nil }
        return splice.finish(zstdLevel: settings.zstdLevel)
    }
}
