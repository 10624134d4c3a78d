import KafkaProtocol
import NIOCore
import Sealing
import Synchronization

/// Reads durable frames of a lane from any thread: by LSN through the segments, or one frame the index points at.
/// Every frame is verified; what does not verify is a gap or an error, never data.
final class LogReader<D: Disk>: Sendable {
    let disk: D
    private let cache = Mutex(Cache())
    private let openedGroups = OpenedGroups()

    /// Windows to use again and places where earlier reads ended, both few.
    private struct Cache {
        var resumes: [(segment: UInt64, salt: UInt64, resume: SegmentScan<D>.Resume)] = []
        var failedLSN: UInt64 = 0
        var failures = 0
    }
    private static var resumesMax: Int { 8 }
    /// Reads that fail at one place before the blocks there are given up.
    private static var failuresMax: Int { 5 }

    init(disk: D) { self.disk = disk }

    func read(
        from lsn: UInt64, maxBytes: Int, maxCount: Int, in view: LogView<D.File>
    ) throws(WALError) -> LogSlice {
        var slice = LogSlice(nextLSN: max(lsn, 1))
        guard var place = view.place(of: slice.nextLSN) else { return slice }
        let window = ScanWindow(disk: disk)
        window.readsAroundErrors = isHopeless(lsn)
        var room = Room(bytes: maxBytes, count: max(1, maxCount))
        while place < view.segments.count, !room.isFull, slice.nextLSN <= view.durableLSN {
            let limit = view.limitLSN(of: place)
            if view.segments[place].isReadable {
                do throws(DiskError) {
                    try read(view.segments[place], limit: limit, window, &room, &slice)
                } catch {
                    noteFailure(at: lsn)
                    throw .io(error)
                }
            }
            if !room.isFull { slice.skip(to: limit) }
            place += 1
        }
        return slice
    }

    /// A device that cannot read a block today may tomorrow, so errors go to the caller first, who comes back later;
    /// but a block that stays unreadable must not hold up the lane for ever.
    private func isHopeless(_ lsn: UInt64) -> Bool {
        cache.withLock { $0.failedLSN == lsn && $0.failures >= Self.failuresMax }
    }

    private func noteFailure(at lsn: UInt64) {
        cache.withLock { cache in
            cache.failures = cache.failedLSN == lsn ? cache.failures + 1 : 1
            cache.failedLSN = lsn
        }
    }

    private struct Room {
        var bytes: Int
        var count: Int
        var isFull = false
    }

    private func read(
        _ segment: LiveSegment<D.File>, limit: UInt64, _ window: ScanWindow<D>, _ room: inout Room,
        _ slice: inout LogSlice
    ) throws(DiskError) {
        var scan = start(segment, at: slice.nextLSN, limit: limit, window)
        while true {
            let before = scan.resume
            guard let item = try scan.next() else { break }
            // Torn and quarantined bytes show as the LSNs missing from them.
            guard case .frame(let frame) = item else { continue }
            if frame.header.lsn < slice.nextLSN { continue }
            slice.skip(to: frame.header.lsn)
            guard frame.header.kind == .batch else {
                slice.nextLSN += 1
                continue
            }
            let size = frame.header.payloadBytes
            if room.count == 0 || (!slice.batches.isEmpty && size > room.bytes) {
                room.isFull = true
                if let before { keep(before, segment) }
                return
            }
            guard var batch = StoredBatch(frame.header, topic: frame.topic, payload: frame.payload) else { continue }
            batch.bootEpoch = frame.bootEpoch
            slice.batches.append(batch)
            slice.nextLSN += 1
            room.bytes -= size
            room.count -= 1
        }
        if let resume = scan.resume { keep(resume, segment) }
    }

    /// A scan that begins at the best place known before `lsn`.
    private func start(
        _ segment: LiveSegment<D.File>, at lsn: UInt64, limit: UInt64, _ window: ScanWindow<D>
    ) -> SegmentScan<D> {
        let mark = segment.mark(before: lsn)
        var scan = SegmentScan(
            window: window, segment: segment, from: mark.offsetBytes, endBytes: segment.endBytes,
            expectedLSN: mark.lsn, limitLSN: limit, wantsPayload: true, openedGroups: openedGroups)
        let known = cache.withLock { cache in
            cache.resumes.filter {
                $0.segment == segment.sequence && $0.salt == segment.salt && $0.resume.expectedLSN <= lsn
            }.max { $0.resume.expectedLSN < $1.resume.expectedLSN }
        }
        if let known, known.resume.expectedLSN > mark.lsn { scan.go(to: known.resume) }
        return scan
    }

    private func keep(_ resume: SegmentScan<D>.Resume, _ segment: LiveSegment<D.File>) {
        cache.withLock { cache in
            cache.resumes.removeAll { $0.segment == segment.sequence && $0.resume.expectedLSN == resume.expectedLSN }
            if cache.resumes.count >= Self.resumesMax { cache.resumes.removeFirst() }
            cache.resumes.append((segment.sequence, segment.salt, resume))
        }
    }

    /// One frame the index points at, with its base offset patched into the batch.
    func batch(at entry: IndexEntry, in segment: LiveSegment<D.File>) throws(WALError) -> StoredBatch {
        do throws(WALError) {
            return try verifiedBatch(at: entry, in: segment)
        } catch {
            guard case .corrupt = error else { throw error }
            // The page cache may hold what was there before a direct write; the device decides.
            if segment.keys == nil {
                disk.dropCache(segment.file, at: entry.offsetBytes, lengthBytes: entry.frameBytes)
            } else {
                disk.dropCache(segment.file, at: 0, lengthBytes: segment.sizeBytes)
            }
            return try verifiedBatch(at: entry, in: segment)
        }
    }

    private func verifiedBatch(at entry: IndexEntry, in segment: LiveSegment<D.File>) throws(WALError) -> StoredBatch {
        // A row of a damaged index may hold any number.
        guard entry.offsetBytes >= Block.sizeBytes, entry.frameBytes >= FrameHeader.sizeBytes,
            entry.frameBytes <= segment.sizeBytes, entry.offsetBytes <= segment.sizeBytes - entry.frameBytes
        else {
            throw .corrupt(
                segment: segment.sequence, offsetBytes: entry.offsetBytes, storedCRC32C: 0, computedCRC32C: 0)
        }
        let bytes =
            segment.keys == nil
            ? try bytes(of: segment, at: entry.offsetBytes, count: entry.frameBytes)
            : try openedBytes(of: segment, at: entry.offsetBytes, count: entry.frameBytes)
        let facts = bytes.withUnsafeReadableBytes { frame -> (header: FrameHeader?, computed: UInt32) in
            guard frame.count == entry.frameBytes, frame.count >= FrameHeader.sizeBytes else { return (nil, 0) }
            let header = FrameHeader(reading: frame, limitBytes: frame.count)
            return (header, FrameHeader.checksum(frame, salt: segment.salt))
        }
        guard let header = facts.header, header.storedCRC == facts.computed, header.lsn == entry.lsn,
            header.kind == .batch, header.frameBytes == bytes.readableBytes,
            let topic = bytes.getString(at: FrameHeader.sizeBytes, length: header.topicBytes),
            var payload = bytes.getSlice(
                at: FrameHeader.sizeBytes + header.topicBytes, length: header.payloadBytes)
        else {
            throw .corrupt(
                segment: segment.sequence, offsetBytes: entry.offsetBytes,
                storedCRC32C: facts.header?.storedCRC ?? 0, computedCRC32C: facts.computed)
        }
        RecordBatch.setBaseOffset(header.baseOffset, leaderEpoch: 0, in: &payload, at: payload.readerIndex)
        guard let stored = StoredBatch(header, topic: topic, payload: payload) else {
            throw .corrupt(
                segment: segment.sequence, offsetBytes: entry.offsetBytes, storedCRC32C: header.storedCRC,
                computedCRC32C: facts.computed)
        }
        return stored
    }

    /// Of a sealed segment: the group around them is opened, and kept for whoever wants more of it. Fewer bytes than asked where
    /// no group holds them or it does not open.
    private func openedBytes(
        of segment: LiveSegment<D.File>, at offset: Int, count: Int
    ) throws(WALError) -> ByteBuffer {
        let place = OpenedGroups.Place(sequence: segment.sequence, salt: segment.salt)
        var group = openedGroups.group(holding: offset, of: place)
        if group == nil {
            do throws(DiskError) { group = try openGroup(holding: offset, of: segment) } catch { throw .io(error) }
            if let group { openedGroups.keep(group, of: place) }
        }
        // A copy: the frame shall not keep the whole group in memory.
        return group.map { ByteBuffer(bytes: $0.bytes(at: offset, count: count)) } ?? ByteBuffer()
    }

    /// Groups begin at block boundaries: the first header met on the way back is that of the group, and nothing inside a sealed group
    /// looks like one, for checksum, salt and sequence would all have to be right.
    private func openGroup(
        holding offset: Int, of segment: LiveSegment<D.File>
    ) throws(DiskError) -> OpenedGroup? {
        guard let keys = segment.keys else { return nil }
        let window = ScanWindow(disk: disk, sizeBytes: Self.backwardBytes)
        window.open(segment.file)
        var end = offset / Block.sizeBytes * Block.sizeBytes + Block.sizeBytes
        while end > Block.sizeBytes {
            let start = max(Block.sizeBytes, end - (window.limitBytes / Block.sizeBytes * Block.sizeBytes))
            // One read; the blocks are then looked at from the last to the first.
            let blocks = try window.bytes(at: start, count: min(end - start, window.limitBytes))
            for at in stride(from: end - Block.sizeBytes, through: start, by: -Block.sizeBytes) {
                let block = UnsafeRawBufferPointer(rebasing: blocks.dropFirst(at - start))
                guard let header = GroupHeader(reading: block, of: segment) else { continue }
                guard offset < at + header.usedBytes else { return nil }
                return try OpenedGroup.open(
                    header, at: at, fileBytes: segment.sizeBytes, window: window, opener: SegmentOpener(keys))
            }
            end = start
        }
        return nil
    }

    private static var backwardBytes: Int { 128 << 10 }

    private func bytes(of segment: LiveSegment<D.File>, at offset: Int, count: Int) throws(WALError) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        var failure: DiskError?
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { space in
            let target = UnsafeMutableRawBufferPointer(rebasing: space[..<count])
            do throws(DiskError) {
                return try disk.read(segment.file, into: target, at: offset)
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw .io(failure) }
        return buffer
    }
}

extension LogSlice {
    /// Moves on to `lsn`; what lies between is lost.
    fileprivate mutating func skip(to lsn: UInt64) {
        guard lsn > nextLSN else { return }
        gaps.append(LSNGap(firstLSN: nextLSN, lastLSN: lsn - 1))
        nextLSN = lsn
    }
}

extension StoredBatch {
    /// Nil when the payload is no record batch.
    init?(_ frame: FrameHeader, topic: String, payload: ByteBuffer) {
        guard let header = try? RecordBatchHeader(reading: payload, at: payload.readerIndex) else { return nil }
        self.init(
            lsn: frame.lsn, topic: topic, partition: frame.partition, baseOffset: frame.baseOffset,
            wallMs: frame.wallMs, monotonicNs: frame.monotonicNs,
            clockQuality: ClockQuality(rawValue: frame.clockQuality) ?? .unknown, header: header, batch: payload,
            hasGatewayTimes: frame.hasGatewayTimes)
    }
}
