/// One batch of an idempotent or transactional producer inside a run, as the ledger needs it to refuse repeats.
public struct ProducerStamp: Sendable, Hashable {
    public var producerID: Int64
    public var producerEpoch: Int16
    /// Sequence of the first record of the batch; the last one is `firstSequence + recordCount - 1`, wrapping to 0
    /// after `Int32.max`.
    public var firstSequence: Int32
    public var recordCount: Int32
    /// Index of the batch's first record among the records of the run.
    public var recordIndex: Int64
    public var isTransactional: Bool

    public init(
        producerID: Int64, producerEpoch: Int16, firstSequence: Int32, recordCount: Int32, recordIndex: Int64,
        isTransactional: Bool
    ) {
        self.producerID = producerID
        self.producerEpoch = producerEpoch
        self.firstSequence = firstSequence
        self.recordCount = recordCount
        self.recordIndex = recordIndex
        self.isTransactional = isTransactional
    }

    /// Sequence of the last record of the batch.
    public var lastSequence: Int32 {
        let last = Int64(firstSequence) + Int64(recordCount) - 1
        return Int32(truncatingIfNeeded: last & Int64(Int32.max))
    }
}

/// Record batches of one topic-partition, back to back in the object.
///
/// - Units: `position` and `lengthBytes` are bytes from the start of the object; times are milliseconds since
///   1970-01-01 UTC; `crc32c` covers exactly the bytes of the run.
/// - Records are dense: record `i` of the run has local offset `firstLocalOffset + i`. In the object every batch carries
///   its local offset as base offset. A cloud object counts from 0 in every run.
public struct Run: Sendable, Hashable {
    public var topic: String
    public var partition: Int32
    public var position: Int
    public var lengthBytes: Int
    public var recordCount: Int
    public var batchCount: Int
    /// The smallest base timestamp and the largest max timestamp of the batches.
    public var minTimestampMs: Int64
    public var maxTimestampMs: Int64
    public var firstLocalOffset: Int64
    public var crc32c: UInt32
    public var stamps: [ProducerStamp]

    public init(
        topic: String, partition: Int32, position: Int, lengthBytes: Int, recordCount: Int, batchCount: Int,
        minTimestampMs: Int64, maxTimestampMs: Int64, firstLocalOffset: Int64, crc32c: UInt32,
        stamps: [ProducerStamp] = []
    ) {
        self.topic = topic
        self.partition = partition
        self.position = position
        self.lengthBytes = lengthBytes
        self.recordCount = recordCount
        self.batchCount = batchCount
        self.minTimestampMs = minTimestampMs
        self.maxTimestampMs = maxTimestampMs
        self.firstLocalOffset = firstLocalOffset
        self.crc32c = crc32c
        self.stamps = stamps
    }

    /// The bytes of the run inside the object, as a ranged GET names them.
    public var range: Range<Int> { position..<position + lengthBytes }
    /// The local offset after the last record of the run.
    public var endLocalOffset: Int64 { firstLocalOffset + Int64(recordCount) }
}
