import KafkaProtocol
import NIOCore

extension LaneState {
    /// Applies a frame read back from disk, in LSN order.
    mutating func apply<D: Disk>(_ frame: SegmentScan<D>.Frame) {
        switch frame.header.kind {
        case .batch:
            let header = try? RecordBatchHeader(reading: frame.payload, at: frame.payload.readerIndex)
            replay(frame.header, topic: frame.topic, header: header)
            producers.evict()
        case .plan:
            if var plan = UploadPlan(reading: frame.payload) {
                plan.clock = PlanClock(frame.header)
                plan.author = frame.header.author
                uploads.apply(plan)
            }
        case .uploaded:
            if let mark = UploadedMark(reading: frame.payload) {
                uploads.apply(uploaded: mark.sequence, lastLSN: mark.lastLSN)
                gaps.uploaded(through: uploads.uploadedThrough)
            }
        case .checkpoint:
            let decoded = Checkpoint.decode(
                frame.payload, producersMax: producers.limit, partitionsMax: partitionsMax,
                gapBytesMax: gaps.limitBytes)
            if let decoded { self = decoded }
        case .gap:
            var payload = frame.payload
            if let record = GapRecord(reading: &payload) {
                gaps.apply(record, plannedThrough: uploads.plannedThrough)
            }
        case .seal, .unknown: break
        }
        nextLSN = max(nextLSN, frame.header.lsn + 1)
    }
}
