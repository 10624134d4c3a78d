import Sealing

/// Reads all of one closed segment from the device and verifies it.
struct SegmentCheck<D: Disk> {
    struct Finding: Equatable {
        var quarantined: [QuarantinedRange] = []
        var gaps: [LSNGap] = []
        /// Block 0 does not verify, or says something else than the lane knows.
        var isHeadDamaged = false
        /// Blocks the device cannot read.
        var failedBlocks = 0

        var isClean: Bool { self == Finding() }
    }

    let disk: D
    let segment: LiveSegment<D.File>
    /// LSN of the first frame after it; nothing in it counts from there on.
    let limitLSN: UInt64
    /// The segment that comes next is there: what is missing between the two is missing here.
    let hasNeighbour: Bool
    private static var windowBytes: Int { 256 << 10 }
    private static var listedMax: Int { 256 }

    /// What is wrong with it. `read` is told of bytes as they have been read, and may wait; false ends the check: nil.
    func run(_ read: (Int) -> Bool) throws(DiskError) -> Finding? {
        // What memory remembers of the file proves nothing about the device.
        disk.dropCache(segment.file, at: 0, lengthBytes: segment.sizeBytes)
        let window = ScanWindow(disk: disk, sizeBytes: Self.windowBytes)
        window.readsAroundErrors = true
        window.open(segment.file)
        var finding = Finding()
        let head = SegmentHeader(reading: try window.bytes(at: 0, count: SegmentHeader.readBytes))
        finding.isHeadDamaged =
            head?.sequence != segment.sequence || head?.salt != segment.salt || head?.key != segment.keys?.first.record
        var scan = SegmentScan(
            window: window, segment: segment, endBytes: segment.endBytes, expectedLSN: segment.firstLSN,
            limitLSN: limitLSN)
        var told = 0
        while let item = try scan.next() {
            note(item, in: &finding)
            if window.readBytes > told {
                guard read(window.readBytes - told) else { return nil }
                told = window.readBytes
            }
        }
        if hasNeighbour, let end = scan.expectedLSN, end < limitLSN {
            finding.gaps.append(LSNGap(firstLSN: end, lastLSN: limitLSN - 1))
        }
        finding.failedBlocks = window.failedBlocks
        return read(window.readBytes - told) ? finding : nil
    }

    private func note(_ item: SegmentScan<D>.Item, in finding: inout Finding) {
        switch item {
        case .frame: break
        case .gap(let gap): if finding.gaps.count < Self.listedMax { finding.gaps.append(gap) }
        case .quarantined(let offset, let length), .torn(let offset, let length):
            guard finding.quarantined.count < Self.listedMax else { return }
            finding.quarantined.append(
                QuarantinedRange(segment: segment.sequence, offsetBytes: offset, lengthBytes: length))
        }
    }
}
