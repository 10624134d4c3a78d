import Glibc
import NIOCore

/// What recovery saw, not yet known to be on the medium: the names of the files and the end of the newest segment.
struct UnsettledTail: Sendable, Equatable {
    /// The last group; nil when the head of the segment is all there is, or the log was closed in order.
    var groupOffset: Int?
    var tornBytes = 0
}

extension LaneCore {
    /// Makes sure of what recovery saw before anything is built on it, and wipes what it cut, so that neither can change
    /// under the frames to come. Until it succeeds nothing is answered and nothing is written.
    ///
    /// - Names: the former process may have removed a segment and failed to sync that. Should the name come back after a
    ///   power cut, its checkpoint would declare dead what has been written elsewhere since.
    /// - Bytes: it may have failed to sync the last group, and no later sync covers that (Linux, fsync(2)). So the group is
    ///   written once more, byte for byte; all before it was synced by those who wrote it.
    mutating func settle() throws(DiskError) {
        guard let unsettled else { return }
        try disk.syncDirectory()
        if let newest = segments.last, newest.isReadable {
            do throws(DiskError) {
                try settle(newest, unsettled)
            } catch {
                settleFailures += 1
                guard error.errno == EIO, settleFailures >= Self.settleFailuresMax, isOnDevice(newest, unsettled) else {
                    throw error
                }
                abandon(error)
            }
            let rewritten = unsettled.groupOffset.map { tailBytes - $0 } ?? 0
            counters.written.settled += UInt64(rewritten + Block.roundedUp(unsettled.tornBytes))
        }
        self.unsettled = nil
    }

    /// Blocks that may be read but not written must not keep a lane from taking data for ever.
    private static var settleFailuresMax: Int { 16 }

    /// Whether the last group verifies when the device, not memory, is asked.
    private func isOnDevice(_ newest: LiveSegment<D.File>, _ unsettled: UnsettledTail) -> Bool {
        guard let start = unsettled.groupOffset else { return true }
        disk.dropCache(newest.file, at: start, lengthBytes: tailBytes - start)
        var scan = SegmentScan(
            window: ScanWindow(disk: disk), segment: newest, from: start, endBytes: tailBytes, expectedLSN: nil)
        while let item = try? scan.next() {
            guard case .frame(let frame) = item else { return false }
            if frame.header.lsn + 1 == state.nextLSN { return true }
        }
        return false
    }

    /// The segment is written no more. What was cut from it stays dead: the next segment begins with its first LSN.
    private mutating func abandon(_ error: DiskError) {
        mustRotate = true
        alarms.suspectSegments += 1
        note(error)
    }

    private func settle(_ newest: LiveSegment<D.File>, _ unsettled: UnsettledTail) throws(DiskError) {
        if unsettled.tornBytes > 0 { try wipe(newest, from: tailBytes, lengthBytes: unsettled.tornBytes) }
        if let start = unsettled.groupOffset { try rewrite(newest, start..<tailBytes) }
        try disk.sync(newest.file)
    }

    private func rewrite(_ segment: LiveSegment<D.File>, _ range: Range<Int>) throws(DiskError) {
        // A file that somebody has cut may end inside a block, which cannot be written.
        try copy(
            range.clamped(to: 0..<segment.sizeBytes / Block.sizeBytes * Block.sizeBytes), of: segment, to: segment.file)
    }

    /// Writes bytes of a segment to the same place of `file`; both ends of `range` are ends of blocks.
    func copy(_ range: Range<Int>, of segment: LiveSegment<D.File>, to file: D.File) throws(DiskError) {
        guard !range.isEmpty else { return }
        let memory = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(1 << 20, range.count), alignment: Block.sizeBytes)
        defer { memory.deallocate() }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: memory.count) {
            let piece = UnsafeMutableRawBufferPointer(rebasing: memory[..<min(memory.count, range.upperBound - start)])
            guard try disk.read(segment.file, into: piece, at: start) == piece.count else {
                throw DiskError(.read, SegmentName.live(segment.sequence), errno: EIO)
            }
            try disk.write(file, UnsafeRawBufferPointer(piece), at: start)
        }
    }

    private func wipe(_ segment: LiveSegment<D.File>, from start: Int, lengthBytes: Int) throws(DiskError) {
        let end = min(Block.roundedUp(start + lengthBytes), segment.sizeBytes / Block.sizeBytes * Block.sizeBytes)
        let zeros = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: Block.sizeBytes)
        defer { zeros.deallocate() }
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
        var at = start
        while at < end {
            let piece = UnsafeRawBufferPointer(rebasing: zeros[..<min(zeros.count, end - at)])
            try disk.write(segment.file, piece, at: at)
            at += piece.count
        }
    }
}
