extension LiveSegment {
    /// Opens a segment and reads its header; without one, a valid group inside tells what the header said.
    static func identify<D: Disk>(
        _ entry: DiskEntry, _ sequence: UInt64, _ disk: D, _ window: ScanWindow<D>
    ) throws(DiskError) -> LiveSegment where D.File == File {
        let file = try disk.open(entry.name)
        window.open(file)
        var segment = LiveSegment(
            sequence: sequence, salt: 0, file: file, sizeBytes: entry.sizeBytes, firstLSN: 0, endBytes: entry.sizeBytes)
        let head = try window.bytes(at: 0, count: SegmentHeader.sizeBytes)
        if let header = SegmentHeader(reading: head), header.sequence == sequence {
            segment.salt = header.salt
            segment.firstLSN = header.firstLSN
            return segment
        }
        var at = 0
        while at + GroupHeader.sizeBytes <= entry.sizeBytes {
            let bytes = try window.bytes(at: at, count: GroupHeader.sizeBytes)
            if let group = GroupHeader(reading: bytes, sequence: sequence) {
                segment.salt = group.salt
                segment.firstLSN = group.firstLSN
                return segment
            }
            at += Block.sizeBytes
        }
        segment.isReadable = false
        return segment
    }
}
