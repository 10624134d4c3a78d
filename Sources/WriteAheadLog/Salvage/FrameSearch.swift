import NIOCore

/// Looks for frames in bytes of which nothing else is known than the salt: a damaged group header hides good frames, and a
/// damaged frame hides those after it.
///
/// Every byte may be where a frame starts. A header whose three lengths agree is rare among other bytes; its checksum
/// decides.
struct FrameSearch<D: Disk> {
    let scan: SegmentScan<D>
    let window: ScanWindow<D>
    let fileBytes: Int

    /// Hands the frames of `range` with LSNs in `lsns` to `body`, in the order of both; the LSNs are removed from `lsns`
    /// and what stays missing before each is handed to `lost`.
    func run(
        _ range: Range<Int>, lsns: inout Range<UInt64>, lost: (LSNGap) -> Void,
        _ body: (SegmentScan<D>.Frame) throws(WALError) -> Void
    ) throws(WALError) {
        var at = range.lowerBound
        while at + FrameHeader.sizeBytes <= range.upperBound, !lsns.isEmpty {
            if let next = try skipZeros(at, range.upperBound) {
                at = next
                continue
            }
            guard let frame = try frame(at, lsns) else {
                at += 1
                continue
            }
            if frame.header.lsn > lsns.lowerBound {
                lost(LSNGap(firstLSN: lsns.lowerBound, lastLSN: frame.header.lsn - 1))
            }
            try body(frame)
            lsns = frame.header.lsn + 1..<max(frame.header.lsn + 1, lsns.upperBound)
            at += frame.header.frameBytes
        }
    }

    private func frame(_ at: Int, _ lsns: Range<UInt64>) throws(WALError) -> SegmentScan<D>.Frame? {
        do throws(DiskError) {
            let head = try window.bytes(at: at, count: FrameHeader.sizeBytes)
            guard let header = FrameHeader(reading: head, limitBytes: fileBytes - at), lsns.contains(header.lsn) else {
                return nil
            }
            return try scan.verifiedFrame(at: at, groupStart: at / Block.sizeBytes * Block.sizeBytes, end: fileBytes)
        } catch {
            throw .io(error)
        }
    }

    /// At the start of a block of zeros: where the next block begins.
    private func skipZeros(_ at: Int, _ end: Int) throws(WALError) -> Int? {
        guard at % Block.sizeBytes == 0, at + Block.sizeBytes <= end else { return nil }
        do throws(DiskError) {
            let block = try window.bytes(at: at, count: Block.sizeBytes)
            guard block.count == Block.sizeBytes else { return nil }
            for offset in stride(from: 0, to: Block.sizeBytes, by: 8)
            where block.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return nil }
            return at + Block.sizeBytes
        } catch {
            throw .io(error)
        }
    }
}
