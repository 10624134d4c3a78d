import Glibc

/// A second copy of the newest segment's head, while no other segment tells what its checkpoint does.
///
/// The state of a lane follows from any checkpoint and all frames behind it. When the segment in front of the newest one goes, it follows from
/// one checkpoint alone: a bad block there would give offsets and object numbers out again. So that segment goes only when the newest
/// one's checkpoint has been read back from the device, and copied into a file of its own, byte for byte.
extension LaneCore {
    /// To be called before `segment` goes. Throws when the newest checkpoint cannot be read, which then is written anew before
    /// anything goes, or when the copy cannot be made. On a full disk room is worth more.
    mutating func keepHead(before segment: LiveSegment<D.File>) throws(DiskError) {
        guard segments.count > 1, segments[segments.count - 2].sequence == segment.sequence else { return }
        do throws(DiskError) { try copyHead() } catch {
            guard error.isDiskFull else { throw error }
            note(error)
        }
    }

    /// What a full disk did not allow is tried again when something has gone.
    mutating func keepHeadAtLast() {
        guard segments.count == 1 else { return }
        do throws(DiskError) { try copyHead() } catch { note(error) }
    }

    /// A full disk needs the room for the next segment, behind which the copy is not needed.
    mutating func dropHeadCopies() -> Bool {
        var hasDropped = false
        for place in segments.indices where segments[place].headCopy != nil {
            segments[place].headCopy = nil
            if (try? disk.remove(SegmentName.head(segments[place].sequence))) != nil { hasDropped = true }
        }
        guard hasDropped else { return false }
        return (try? disk.syncDirectory()) != nil
    }

    private mutating func copyHead() throws(DiskError) {
        guard let newest = segments.last, newest.isReadable, newest.headCopy == nil, newest.firstLSN > 1 else { return }
        guard let sizeBytes = try verifiedHeadBytes(newest) else {
            needsCheckpoint = true
            throw DiskError(.read, SegmentName.live(newest.sequence), errno: EBADMSG)
        }
        let name = SegmentName.unfinished(newest.sequence)
        try? disk.remove(name)
        do throws(DiskError) {
            let file = try disk.create(name, sizeBytes: sizeBytes)
            try copy(0..<sizeBytes, of: newest, to: file)
            try disk.sync(file)
            disk.endWriting(file)
            try disk.rename(name, to: SegmentName.head(newest.sequence))
            try disk.syncDirectory()
        } catch {
            try? disk.remove(name)
            throw error
        }
        counters.written.heads += UInt64(sizeBytes)
        let copy = HeadCopy(file: try disk.open(SegmentName.head(newest.sequence)), sizeBytes: sizeBytes)
        segments[segments.count - 1].headCopy = copy
    }

    /// Bytes of a segment's header and checkpoint; nil if the checkpoint does not verify when the device is asked.
    private func verifiedHeadBytes(_ segment: LiveSegment<D.File>) throws(DiskError) -> Int? {
        let window = ScanWindow(disk: disk, sizeBytes: 64 << 10)
        window.open(segment.file)
        let bytes = try window.bytes(at: Block.sizeBytes, count: GroupHeader.sealedSizeBytes)
        guard let group = GroupHeader(reading: bytes, of: segment) else { return nil }
        let sizeBytes = Block.sizeBytes + group.groupBytes
        disk.dropCache(segment.file, at: 0, lengthBytes: sizeBytes)
        return sizeBytes <= segment.sizeBytes && checkpoint(at: segment) != nil ? sizeBytes : nil
    }

    /// The checkpoint of a segment, or of the copy of its head; nil when neither can be read.
    func readCheckpoint(_ segment: LiveSegment<D.File>) -> LaneState? {
        checkpoint(at: segment) ?? segment.ofHeadCopy.flatMap { checkpoint(at: $0) }
    }

    /// The checkpoint at the head of a segment, nil when it cannot be read.
    func checkpoint(at segment: LiveSegment<D.File>) -> LaneState? {
        segment.checkpointFrame(disk).flatMap {
            Checkpoint.decode(
                $0.payload, producersMax: configuration.producersMax, partitionsMax: configuration.partitionsMax,
                gapBytesMax: configuration.gapBytesMax)
        }
    }

    /// Copies of heads, found at the start. Those of segments that are gone go too.
    mutating func takeHeadCopies(_ entries: [DiskEntry]) {
        for name in segments.takeHeadCopies(entries, disk) { try? disk.remove(name) }
    }
}

/// Header and checkpoint of a segment once more.
struct HeadCopy<File: Sendable>: Sendable {
    var file: File
    var sizeBytes: Int
}

extension Array {
    /// Notes where heads of these segments stand a second time; names of copies of others.
    @discardableResult
    mutating func takeHeadCopies<D: Disk>(_ entries: [DiskEntry], _ disk: D) -> [String]
    where Element == LiveSegment<D.File> {
        var others: [String] = []
        for entry in entries {
            guard let sequence = SegmentName.headSequence(entry.name) else { continue }
            guard let place = firstIndex(where: { $0.sequence == sequence }) else {
                others.append(entry.name)
                continue
            }
            if let file = try? disk.open(entry.name) {
                self[place].headCopy = HeadCopy(file: file, sizeBytes: entry.sizeBytes)
            }
        }
        return others
    }
}

extension LiveSegment {
    /// The copy as a segment that ends behind its checkpoint; nil where there is none.
    var ofHeadCopy: LiveSegment? {
        guard let headCopy else { return nil }
        var copy = self
        (copy.file, copy.sizeBytes, copy.endBytes) = (headCopy.file, headCopy.sizeBytes, headCopy.sizeBytes)
        return copy
    }

    /// The first frame, if it can be read: a checkpoint, unless that is lost.
    func headFrame<D: Disk>(_ disk: D) -> SegmentScan<D>.Frame? where D.File == File {
        let window = ScanWindow(disk: disk, sizeBytes: 64 << 10)
        window.readsAroundErrors = true
        var scan = SegmentScan(window: window, segment: self, endBytes: sizeBytes, expectedLSN: firstLSN)
        guard let item = try? scan.next(), case .frame(let frame) = item else { return nil }
        return frame
    }

    /// The same if it is a checkpoint.
    func checkpointFrame<D: Disk>(_ disk: D) -> SegmentScan<D>.Frame? where D.File == File {
        headFrame(disk).flatMap { $0.header.kind == .checkpoint ? $0 : nil }
    }
}
