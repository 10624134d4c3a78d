import KafkaProtocol

@testable import WriteAheadLog

/// What the index file of a lane knew when it was written last. The file is SQLite's business and made anew for each start; what it
/// tells, and what a start makes of that, is production code.
struct SimulatedIndex {
    private var entries: [UInt64: IndexEntry] = [:]
    private var names: [PartitionName] = []
    private var through: UInt64 = 0
    private var last: (sequence: UInt64, salt: UInt64)?
    private var uploads: UploadState?

    /// Everything durable is indexed now.
    mutating func follow(_ lane: SimulatedLane) {
        lane.look { core in
            let view = core.view
            through = core.durableLSN
            names = core.state.durable.partitions.rows.map(\.name)
            uploads = core.uploadState
            last = view.segments.last { $0.isReadable && $0.firstLSN <= through }.map { ($0.sequence, $0.salt) }
            core.eachFrame { segment, frame in
                guard frame.header.kind == .batch else { return }
                note(frame.header, at: frame.offset, of: segment.sequence, frame.topic)
            }
        }
    }

    private mutating func note(_ header: FrameHeader, at offset: Int, of segment: UInt64, _ topic: String) {
        let name = PartitionName(topic: topic, partition: header.partition)
        guard let place = names.firstIndex(of: name) else { return }
        entries[header.lsn] = IndexEntry(
            lsn: header.lsn, segment: segment, offsetBytes: offset, frameBytes: header.frameBytes, partition: place,
            baseOffset: header.baseOffset, recordCount: header.recordCount, maxTimestampMs: 0)
    }

    /// Nil where there is none that matters.
    func file() throws -> OpenedIndex.Found? {
        guard through > 0 else { return nil }
        let connection = try IndexSchema.begin(":memory:")
        let store = IndexStore(connection)
        let rows = entries.values.sorted { $0.lsn < $1.lsn }
        try store.add(rows, through: through, last: last) { $0 < names.count ? names[$0] : nil }
        if let uploads, uploads.uploadedThrough > 0 {
            let sequence = (uploads.openPlans.first?.sequence ?? uploads.nextSequence) - 1
            try store.record(
                UploadPlan(sequence: sequence, firstLSN: uploads.uploadedThrough, lastLSN: uploads.uploadedThrough),
                isUploaded: true)
        }
        return .success(IndexSchema.Opened(connection: connection, rebuildReason: nil))
    }
}
