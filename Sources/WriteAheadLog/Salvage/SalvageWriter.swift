import NIOCore
import Sealing

/// Writes what was salvaged as a lane of its own: the same segments, LSNs and offsets, with new checksums and checkpoints.
final class SalvageWriter {
    private let disk: LocalDisk
    private let staging = Staging(capacityBytes: SalvageWriter.groupBytes)
    private var open: (file: LocalFile, sequence: UInt64, salt: UInt64)?
    private var tailBytes = 0
    private var nextLSN: UInt64 = 0
    private var groupEpoch: UInt64 = 0
    typealias Sealing = (lane: String, key: KeyRing.Key)
    private let sealing: Sealing?
    /// Of the segment that is open.
    private var sealer: GroupSealer?
    private static let groupBytes = 1 << 20

    /// `directory` is made; it must not hold anything yet.
    init(directory: String, sealing: Sealing?) throws(WALError) {
        self.sealing = sealing
        do throws(DiskError) {
            disk = try LocalDisk(directory: directory, engine: .pwrite)
            let found = try disk.list()
            if let first = found.first {
                throw DiskError(.create, "\(directory), which holds \(first.name)", errno: 17)
            }
        } catch {
            throw .io(error)
        }
    }

    /// Begins a segment with the checkpoint of `state` as its first frame, at `state.nextLSN`.
    func begin(_ segment: SegmentHeader, state: LaneState) throws(WALError) {
        try flush()
        let key = sealing.map {
            LogKey.make(lane: $0.lane, segment: segment.sequence, salt: segment.salt, under: $0.key)
        }
        sealer = key.map(GroupSealer.init)
        var after = state
        after.nextLSN = segment.firstLSN + 1
        let payload = Checkpoint.encode(after)
        staging.begin(
            sequence: segment.sequence, salt: segment.salt, firstLSN: segment.firstLSN, bootEpoch: segment.bootEpoch,
            leadBytes: Block.sizeBytes, sealer: sealer, offsetBytes: Block.sizeBytes)
        let frame = FrameHeader(kind: .checkpoint, lsn: segment.firstLSN, payloadBytes: payload.readableBytes)
        _ = staging.append(frame, topic: "", payload: payload)
        let head = staging.finish()
        SegmentHeader(
            sequence: segment.sequence, salt: segment.salt, segmentSizeBytes: segment.segmentSizeBytes,
            firstLSN: segment.firstLSN, bootEpoch: segment.bootEpoch, key: key?.record
        ).encode(into: staging.memory)
        do throws(DiskError) {
            if let open { try disk.sync(open.file) }
            if let open { disk.endWriting(open.file) }
            let file = try disk.create(SegmentName.live(segment.sequence), sizeBytes: segment.segmentSizeBytes)
            try disk.write(file, head, at: 0)
            open = (file, segment.sequence, segment.salt)
        } catch {
            throw .io(error)
        }
        tailBytes = head.count
        nextLSN = segment.firstLSN + 1
        groupEpoch = 0
        beginGroup(segment.bootEpoch)
    }

    func add(_ frame: SegmentScan<LocalDisk>.Frame) throws(WALError) {
        let epoch = frame.bootEpoch ?? 0
        let isFull = !staging.fits(frameBytes: frame.header.frameBytes, limitBytes: Self.groupBytes)
        if frame.header.lsn != nextLSN || epoch != groupEpoch || isFull {
            try flush()
            nextLSN = frame.header.lsn
            beginGroup(epoch)
        }
        _ = staging.append(frame.header, topic: frame.topic, payload: frame.payload)
        nextLSN += 1
    }

    func finish() throws(WALError) {
        try flush()
        do throws(DiskError) {
            if let open { try disk.sync(open.file) }
            try disk.syncDirectory()
        } catch {
            throw .io(error)
        }
        open = nil
    }

    private func beginGroup(_ epoch: UInt64) {
        guard let open else { return }
        groupEpoch = epoch
        staging.begin(
            sequence: open.sequence, salt: open.salt, firstLSN: nextLSN, bootEpoch: epoch, sealer: sealer,
            offsetBytes: tailBytes)
    }

    private func flush() throws(WALError) {
        guard let open, !staging.isEmpty, tailBytes > 0 else { return }
        let bytes = staging.finish()
        do throws(DiskError) { try disk.write(open.file, bytes, at: tailBytes) } catch { throw .io(error) }
        tailBytes += bytes.count
        beginGroup(groupEpoch)
    }
}
