import KafkaProtocol
import NIOCore

extension IndexEntry {
    /// The row of a frame read back from a segment; nil when its partition is not known to the lane.
    init?(_ frame: SegmentScan<LocalDisk>.Frame, segment: UInt64, published: PublishedLane) {
        let name = PartitionName(topic: frame.topic, partition: frame.header.partition)
        guard let (place, _) = published.place(of: name),
            let header = try? RecordBatchHeader(reading: frame.payload, at: frame.payload.readerIndex)
        else { return nil }
        self.init(
            lsn: frame.header.lsn, segment: segment, offsetBytes: frame.offset, frameBytes: frame.header.frameBytes,
            partition: place, baseOffset: frame.header.baseOffset, recordCount: frame.header.recordCount,
            maxTimestampMs: header.maxTimestamp)
    }
}
