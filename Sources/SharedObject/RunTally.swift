import KafkaProtocol

/// Adds up batch headers to what a footer says of their run. Used by the writer and, as the check, by the reader.
struct RunTally {
    private(set) var lengthBytes = 0
    private(set) var recordCount = 0
    private(set) var batchCount = 0
    private(set) var minTimestampMs = Int64.max
    private(set) var maxTimestampMs = Int64.min
    private(set) var stamps: [ProducerStamp] = []

    /// A batch that holds its offsets counts with all that it stands for: records may be gone.
    mutating func addWithOffsets(_ header: RecordBatchHeader) {
        add(sizeBytes: header.totalSizeBytes, records: Int(header.lastOffsetDelta) + 1, header)
    }

    mutating func add(_ header: RecordBatchHeader) {
        if header.producerID >= 0, header.producerEpoch >= 0, header.baseSequence >= 0, !header.isControl {
            stamps.append(
                ProducerStamp(
                    producerID: header.producerID, producerEpoch: header.producerEpoch,
                    firstSequence: header.baseSequence, recordCount: header.recordCount,
                    recordIndex: Int64(recordCount), isTransactional: header.isTransactional))
        }
        add(sizeBytes: header.totalSizeBytes, records: Int(header.recordCount), header)
    }

    private mutating func add(sizeBytes: Int, records: Int, _ header: RecordBatchHeader) {
        lengthBytes += sizeBytes
        recordCount += records
        batchCount += 1
        maxTimestampMs = max(maxTimestampMs, header.maxTimestamp)
        minTimestampMs = min(minTimestampMs, header.maxTimestamp)
        // With a delete horizon the base timestamp is not a time of records (KIP-534).
        if !header.hasDeleteHorizon { minTimestampMs = min(minTimestampMs, header.baseTimestamp) }
    }

    func run(topic: String, partition: Int32, position: Int, firstLocalOffset: Int64, crc32c: UInt32) -> Run {
        Run(
            topic: topic, partition: partition, position: position, lengthBytes: lengthBytes,
            recordCount: recordCount, batchCount: batchCount, minTimestampMs: minTimestampMs,
            maxTimestampMs: maxTimestampMs, firstLocalOffset: firstLocalOffset, crc32c: crc32c, stamps: stamps)
    }
}
